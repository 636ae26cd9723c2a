import TextParts

/// A unit's sign of life, and the form in which the former server wrote it down.
public struct Ping: Sendable, Equatable {
    public var unitID: String
    public var nickname: String?
    public var rssiRaw: Int?
    public var rssiDBm: Int?

    /// - Parameters: as they stand in the query; nil for what does not.
    public init(unitID: String, nickname: String?, rssiRaw: String?, rssiDBm: String?) {
        self.unitID = unitID
        self.nickname = nickname.flatMap { name in
            let isText = name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
            return name.isEmpty || name == "None" || !isText
                ? nil : String(String.UnicodeScalarView(name.unicodeScalars.prefix(64)))
        }
        self.rssiRaw = rssiRaw.flatMap { Int($0) }.flatMap { (0...99).contains($0) ? $0 : nil }
        self.rssiDBm =
            rssiDBm.flatMap { Int($0) }.flatMap { (-200...50).contains($0) ? $0 : nil }
            ?? self.rssiRaw.flatMap(Self.dBm)
    }

    /// Signal strength of a raw value (3GPP TS 27.007 §8.5, +CSQ): 0 is -113 dBm or less, 31 is -51 dBm or more, 99 unknown.
    static func dBm(raw: Int) -> Int? { (0...31).contains(raw) ? -113 + 2 * raw : nil }

    /// `2026-11-21T01:24:01.564991`, the unit, its nickname, raw value and dBm; `None` for what is missing. Without line feed.
    public func line(nanoseconds: Int64) -> String {
        [
            Self.isoText(nanoseconds: nanoseconds), unitID, nickname ?? "None", rssiRaw.map(String.init) ?? "None",
            rssiDBm.map(String.init) ?? "None",
        ].joined(separator: "\t")
    }

    /// A line of the former server's files. Nil when it is none.
    public static func parse(_ line: some StringProtocol) -> (ping: Ping, nanoseconds: Int64)? {
        let fields = Substring(line).parts(at: "\t", omittingEmpty: false)
        guard fields.count == 5, let time = CivilTime.nanoseconds(isoText: fields[0]),
            NodeID(.co2, fields[1]) != nil
        else { return nil }
        let ping = Ping(
            unitID: String(fields[1]), nickname: String(fields[2]), rssiRaw: String(fields[3]),
            rssiDBm: String(fields[4]))
        return (ping, time)
    }

    /// As Python's `datetime.isoformat()`: microseconds only if there are any.
    public static func isoText(nanoseconds: Int64) -> String {
        let seconds = nanoseconds.flooredQuotient(by: 1_000_000_000)
        let microseconds = Int((nanoseconds - seconds * 1_000_000_000) / 1000)
        return CivilTime.text(seconds: seconds) + (microseconds == 0 ? "" : ".\(CivilTime.digits(microseconds, 6))")
    }

    public static let layout: [(name: String, unit: String)] = [("signal", "dBm"), ("signal_raw", "")]

    public var values: [Double] { [rssiDBm, rssiRaw].map { $0.map(Double.init) ?? .nan } }
}

/// Files that follow each other, as units and the former server number them: `pings-0000.tsv`. One is appended to while it
/// is smaller than ``limitBytes``.
public struct FileSequence: Sendable, Equatable {
    public static let limitBytes = 102_400

    public let prefix: String
    public let suffix: String

    public init(prefix: String, suffix: String) {
        self.prefix = prefix
        self.suffix = suffix
    }

    public func name(_ number: Int) -> String { prefix + CivilTime.digits(number, 4) + suffix }

    /// Nil when the name is not of this sequence.
    public func number(of name: some StringProtocol) -> Int? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
        let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
        guard digits.utf8.count >= 4, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(digits)
    }

    /// The name of the last, by number; nil when there is none.
    public func last(of names: some Sequence<String>) -> String? {
        names.compactMap { name in number(of: name).map { ($0, name) } }.max { $0.0 < $1.0 }?.1
    }
}
