import TextParts

/// An entry of `errors-NNNN.txt`: `----- <time> <LEVEL> <message>`, and lines that follow it.
public struct CO2ErrorEntry: Sendable, Equatable {
    /// UTC, seconds since 1970, as the unit's clock said; nil for a clock that was not set.
    public var timeSeconds: Int64?
    /// INFO, WARN, EXC; empty when there is none.
    public var level: String
    /// `uncaught`, `watchdog`, `signal`, `backoff`, `transmit`, or empty.
    public var type: String
    public var message: String

    private static let mark = "-----"
    private static let levels: Set<Substring> = ["INFO", "WARN", "EXC"]
    /// The last that matches counts.
    private static let types: [(name: String, sign: String)] = [
        ("uncaught", "uncaught"), ("watchdog", "watchdog"), ("signal", "signal"), ("backoff", "backoff"),
        ("transmit", "transmit"),
    ]

    /// Whether a line begins an entry; others belong to the one before.
    public static func begins(_ line: Substring) -> Bool { line.begins(with: mark) }

    /// Whether the entry has no message of its own: that of the oldest units is on the next line.
    public static func needsNext(_ line: Substring) -> Bool { CO2ErrorEntry(line: line, next: nil).message.isEmpty }

    /// - Parameters:
    ///   - line: one that begins an entry.
    ///   - next: the line after it: of the oldest units the message stands there.
    public init(line: Substring, next: Substring?) {
        var rest = Substring(line.utf8.dropFirst(Self.mark.utf8.count)).withoutLeadingSpaces
        timeSeconds = Self.time(&rest)
        rest = rest.withoutLeadingSpaces
        let word = rest.before(" ")
        if Self.levels.contains(word) {
            level = String(word)
            rest = rest[word.endIndex...].withoutLeadingSpaces
        } else {
            level = ""
        }
        if rest.isEmpty, let next, !Self.begins(next) { rest = next }
        message = Self.printable(rest)
        let lower = message.lowercased()
        type = Self.types.last { lower.contains($0.sign) }?.name ?? ""
    }

    /// Takes `2019-09-16 10:55:57` or `(2019, 10, 25, 3, 11, 24, 4, 298)` from the front.
    private static func time(_ rest: inout Substring) -> Int64? {
        if rest.begins(with: "("), let (tuple, message) = rest.halves(at: ")") {
            let numbers = Substring(tuple.utf8.dropFirst()).parts(at: ",").compactMap { Int($0.trimmed) }
            rest = message
            guard numbers.count >= 6, numbers[0] != 1970, (1900...2200).contains(numbers[0]) else { return nil }
            let date = [(numbers[0], 4), (numbers[1], 2), (numbers[2], 2)].map { CivilTime.digits($0, $1) }
            let time = numbers[3...5].map { CivilTime.digits($0, 2) }
            return CivilTime.seconds(date: date.joined(separator: "-"), time: time.joined(separator: ":"))
        }
        let stamp = rest.prefix(19)
        guard stamp.utf8.count == 19, let seconds = CivilTime.seconds(date: stamp.prefix(10), time: stamp.suffix(8))
        else { return nil }
        rest = rest.dropFirst(19)
        return stamp.hasPrefix("1970-") ? nil : seconds
    }

    private static func printable(_ text: Substring) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(300).map { $0.value >= 0x20 && $0.value != 0x7F ? $0 : " " }))
    }
}

extension Substring {
    fileprivate var withoutLeadingSpaces: Substring { Substring(utf8.drop { $0 == 0x20 }) }
}
