import TextParts

/// The tables of the replaced server's database, and their rows, made of units' files by the rules of its import. Nil stands for NULL.
public enum CO2TableRows {
    public static let schema = """
        CREATE TABLE pings (
            ping_ts TEXT, ping_date TEXT, ping_time TEXT, unit_id TEXT, nickname TEXT, rssi_raw INTEGER,
            rssi_dbm INTEGER);
        CREATE TABLE co2_readings (
            unit_id TEXT, nickname TEXT, date TEXT, time TEXT, temp NUMERIC, flash_count INTEGER, co2_01 INTEGER,
            co2_02 INTEGER, co2_03 INTEGER, co2_04 INTEGER, co2_05 INTEGER, co2_06 INTEGER, co2_07 INTEGER,
            co2_08 INTEGER, co2_09 INTEGER, co2_10 INTEGER);
        CREATE TABLE error_logs (
            unit_id TEXT, idate TEXT, itime TEXT, etype TEXT, odate TEXT, otime TEXT, level TEXT, message TEXT);
        CREATE TABLE deploy_durations_tiered (
            unit_id TEXT, nickname TEXT, site TEXT, tier INTEGER, status TEXT, start_ts TEXT, end_ts TEXT, note TEXT);
        """

    public static let indexes = """
        CREATE INDEX pings_index_by_unit_id ON pings (unit_id, ping_date, ping_time);
        CREATE INDEX co2_index_by_unit_id ON co2_readings (unit_id, date, time);
        """

    /// What units' folders and lines begin with; the import took no others.
    public static let unitPrefix = "co2unit-"

    private static let readingColumns = 16
    private static let tierColumns = 8
    /// Temperature, the first column of numbers.
    private static let firstNumber = 4

    /// A row of `co2_readings`: unit, nickname, date, time, temperature, flashes and ten CO2 values. Nil for a line that the import
    /// left out: one with bytes that are not text, of another unit's form, or with the year 1970.
    ///
    /// - Parameter line: Without its line feed. What is missing at its end is NULL.
    public static func reading(_ line: ArraySlice<UInt8>) -> [String?]? {
        let bytes = line.last == 0x0D ? line.dropLast() : line
        guard let text = String(validating: bytes, as: UTF8.self), text.unicodeScalars.allSatisfy(isPrintable),
            text.begins(with: unitPrefix), !text.holds("1970-")
        else { return nil }
        var row = fields(text, readingColumns)
        if let name = row[1], name.isEmpty || name == "None" || name.utf8.suffix(4).elementsEqual("NICK".utf8) {
            row[1] = nil
        }
        for column in firstNumber..<readingColumns {
            guard let first = row[column]?.utf8.first else {
                row[column] = nil
                continue
            }
            // `None`, and what a cut has left of it.
            if first == UInt8(ascii: "N") || first == UInt8(ascii: "n") { row[column] = nil }
        }
        return row
    }

    /// A row of `deploy_durations_tiered`; nil for a blank line. What is behind a `#` is a comment.
    ///
    /// - Parameter line: Any but the first of the file, which names the columns.
    public static func deployment(_ line: some StringProtocol) -> [String?]? {
        let text = Substring(line).before("#")
        guard !text.trimmed.isEmpty else { return nil }
        var row = fields(String(text.utf8.last == 0x0D ? Substring(text.utf8.dropLast()) : text), tierColumns)
        for column in 1..<tierColumns where row[column]?.isEmpty == true { row[column] = nil }
        return row
    }

    /// The moment of a ping as `pings` has it: `2026-11-21T01:24:01`, `2026-11-21`, `01:24:01.564991`.
    public static func pingTimes(nanoseconds: Int64) -> (stamp: String, date: String, time: String) {
        let text = Ping.isoText(nanoseconds: nanoseconds)
        let halves = text.halves(at: "T")
        return (String(text.before(".")), String(halves?.before ?? ""), String(halves?.after ?? ""))
    }

    private static func fields(_ text: String, _ count: Int) -> [String?] {
        let fields = text.parts(at: "\t", omittingEmpty: false).prefix(count).map { Optional(String($0)) }
        return fields + Array(repeating: nil, count: count - fields.count)
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0B...0x0D: true
        case 0..<0x20, 0x7F...0x9F: false
        default: true
        }
    }
}

/// Rows of `error_logs` from the lines of one of a unit's log files, in their order. Lines that begin no entry have no row.
public struct CO2ErrorRows {
    private let unit: String
    /// Of the last entry whose clock was set; empty before the first.
    private var date = ""
    private var time = ""
    /// An entry of the oldest units, which has its message on the next line.
    private var head: String?

    private static let mark = "-----"

    public init(unit: String) { self.unit = unit }

    /// Nil where the line makes no row, or its row comes with the next line.
    ///
    /// - Parameter line: Without its line feed.
    public mutating func add(_ line: some StringProtocol) -> [String?]? {
        let line = String(line)
        if let head {
            self.head = nil
            return row("\(head) EXC  \(line)")
        }
        guard line.begins(with: Self.mark) else { return nil }
        if Self.isTimeAlone(line) {
            head = line
            return nil
        }
        return row(line)
    }

    /// The row of an entry whose message did not come.
    public mutating func end() -> [String?]? {
        defer { head = nil }
        return head.flatMap { row($0) }
    }

    private static func isTimeAlone(_ line: String) -> Bool {
        let rest = line.utf8.dropFirst(mark.utf8.count)
        guard rest.starts(with: " (".utf8), rest.last == UInt8(ascii: ")") else { return false }
        return rest.dropFirst(2).dropLast().allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2C || $0 == 0x20 }
    }

    private mutating func row(_ line: String) -> [String?] {
        let rest = Substring(line.utf8.dropFirst(Self.mark.utf8.count).drop { $0 == 0x20 })
        guard let (stamp, clock, after) = Self.times(rest) else {
            let message = String(rest.before("\t"))
            return [unit, date, time, Self.type(message), nil, nil, nil, message]
        }
        let words = Substring(after.utf8.drop { $0 == 0x20 })
        let level = Substring(words.utf8.prefix { (0x41...0x5A).contains($0) })
        let message = String(
            Substring(words.utf8.dropFirst(level.utf8.count).drop { $0 == 0x20 }).before("\t"))
        if stamp != "1970-01-01" { (date, time) = (stamp, clock) }
        return [unit, date, time, Self.type(message), stamp, clock, String(level), message]
    }

    /// `2019-09-16 10:55:57` or `(2019, 10, 25, 3, 11, 24, 4, 298)` at the front, as date and time, and what follows.
    private static func times(_ text: Substring) -> (date: String, time: String, rest: Substring)? {
        if text.begins(with: "("), let (tuple, rest) = text.halves(at: ")") {
            let numbers = Substring(tuple.utf8.dropFirst()).parts(at: ",").compactMap { Int($0.trimmed) }
            guard numbers.count >= 6, numbers.allSatisfy({ (0...9999).contains($0) }) else { return nil }
            let date = [(numbers[0], 4), (numbers[1], 2), (numbers[2], 2)].map { CivilTime.digits($0, $1) }
            return (
                date.joined(separator: "-"), numbers[3...5].map { CivilTime.digits($0, 2) }.joined(separator: ":"), rest
            )
        }
        let date = Substring(text.utf8.prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") })
        let after = text.utf8.dropFirst(date.utf8.count)
        guard !date.isEmpty, after.first == 0x20 else { return nil }
        let time = Substring(after.dropFirst().prefix { (0x30...0x3A).contains($0) })
        guard !time.isEmpty else { return nil }
        return (String(date), String(time), Substring(after.dropFirst(1 + time.utf8.count)))
    }

    /// The last that matches counts.
    private static func type(_ message: String) -> String {
        let signs: [(name: String, texts: [String])] = [
            ("uncaught", ["Uncaught exception"]), ("watchdog", ["watchdog", "Watchdog", "watch dog", "Watch dog"]),
            ("signal", ["Signal quality"]), ("backoff", ["backoff"]), ("transmit", ["transmitting"]),
        ]
        return signs.last { $0.texts.contains { message.holds($0) } }?.name ?? ""
    }
}
