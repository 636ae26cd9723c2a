import ArgumentParser
import CEdgeSystem
import FieldNodes
import Foundation
import Sensors
import Store
import Uplink

/// `edge-aggregator import`: takes over what former systems have gathered. It may be repeated: what is there already is not
/// taken twice.
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take over the data of former systems. The daemon may run meanwhile.",
        discussion: "What is there already is not taken twice: see docs/migrating.md.\n\(ExitCodes.help)",
        subcommands: [CO2.self, ISEMS.self, PiWardrive.self])

    struct CO2: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "co2", abstract: "A folder remote_data of the CO2 units' server.")

        @OptionGroup var options: SettingsOptions

        @Argument(help: "The folder; that of the settings to read what is there anew.")
        var folder: String

        func run() async throws {
            let settings = try options.load()
            // Memory: the path is borrowed for the call.
            guard unsafe access(folder, R_OK | X_OK) == 0 else {
                printError("\(folder) cannot be read")
                throw ExitCodes.inputOutput
            }
            try await OpenStore.use(settings) { house in
                let importer = CO2Importer(house: house, settings: settings.nodes.co2, folder: folder)
                let bar = ProgressBar(title: (folder as NSString).lastPathComponent)
                let report = try await importer.run { bar.show($0) }
                bar.clear()
                print(report.text)
            }
        }
    }

    struct ISEMS: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "isems",
            abstract: "A database of the ISEMS data collector (SQLite), or a log of nodes (also .gz).")

        @OptionGroup var options: SettingsOptions

        @Argument(help: "The file.")
        var file: String

        func run() async throws {
            let settings = try options.load()
            guard let handle = FileHandle(forReadingAtPath: file) else {
                printError("\(file) cannot be read")
                throw ExitCodes.inputOutput
            }
            let head = try handle.read(upToCount: 16) ?? Data()
            try handle.close()
            try await OpenStore.use(settings) { house in
                let importer = ISEMSImporter(house: house, file: file)
                let bar = ProgressBar(title: (file as NSString).lastPathComponent)
                let report =
                    head.starts(with: Array("SQLite format 3".utf8))
                    ? try importer.database { bar.show($0) } : try importer.log { bar.show($0) }
                bar.clear()
                print("\(report.readings) readings read, \(report.rejected) rejected")
                if let reason = report.reason {
                    printError("\(file): \(reason); what came before is taken")
                    throw ExitCodes.failure
                }
            }
        }
    }

    struct PiWardrive: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "piwardrive",
            abstract: "Databases of PiWardrive units (app.db), or aggregation.db of their former service.",
            discussion: "They are put where uploads wait; the daemon merges them, now or when it starts.")

        @OptionGroup var options: SettingsOptions

        @Option(help: "The unit whose they are.")
        var unit: String

        @Argument(help: "The files.")
        var files: [String]

        func run() async throws {
            let settings = try options.load().nodes.piwardrive
            guard let node = NodeID(.piwardrive, unit) else {
                throw ValidationError("`\(unit)` is not 1 to 64 bytes of plain text")
            }
            let spool = try UploadSpool(folder: settings.spoolFolder, mostBytes: .max, isOwner: false)
            for file in files {
                guard let handle = FileHandle(forReadingAtPath: file) else {
                    printError("\(file) cannot be read")
                    throw ExitCodes.inputOutput
                }
                var copy = try SpoolFile(folder: spool.folder, prefix: "import")
                defer { copy.discard() }
                while let data = try handle.read(upToCount: 1 << 20), !data.isEmpty { try copy.write(Array(data)[...]) }
                try copy.sync()
                try spool.take(copy.path, of: node, as: .database)
                print("\(file) waits to be merged: \(copy.bytes) bytes of \(unit)")
            }
        }
    }
}

/// Reads old data of ISEMS nodes into the store.
struct ISEMSImporter {
    let house: NodeHouse
    let file: String

    struct Report {
        var readings = 0
        var rejected = 0
        var reason: String?
    }

    /// Readings of one transaction.
    private static let slice = 2000

    /// - Parameter progress: is told 0...1.
    func log(_ progress: (Double) -> Void) throws -> Report {
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe))
        if bytes.starts(with: [0x1F, 0x8B]) {
            guard let expanded = Gzip.expand(bytes, most: 1 << 30) else {
                return Report(reason: "it is a damaged gzip file, or holds more than a gigabyte")
            }
            bytes = expanded
        }
        let intake = ISEMSIntake(house: house, mustMatch: false)
        var report = Report()
        var start = 0
        while start < bytes.count {
            // Some thousand lines, to the end of the last.
            var end = min(start + Self.slice * 120, bytes.count)
            while end < bytes.count, bytes[end - 1] != 0x0A { end += 1 }
            let result = intake.lines(Array(bytes[start..<end]), expected: nil, from: "import")
            try house.store.commitBlocking(result.changes)
            report.readings += result.readings
            report.rejected += result.rejected
            start = end
            progress(Double(start) / Double(bytes.count))
        }
        return report
    }

    func database(_ progress: (Double) -> Void) throws -> Report {
        let bytes = (try FileManager.default.attributesOfItem(atPath: file)[.size] as? NSNumber)?.int64Value ?? 0
        let database = try GuardedDatabase(path: file, bytes: bytes)
        var report = Report()
        var batches: [String: ReadingBatch] = [:]
        var waiting = 0
        var failure: (any Error)?
        func commit() throws {
            try house.store.commitBlocking(batches.values.map { .readings($0) })
            batches = [:]
            waiting = 0
        }
        let outcome = database.readMeasurements { reading in
            guard failure == nil else { return }
            guard let reading else {
                report.rejected += 1
                return
            }
            let key = NodeKey(kind: NodeKind.isems.rawValue, name: reading.nodeID)
            batches[reading.nodeID, default: ReadingBatch(key: key, layout: ISEMSIntake.layout)].add(
                timeNanoseconds: reading.timeSeconds * 1_000_000_000, reading.values,
                text: "\(reading.revision ?? "");\(reading.firmware ?? "")")
            report.readings += 1
            waiting += 1
            guard waiting >= Self.slice else { return }
            do { try commit() } catch { failure = error }
            // A row takes some 150 bytes there.
            progress(min(Double(report.readings) * 150 / Double(max(bytes, 1)), 0.99))
        }
        if let failure { throw failure }
        try commit()
        switch outcome {
        case .whole: break
        case .missing: report.reason = "it has no table measurement"
        case .broken(let reason): report.reason = "it is damaged: \(reason)"
        }
        return report
    }
}

/// Takes over a folder of the CO2 units' server.
struct CO2Importer {
    let house: NodeHouse
    let settings: CO2Settings
    let folder: String

    struct Report {
        var units: Set<String> = []
        var files = 0
        var readings = 0
        var pings = 0
        var rejected = 0
        var replaced = 0

        var text: String {
            "\(units.count) units, \(files) files: \(readings) readings, \(pings) pings, \(rejected) lines rejected"
                + (replaced > 0 ? ", \(replaced) files were others before and are kept beside" : "")
        }
    }

    private static let pieceBytes = 65_536

    func run(_ progress: (Double) -> Void) async throws -> Report {
        var report = Report()
        let depot = CO2Depot(folder: settings.dataFolder, mostUnitBytes: .max, begunAnew: { _, _ in })
        let files = CO2Reader.files(in: folder)
        let isOwn = (folder as NSString).standardizingPath == (settings.dataFolder as NSString).standardizingPath
        for (done, file) in files.enumerated() {
            guard let data = FileManager.default.contents(atPath: "\(folder)/\(file.unit.text)/\(file.path)") else {
                continue
            }
            let bytes = Array(data)
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
            try await house.store.commit(changes)
            report.files += 1
            report.readings += result.readings
            report.rejected += result.rejected
            progress(Double(done + 1) / Double(max(files.count, 1)))
        }
        try await importPings(&report)
        if !isOwn { try copyUpdates() }
        return report
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
        let beside = ((folder as NSString).standardizingPath as NSString).deletingLastPathComponent
        var places = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        places = places.sorted().map { "\(folder)/\($0)/var/pings" } + ["\(beside)/var/pings"]
        for place in places {
            for file in FolderFiles.all(below: place, depth: 0) where sequence.number(of: file.path) != nil {
                let text = String(
                    decoding: FileManager.default.contents(atPath: "\(place)/\(file.path)") ?? Data(), as: UTF8.self)
                var batches: [NodeID: ReadingBatch] = [:]
                for line in text.split(whereSeparator: \.isNewline) {
                    guard let (ping, time) = Ping.parse(line), let unit = NodeID(.co2, ping.unitID) else {
                        report.rejected += 1
                        continue
                    }
                    batches[unit, default: ReadingBatch(key: unit.key, layout: CO2Routes.pingLayout)].add(
                        timeNanoseconds: time, ping.values, text: ping.nickname)
                    report.pings += 1
                }
                try await house.store.commit(batches.values.map { .readings($0) })
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
                try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
                try FileManager.default.copyItem(
                    atPath: "\(folder)/\(unit)/updates/\(name)", toPath: "\(target)/\(name)")
            }
        }
    }
}
