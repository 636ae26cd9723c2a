import FieldNodes
import Foundation
import Sensors
import Store
import TextParts

/// Takes over a folder of the CO2 units' server.
struct CO2Importer {
    let house: NodeHouse
    let settings: CO2Settings
    let folder: String
    let permit: DiskPermit

    struct Report {
        var tally = ImportTally()
        var units: Set<String> = []
        var files = 0
        var readings = 0
        var pings = 0
        /// Of the units' own logs.
        var errors = 0
        var replaced = 0

        var text: String {
            "\(units.count) units, \(files) files: \(readings) readings, \(pings) pings, \(tally.rejected) lines rejected, \(errors) entries of the units' logs"
                + (replaced > 0 ? ", \(replaced) files were others before and are kept beside" : "")
        }
    }

    private static let pieceBytes = 65_536

    func run(_ progress: (Double) -> Void) async throws -> Report {
        var report = Report()
        let depot = CO2Depot(folder: settings.dataFolder, limits: .init(), permit: permit, begunAnew: { _, _ in })
        let files = CO2Reader.files(in: folder)
        let isOwn = (folder as NSString).standardizingPath == (settings.dataFolder as NSString).standardizingPath
        for (done, file) in files.enumerated() {
            guard let bytes = read("\(folder)/\(file.unit.text)/\(file.path)", &report) else { continue }
            if !isOwn { try copy(bytes, file.unit, file.path, depot, &report) }
            // All of it, from the beginning: what is there already stays as it is.
            let parser = CO2FileParser(
                unit: file.unit, path: file.path, nowNanoseconds: house.time.now().utcNanoseconds)
            let result = parser.parse(bytes, at: 0, isEnd: true)
            var changes = result.changes
            let parsed = try await house.store.parsedBytes(file.unit.key, path: file.path.text)
            if parsed < Int64(result.taken) {
                changes.append(
                    .nodeFileRead(file.unit.key, path: file.path.text, from: parsed, to: Int64(result.taken)))
            }
            if report.units.insert(file.unit.text).inserted || result.nickname != nil {
                changes.append(
                    .node(
                        NodeSighting(
                            key: file.unit.key,
                            seenNanoseconds: Self.modified("\(folder)/\(file.unit.text)/\(file.path)"),
                            label: result.nickname, admission: .admitted, messages: 0)))
            }
            try await report.tally.count(changes, in: house.store)
            try await house.store.commit(changes)
            report.files += 1
            report.readings += result.readings
            for case .nodeErrors(_, _, let records) in result.changes { report.errors += records.count }
            report.tally.rejected += result.rejected
            progress(Double(done + 1) / Double(max(files.count, 1)))
        }
        try await importPings(&report)
        if !isOwn { try copyUpdates() }
        noteUnreadable(folder, &report)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        if report.files == 0, report.pings == 0, !names.isEmpty {
            report.tally.problems.append(
                "\(folder) has no files of CO2 units; it should have folders as in \(folder)/UNIT/data/readings")
        }
        return report
    }

    /// Nil, and noted, for a file that cannot be read.
    private func read(_ path: String, _ report: inout Report) -> [UInt8]? {
        do {
            return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            report.tally.problems.append("\(path) cannot be read and is missing from what was taken: \(error)")
            return nil
        }
    }

    /// Folders that cannot be looked into have no files for who lists them.
    private func noteUnreadable(_ folder: String, depth: Int = 6, _ report: inout Report) {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            report.tally.problems.append(
                "\(folder) cannot be read; what is in it is missing from what was taken: \(error)")
            return
        }
        guard depth > 0 else { return }
        for name in names.sorted() {
            let path = "\(folder)/\(name)"
            // Not through links.
            let type = (try? FileManager.default.attributesOfItem(atPath: path))?[.type] as? FileAttributeType
            if type == .typeDirectory { noteUnreadable(path, depth: depth - 1, &report) }
        }
    }

    private static func modified(_ path: String) -> Int64 {
        let date = (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
        return Int64((date?.timeIntervalSince1970 ?? 0) * 1e9)
    }

    private func copy(
        _ bytes: [UInt8], _ unit: NodeID, _ path: PushPath, _ depot: CO2Depot, _ report: inout Report
    ) throws {
        // A unit that sends to this box already may be further on than what is imported.
        for start in stride(from: 0, to: max(bytes.count, 1), by: Self.pieceBytes) {
            let piece = Array(bytes[start..<min(start + Self.pieceBytes, bytes.count)])
            let outcome = try depot.push(unit, path, offset: Int64(start), body: piece)
            if case .replaces = outcome.verdict { report.replaced += 1 }
        }
    }

    /// `*/var/pings/pings-*.tsv`, and `var/pings` beside the folder.
    private func importPings(_ report: inout Report) async throws {
        let sequence = FileSequence(prefix: "pings-", suffix: ".tsv")
        let parent = ((folder as NSString).standardizingPath as NSString).deletingLastPathComponent
        let beside = parent.isEmpty ? "." : parent
        var places = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        places = places.sorted().map { "\(folder)/\($0)/var/pings" } + ["\(beside)/var/pings"]
        for place in places {
            for file in FolderFiles.all(below: place, depth: 0) where sequence.number(of: file.path) != nil {
                guard let bytes = read("\(place)/\(file.path)", &report) else { continue }
                let text = String(decoding: bytes, as: UTF8.self)
                var batches: [NodeID: ReadingBatch] = [:]
                for line in text.lines() {
                    guard let (ping, time) = Ping.parse(line), let unit = NodeID(.co2, ping.unitID) else {
                        report.tally.rejected += 1
                        continue
                    }
                    batches[unit, default: ReadingBatch(key: unit.key, layout: CO2Routes.pingLayout)].add(
                        timeNanoseconds: time, ping.values, text: ping.nickname)
                    report.pings += 1
                }
                let changes = batches.values.map { StoreChange.readings($0) }
                try await report.tally.count(changes, in: house.store)
                try await house.store.commit(changes)
                report.units.formUnion(batches.keys.map(\.text))
            }
        }
    }

    /// What units have not fetched yet must still be there for them.
    ///
    /// Memory: the path is borrowed for the call.
    private func copyUpdates() throws {
        for unit in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            guard let id = NodeID(.co2, unit), FolderFiles.all(below: "\(folder)/\(unit)/updates").count > 0 else {
                continue
            }
            for name in (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(unit)/updates")) ?? [] {
                let target = "\(settings.dataFolder)/\(id.text)/updates"
                guard FileName.isPlain(name), unsafe access("\(target)/\(name)", F_OK) != 0 else { continue }
                try copyUpdate(name, from: "\(folder)/\(unit)/updates", to: target)
            }
        }
    }

    /// Gives an update its name when all of it is there: units fetch what they see, and no name twice.
    ///
    /// Memory: the paths are borrowed for the call.
    private func copyUpdate(_ name: String, from source: String, to target: String) throws {
        let path = "\(source)/\(name)"
        let files = FolderFiles.all(below: path)
        let bytes =
            files.isEmpty
            ? (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.int64Value ?? 0
            : files.reduce(0) { $0 + $1.bytes }
        try permit.take(Int(bytes), path: "\(target)/\(name)")
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        let partial = "\(target)/.importing-\(name)"
        // Of an import that was cut off.
        try? FileManager.default.removeItem(atPath: partial)
        do {
            try FileManager.default.copyItem(atPath: path, toPath: partial)
            guard unsafe rename(partial, "\(target)/\(name)") == 0 else {
                throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
            }
        } catch {
            try? FileManager.default.removeItem(atPath: partial)
            throw error
        }
    }
}
