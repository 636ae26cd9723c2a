import TextParts

/// When something is due: five fields as in crontab(5), in UTC: minute, hour, day of the month, month, day of the week.
///
/// Each is `*`, a number, a range `a-b`, any of these with a step `/n`, or several with commas. Months and days of the week
/// have their English names too; Sunday is 0 and 7. When both days are restricted, either will do. A nickname of crontab(5) stands for
/// all five: `@hourly`, `@daily` and so on.
public struct CronSchedule: Sendable, Equatable, CustomStringConvertible {
    public struct Malformed: Error, Sendable, Equatable, CustomStringConvertible {
        public let description: String
    }

    private let minutes: Set<Int>
    private let hours: Set<Int>
    private let days: Set<Int>
    private let months: Set<Int>
    private let weekdays: Set<Int>
    private let isAnyDay: Bool
    private let isAnyWeekday: Bool
    public let description: String

    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let weekdayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    private static let nicknames = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
    ]

    public init(_ text: String) throws(Malformed) {
        let word = text.trimmed.lowercased()
        if word.begins(with: "@"), Self.nicknames[word] == nil {
            throw Malformed(
                description: "`\(text)` is none of \(Self.nicknames.keys.sorted().joined(separator: ", "))")
        }
        let fields = (Self.nicknames[word] ?? text).words().map { $0.lowercased() }
        guard fields.count == 5 else {
            throw Malformed(
                description:
                    "`\(text)` has \(fields.count) fields; minute hour day month weekday are needed, or a nickname such as @daily"
            )
        }
        func field(_ place: Int, _ range: ClosedRange<Int>, _ names: [String] = [], _ base: Int = 0) throws(Malformed)
            -> Set<Int>
        {
            guard let values = Self.values(fields[place], range, names, base), !values.isEmpty else {
                throw Malformed(
                    description:
                        "`\(fields[place])` in `\(text)` is not within \(range.lowerBound) to \(range.upperBound)")
            }
            return values
        }
        minutes = try field(0, 0...59)
        hours = try field(1, 0...23)
        days = try field(2, 1...31)
        months = try field(3, 1...12, Self.monthNames, 1)
        weekdays = Set(try field(4, 0...7, Self.weekdayNames).map { $0 % 7 })
        isAnyDay = fields[2].hasPrefix("*")
        isAnyWeekday = fields[4].hasPrefix("*")
        description = fields.joined(separator: " ")
        guard next(after: 0) != nil else { throw Malformed(description: "`\(text)` never comes") }
    }

    private static func values(_ text: String, _ range: ClosedRange<Int>, _ names: [String], _ base: Int) -> Set<Int>? {
        func number(_ text: Substring) -> Int? {
            if let place = names.firstIndex(of: String(text)) { return place + base }
            guard text.allSatisfy(\.isNumber), let value = Int(text), range.contains(value) else { return nil }
            return value
        }
        var values: Set<Int> = []
        for part in text.parts(at: ",", omittingEmpty: false) {
            let pieces = part.parts(at: "/", omittingEmpty: false)
            guard (1...2).contains(pieces.count) else { return nil }
            let step = pieces.count == 2 ? Int(pieces[1]) ?? 0 : 1
            guard step >= 1 else { return nil }
            var (low, high) = (range.lowerBound, range.upperBound)
            if pieces[0] != "*" {
                let ends = pieces[0].parts(at: "-", omittingEmpty: false)
                guard (1...2).contains(ends.count), let first = number(ends[0]) else { return nil }
                low = first
                if ends.count == 2 {
                    guard let last = number(ends[1]), last >= first else { return nil }
                    high = last
                } else if pieces.count == 1 {
                    high = first
                }
            }
            values.formUnion(stride(from: low, through: high, by: step))
        }
        return values
    }

    /// The first time after another, seconds since 1970; nil when there is none within thirty years.
    public func next(after seconds: Int64) -> Int64? {
        let begin = (seconds / 60 + 1) * 60
        var day = begin / CalendarTime.daySeconds
        let last = day + 366 * 30
        var from = begin - day * CalendarTime.daySeconds
        while day < last {
            let parts = CalendarTime.parts(day * CalendarTime.daySeconds)
            if months.contains(parts.month), isDue(parts) {
                for hour in hours.sorted() where hour * 3600 + 3599 >= Int(from) {
                    for minute in minutes.sorted() where hour * 3600 + minute * 60 >= Int(from) {
                        return day * CalendarTime.daySeconds + Int64(hour * 3600 + minute * 60)
                    }
                }
            }
            day += 1
            from = 0
        }
        return nil
    }

    private func isDue(_ parts: CalendarTime.Parts) -> Bool {
        let (isDay, isWeekday) = (days.contains(parts.day), weekdays.contains(parts.weekday))
        return isAnyDay || isAnyWeekday ? isDay && isWeekday : isDay || isWeekday
    }
}
