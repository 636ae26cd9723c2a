import TextParts

/// A line of `deploy_durations_tiered.tsv`: where a unit was, when, and how far up the slope.
public struct DeployTier: Sendable, Equatable {
    public var unitID: String
    public var nickname: String
    public var site: String
    public var tier: Int
    /// `deployed`, `en_route`, `lab_check`.
    public var status: String
    /// UTC, seconds since 1970; nil for open.
    public var startSeconds: Int64?
    public var endSeconds: Int64?
    public var note: String

    /// All lines but the head, empty ones and those with `#` before them. A line that makes no sense is left out.
    public static func all(_ text: String) -> [DeployTier] {
        var lines = text.withoutByteOrderMark.lines()[...]
        lines.removeAll { $0.trimmed.isEmpty || $0.trimmed.begins(with: "#") }
        guard let head = lines.popFirst() else { return [] }
        let names = head.parts(at: "\t", omittingEmpty: false)
            .map { $0.words().joined() }
        return lines.compactMap { DeployTier($0, names: names) }
    }

    private init?(_ line: Substring, names: [String]) {
        let fields = line.parts(at: "\t", omittingEmpty: false)
        func field(_ name: String) -> String {
            guard let column = names.firstIndex(of: name), column < fields.count else { return "" }
            return String(Substring(fields[column].utf8.drop { $0 == 0x20 }))
        }
        guard NodeID(.co2, field("unit_id")) != nil else { return nil }
        unitID = field("unit_id")
        nickname = field("nickname")
        site = field("site")
        tier = Int(field("tier")) ?? 0
        status = field("status")
        startSeconds = Self.time(field("start_ts"))
        endSeconds = Self.time(field("end_ts"))
        note = field("note")
    }

    private static func time(_ text: String) -> Int64? {
        if text.utf8.count == 10 { return CivilTime.seconds(date: text, time: "00:00:00") }
        if text.utf8.count == 16 { return CivilTime.seconds(date: text.prefix(10), time: "\(text.suffix(5)):00") }
        return CivilTime.nanoseconds(isoText: text).map { $0.flooredQuotient(by: 1_000_000_000) }
    }
}
