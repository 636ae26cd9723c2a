/// The list of a GRIB file's records that NCEP puts beside it (`.idx`).
///
/// A line is `n:offset:d=YYYYMMDDHH:VAR:level:forecast:`, without an end. Numbers drift from version to version, and a
/// submessage (`585.2`) has the offset of its message, so records are found by what they are, and end where the next
/// different offset begins.
public struct GFSIndex: Sendable, Equatable {
    public struct Record: Sendable, Equatable {
        public var offset: Int64
        /// Seconds since 1970.
        public var runSeconds: Int64
        public var variable: String
        public var level: String
        /// `anl`, `3 hour fcst`.
        public var forecast: String
    }

    public struct Malformed: Error, Sendable, Equatable, CustomStringConvertible {
        public let line: Int
        public let reason: String
        public var description: String { "line \(line) of the index \(reason)" }
    }

    public let records: [Record]
    /// Ascending, each once.
    private let offsets: [Int64]

    public static let mostBytes = 4 << 20

    /// - Throws: ``Malformed``, also for an index without records: a page of a proxy is none.
    public init(_ bytes: [UInt8]) throws(Malformed) {
        var records: [Record] = []
        for (number, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            let line = line.last == 0x0D ? line.dropLast() : line
            if line.isEmpty { continue }
            let fields = line.split(separator: UInt8(ascii: ":"), maxSplits: 6, omittingEmptySubsequences: false)
            guard fields.count >= 6, line.count < 1000 else {
                throw Malformed(line: number + 1, reason: "is not a record")
            }
            func text(_ place: Int) -> String { String(decoding: fields[place], as: UTF8.self) }
            guard let offset = Int64(text(1)), offset >= 0 else {
                throw Malformed(line: number + 1, reason: "has no offset")
            }
            guard let run = Self.run(text(2)) else { throw Malformed(line: number + 1, reason: "has no run") }
            records.append(
                Record(offset: offset, runSeconds: run, variable: text(3), level: text(4), forecast: text(5)))
        }
        guard !records.isEmpty else { throw Malformed(line: 1, reason: "is missing: there are none") }
        self.records = records
        offsets = Set(records.map(\.offset)).sorted()
    }

    private static func run(_ text: String) -> Int64? {
        guard text.utf8.count == 12, text.hasPrefix("d="), let number = Int(text.dropFirst(2)), number > 0 else {
            return nil
        }
        return CalendarTime.seconds(
            year: number / 1_000_000, month: number / 10_000 % 100, day: number / 100 % 100, hour: number % 100)
    }

    /// Where the message is that has a variable at a level; nil when there is none.
    public func range(variable: String, level: String) -> ByteRange? {
        guard let record = records.first(where: { $0.variable == variable && $0.level == level }) else { return nil }
        let next = offsets.firstIndex { $0 > record.offset }
        return ByteRange(first: record.offset, end: next.map { offsets[$0] })
    }

    /// Whether all of it is of a run.
    public func isOf(runSeconds: Int64) -> Bool {
        records.allSatisfy { $0.runSeconds == runSeconds }
    }
}

extension ByteRange {
    /// Few requests for many stretches: those that touch, overlap, or are a little apart, go together. What is fetched
    /// without being wanted is a tenth of what is wanted at most.
    public static func merged(_ ranges: [ByteRange]) -> [ByteRange] {
        let sorted = Set(ranges).sorted { ($0.first, $0.end ?? .max) < ($1.first, $1.end ?? .max) }
        let wanted = sorted.reduce(Int64(0)) { $0 + (($1.end ?? $1.first) - $1.first) }
        var spare = wanted / 10
        var merged: [ByteRange] = []
        for range in sorted {
            if let last = merged.last {
                guard let end = last.end else { continue }
                let gap = range.first - end
                if gap <= spare {
                    spare -= max(0, gap)
                    merged[merged.count - 1].end = range.end.map { max($0, end) }
                    continue
                }
            }
            merged.append(range)
        }
        return merged
    }
}
