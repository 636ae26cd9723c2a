import CEdgeSystem
import FieldNodes
import Foundation
import Store
import TextParts

/// Writes the tables of the CO2 units' replaced server: readings and entries of logs from the units' files, pings from the box's database,
/// deployments from the tiers' file. A piece of a file, or a page of pings, is in memory at a time.
struct CO2Exporter {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Report: Equatable {
        var readings = 0
        var pings = 0
        /// Of the units' own logs.
        var errors = 0
        var deployments = 0
        /// Lines that the replaced server's import left out too.
        var leftOut = 0

        var text: String {
            "\(readings) readings, \(pings) pings, \(errors) entries of the units' logs, \(deployments) deployments; "
                + "\(leftOut) lines left out"
        }
    }

    let store: Store
    let settings: CO2Settings
    let file: TableFile

    /// Rows of one transaction.
    private static let slice = 1000
    private static let pieceBytes = 65_536
    private static let maximumLineBytes = 65_536

    func run() async throws -> Report {
        var report = Report()
        for unit in try names(in: settings.dataFolder) where unit.begins(with: CO2TableRows.unitPrefix) {
            let folder = "\(settings.dataFolder)/\(unit)"
            for path in try files(in: "\(folder)/data/readings", "readings-", ".tsv") {
                try exportReadings(path, &report)
            }
            for path in try files(in: "\(folder)/errors", "errors-", ".txt") {
                try exportErrors(path, unit, &report)
            }
        }
        try exportDeployments(&report)
        try await exportPings(&report)
        return report
    }

    /// What the tables may take, in bytes: about what the units' files have, and their indexes.
    func estimatedBytes() throws -> Int64 {
        try names(in: settings.dataFolder).filter { $0.begins(with: CO2TableRows.unitPrefix) }.reduce(0) {
            $0 + FolderFiles.usage(of: "\(settings.dataFolder)/\($1)").bytes
        }
    }

    private func exportReadings(_ path: String, _ report: inout Report) throws {
        var rows: [[TableFile.Value]] = []
        let tooLong = try eachLine(path) { line in
            guard let row = CO2TableRows.reading(line) else {
                report.leftOut += 1
                return
            }
            report.readings += 1
            try add(row, to: &rows, of: "co2_readings")
        }
        report.leftOut += tooLong
        try file.insert(rows, into: "co2_readings")
    }

    private func exportErrors(_ path: String, _ unit: String, _ report: inout Report) throws {
        var rows: [[TableFile.Value]] = []
        var entries = CO2ErrorRows(unit: unit)
        func take(_ row: [String?]?) throws {
            guard let row else { return }
            report.errors += 1
            try add(row, to: &rows, of: "error_logs")
        }
        let tooLong = try eachLine(path) { try take(entries.add(String(decoding: $0, as: UTF8.self))) }
        try take(entries.end())
        report.leftOut += tooLong
        try file.insert(rows, into: "error_logs")
    }

    private func exportDeployments(_ report: inout Report) throws {
        guard FileManager.default.fileExists(atPath: settings.tiersFile) else { return }
        var rows: [[TableFile.Value]] = []
        var isHead = true
        let tooLong = try eachLine(settings.tiersFile) { line in
            defer { isHead = false }
            guard !isHead, let row = CO2TableRows.deployment(String(decoding: line, as: UTF8.self)) else { return }
            report.deployments += 1
            try add(row, to: &rows, of: "deploy_durations_tiered")
        }
        report.leftOut += tooLong
        try file.insert(rows, into: "deploy_durations_tiered")
    }

    private func exportPings(_ report: inout Report) async throws {
        for unit in try await store.nodes(kind: NodeKind.co2.rawValue) {
            var after = Int64.min
            while true {
                let page = try await store.readingPage(
                    of: unit.key, layout: CO2Routes.pingLayout, afterNanoseconds: after, limit: Self.slice)
                try file.insert(page.map(Self.ping), into: "pings")
                report.pings += page.count
                guard page.count == Self.slice, let last = page.last else { break }
                after = last.timeNanoseconds
            }
        }
    }

    private static func ping(_ ping: ReadingRecord) -> [TableFile.Value] {
        let times = CO2TableRows.pingTimes(nanoseconds: ping.timeNanoseconds)
        func number(_ place: Int) -> TableFile.Value {
            guard ping.numbers.indices.contains(place) else { return .null }
            return Int64(exactly: ping.numbers[place].rounded(.towardZero)).map { .integer($0) } ?? .null
        }
        return [
            .text(times.stamp), .text(times.date), .text(times.time), .text(ping.key.name),
            // As it stands in the replaced server's files.
            .text(ping.text ?? "None"), number(1), number(0),
        ]
    }

    private func add(_ row: [String?], to rows: inout [[TableFile.Value]], of table: String) throws {
        rows.append(row.map { $0.map { .text($0) } ?? .null })
        guard rows.count == Self.slice else { return }
        try file.insert(rows, into: table)
        rows.removeAll(keepingCapacity: true)
    }

    // MARK: - Files

    private func names(in folder: String) throws -> [String] {
        var failure: FolderFiles.Failure?
        let names = FolderFiles.names(in: folder) { failure = failure ?? $0 }
        if let failure { throw Failure(description: "\(failure.path) cannot be listed: \(failure.text)") }
        return names
    }

    /// Memory: the path and the status are borrowed for the calls.
    private func files(in folder: String, _ prefix: String, _ suffix: String) throws -> [String] {
        try names(in: folder).filter {
            $0.begins(with: prefix) && $0.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
        }.map { "\(folder)/\($0)" }.filter { path in
            var status = EdgeFileStatus()
            return unsafe edge_lstat(path, &status) == 0 && status.isFile
        }
    }

    /// Hands out the lines of a file that are not empty, without their line feeds; the last may have none. A line that is too long is left
    /// out.
    ///
    /// - Returns: How many lines were too long.
    private func eachLine(_ path: String, _ body: (ArraySlice<UInt8>) throws -> Void) throws -> Int {
        guard let handle = FileHandle(forReadingAtPath: path) else {
            throw Failure(description: "\(path) cannot be read")
        }
        defer { try? handle.close() }
        var rest: [UInt8] = []
        var isTooLong = false
        var tooLong = 0
        while let piece = try handle.read(upToCount: Self.pieceBytes), !piece.isEmpty {
            rest += piece
            var start = 0
            while let end = rest[start...].firstIndex(of: 0x0A) {
                if isTooLong || end - start > Self.maximumLineBytes {
                    tooLong += 1
                } else if end > start {
                    try body(rest[start..<end])
                }
                isTooLong = false
                start = end + 1
            }
            rest.removeFirst(start)
            if rest.count > Self.maximumLineBytes {
                isTooLong = true
                rest.removeAll(keepingCapacity: true)
            }
        }
        if isTooLong { tooLong += 1 } else if !rest.isEmpty { try body(rest[...]) }
        return tooLong
    }
}
