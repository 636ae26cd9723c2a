/// Dates of the Gregorian calendar, without time zones (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
public enum CivilTime {
    /// Days since 1970-01-01.
    static func days(year: Int, month: Int, day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The date of a day since 1970-01-01.
    static func date(days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (
            yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        )
    }

    /// Others have no room in 64 bits of nanoseconds, and nobody was there.
    static let years = 1900...2200

    /// Seconds since 1970 of `2019-07-31` and `13:00:10`. Nil when they are none in ``years``.
    public static func seconds(date: some StringProtocol, time: some StringProtocol) -> Int64? {
        seconds(dateBytes: date.utf8, timeBytes: time.utf8)
    }

    static func seconds(dateBytes date: some Collection<UInt8>, timeBytes time: some Collection<UInt8>) -> Int64? {
        guard let (year, month, day) = numbers(date, separator: UInt8(ascii: "-"), widths: (4, 2, 2)),
            let (hour, minute, second) = numbers(time, separator: UInt8(ascii: ":"), widths: (2, 2, 2)),
            years.contains(year), (1...12).contains(month), (1...lastDay(year, month)).contains(day), hour < 24,
            minute < 60,
            second <= 60
        else { return nil }
        return Int64(days(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second)
    }

    private static func lastDay(_ year: Int, _ month: Int) -> Int {
        if month == 2 { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28 }
        return [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    private static func numbers(
        _ bytes: some Collection<UInt8>, separator: UInt8, widths: (Int, Int, Int)
    ) -> (Int, Int, Int)? {
        guard bytes.count == widths.0 + widths.1 + widths.2 + 2 else { return nil }
        var values = (0, 0, 0)
        var part = 0
        var left = widths.0
        for byte in bytes {
            if left == 0 {
                guard byte == separator, part < 2 else { return nil }
                part += 1
                left = part == 1 ? widths.1 : widths.2
            } else {
                guard (0x30...0x39).contains(byte) else { return nil }
                let digit = Int(byte - 0x30)
                switch part {
                case 0: values.0 = values.0 * 10 + digit
                case 1: values.1 = values.1 * 10 + digit
                default: values.2 = values.2 * 10 + digit
                }
                left -= 1
            }
        }
        return values
    }

    /// `2018-06-30T15:16:15` of seconds since 1970.
    public static func text(seconds: Int64, separator: String = "T") -> String {
        let days = Int(seconds.flooredQuotient(by: 86_400))
        let rest = Int(seconds) - days * 86_400
        let (year, month, day) = date(days: days)
        return "\(digits(year, 4))-\(digits(month, 2))-\(digits(day, 2))\(separator)"
            + "\(digits(rest / 3600, 2)):\(digits(rest / 60 % 60, 2)):\(digits(rest % 60, 2))"
    }

    static func digits(_ value: Int, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }

    /// A time as Python's `datetime.isoformat()` writes it, such as `2025-07-01T12:00:00.123456`, as nanoseconds since 1970.
    /// A zone (`Z`, `+02:00`) is taken into account; without one the time is taken as it stands.
    public static func nanoseconds(isoText text: some StringProtocol) -> Int64? {
        guard text.utf8.count >= 19 else { return nil }
        let bytes = Array(text.utf8)
        guard bytes[10] == UInt8(ascii: "T") || bytes[10] == UInt8(ascii: " ") else { return nil }
        func part(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        guard let seconds = seconds(date: part(0..<10), time: part(11..<19)) else { return nil }
        var place = 19
        var nanoseconds: Int64 = 0
        if place < bytes.count, bytes[place] == UInt8(ascii: ".") {
            place += 1
            var unit: Int64 = 100_000_000
            while place < bytes.count, (0x30...0x39).contains(bytes[place]) {
                nanoseconds += Int64(bytes[place] - 0x30) * unit
                unit /= 10
                place += 1
            }
        }
        guard let offset = zone(bytes[place...]) else { return nil }
        return (seconds - offset) * 1_000_000_000 + nanoseconds
    }

    /// Seconds east of Greenwich; 0 for none.
    private static func zone(_ bytes: ArraySlice<UInt8>) -> Int64? {
        if bytes.isEmpty || bytes.elementsEqual([UInt8(ascii: "Z")]) { return 0 }
        guard let sign = bytes.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else { return nil }
        let digits = bytes.dropFirst().filter { $0 != UInt8(ascii: ":") }
        guard digits.count == 4, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let values = digits.map { Int64($0 - 0x30) }
        let seconds = (values[0] * 10 + values[1]) * 3600 + (values[2] * 10 + values[3]) * 60
        return sign == UInt8(ascii: "-") ? -seconds : seconds
    }
}

extension Int64 {
    /// Rounded down, also below zero.
    func flooredQuotient(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
