/// Wall time of Europe/Berlin, in which the former collector told of all its nodes, wherever they stand.
///
/// Central European time, an hour more from the last Sunday of March to that of October, 01:00 UTC each (Directive
/// 2000/84/EC); so since 1996.
public enum BerlinTime {
    /// `2018-06-30T15:16:15` of seconds since 1970.
    public static func text(seconds: Int64) -> String {
        CivilTime.text(seconds: seconds + offsetSeconds(seconds))
    }

    /// 3600 in winter, 7200 in summer.
    public static func offsetSeconds(_ seconds: Int64) -> Int64 {
        let year = CivilTime.date(days: Int(seconds.flooredQuotient(by: 86_400))).year
        let summer = lastSunday(year, month: 3)..<lastSunday(year, month: 10)
        return summer.contains(seconds) ? 7200 : 3600
    }

    /// The moments that a wall time may mean: in the hour that autumn repeats two, the earlier first; in the hour that
    /// spring skips none.
    public static func seconds(wallSeconds: Int64) -> [Int64] {
        [wallSeconds - 7200, wallSeconds - 3600].filter { $0 + offsetSeconds($0) == wallSeconds }
    }

    /// 01:00 UTC of that day. Both months have 31 days.
    private static func lastSunday(_ year: Int, month: Int) -> Int64 {
        let last = CivilTime.days(year: year, month: month, day: 31)
        // 1970-01-01 was a Thursday: days since then, by four more, divided by seven leave 0 on Sundays.
        let weekday = ((last + 4) % 7 + 7) % 7
        return Int64(last - weekday) * 86_400 + 3600
    }
}
