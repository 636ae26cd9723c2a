import Foundation
import Testing

@testable import Forecasts

struct CronScheduleTests {
    private func next(_ schedule: String, _ after: String) throws -> String? {
        let seconds = try #require(CalendarTime.seconds(after))
        return try CronSchedule(schedule).next(after: seconds).map(CalendarTime.text)
    }

    /// By hand, after crontab(5); the days of the week are those of a calendar.
    @Test(arguments: [
        ("0 */6 * * *", "2026-11-21T05:59:59Z", "2026-11-21T06:00:00Z"),
        ("0 */6 * * *", "2026-11-21T06:00:00Z", "2026-11-21T12:00:00Z"),
        ("0 */6 * * *", "2026-11-21T18:00:01Z", "2026-11-22T00:00:00Z"),
        ("0 2 * * *", "2026-12-31T02:00:00Z", "2027-01-01T02:00:00Z"),
        ("30 4 1,15 * 5", "2026-11-16T00:00:00Z", "2026-11-20T04:30:00Z"),
        ("30 4 1,15 * 5", "2026-11-28T00:00:00Z", "2026-12-01T04:30:00Z"),
        ("5-7,50 23 * * mon-fri", "2026-11-20T23:06:00Z", "2026-11-20T23:07:00Z"),
        ("5-7,50 23 * * mon-fri", "2026-11-20T23:50:00Z", "2026-11-23T23:05:00Z"),
        ("0 0 29 2 *", "2026-11-21T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 * * 7", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
        ("*/20 10-11 * jan *", "2026-11-21T00:00:00Z", "2027-01-01T10:00:00Z"),
        ("10/25 * * * *", "2026-11-21T00:36:00Z", "2026-11-21T01:10:00Z"),
        ("@hourly", "2026-11-21T00:36:00Z", "2026-11-21T01:00:00Z"),
        ("@daily", "2026-11-21T00:36:00Z", "2026-11-22T00:00:00Z"),
        (" @Midnight ", "2026-11-21T00:36:00Z", "2026-11-22T00:00:00Z"),
        // The 22nd is a Sunday.
        ("@weekly", "2026-11-21T00:36:00Z", "2026-11-22T00:00:00Z"),
        ("@weekly", "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("@monthly", "2026-11-21T00:36:00Z", "2026-12-01T00:00:00Z"),
        ("@yearly", "2026-11-21T00:36:00Z", "2027-01-01T00:00:00Z"),
        ("@annually", "2026-11-21T00:36:00Z", "2027-01-01T00:00:00Z"),
    ])
    func comesNext(_ schedule: String, _ after: String, _ expected: String) throws {
        #expect(try next(schedule, after) == expected)
    }

    @Test(arguments: [
        "", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *",
        "a * * * *", "1,,2 * * * *", "0 0 30 2 *", "1/2/3 * * * *", "-1 * * * *",
        "@reboot", "@", "daily", "@daily *",
    ])
    func isRefused(_ schedule: String) {
        #expect(throws: CronSchedule.Malformed.self) { try CronSchedule(schedule) }
    }

    /// Against the C library, all days of four centuries.
    @Test func calendarIsTheCLibrarys() {
        for day in stride(from: Int64(-60_000), through: 90_000, by: 1) {
            let seconds = day * 86_400 + 45_296
            var (time, parts) = (time_t(seconds), tm())
            gmtime_r(&time, &parts)
            let own = CalendarTime.parts(seconds)
            guard own.year == Int(parts.tm_year) + 1900, own.month == Int(parts.tm_mon) + 1,
                own.day == Int(parts.tm_mday),
                own.hour == Int(parts.tm_hour), own.minute == Int(parts.tm_min), own.second == Int(parts.tm_sec),
                own.weekday == Int(parts.tm_wday),
                CalendarTime.seconds(
                    year: own.year, month: own.month, day: own.day, hour: own.hour, minute: own.minute,
                    second: own.second) == seconds
            else {
                Issue.record("day \(day): \(own)")
                return
            }
        }
        #expect(CalendarTime.seconds("2026-02-29T00:00:00Z") == nil)
        #expect(CalendarTime.seconds("1950-01-01 00:00:00") == -631_152_000)
        #expect(CalendarTime.seconds("2026-08-29T03:00:00.000Z") == 1_787_972_400)
    }
}
