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
                let importer = CO2Importer(
                    house: house, settings: settings.nodes.co2, folder: folder,
                    permit: DiskGuard(settings).permit(for: .nodeData, at: settings.nodes.co2.dataFolder))
                let bar = ProgressBar(title: (folder as NSString).lastPathComponent)
                let report = try await importer.run { bar.show($0) }
                bar.clear()
                print(report.text)
                report.tally.report(folder)
                try report.tally.end()
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
            // Of a database that was just made, everything may be in the log beside it.
            let isDatabase =
                head.starts(with: Array("SQLite format 3".utf8))
                || FileManager.default.fileExists(atPath: "\(file)-wal")
            let spoolFolder = settings.nodes.piwardrive.spoolFolder
            let permit = DiskGuard(settings).permit(for: .nodeData, at: spoolFolder)
            try await OpenStore.use(settings) { house in
                let importer = ISEMSImporter(house: house, file: file)
                let bar = ProgressBar(title: (file as NSString).lastPathComponent)
                let report: ISEMSImporter.Report
                do {
                    report =
                        isDatabase
                        ? try importer.database(copyIn: spoolFolder, permit) { bar.show($0) }
                        : try importer.log { bar.show($0) }
                } catch let failure as DatabaseSnapshot.Failure {
                    bar.clear()
                    printError("\(failure)")
                    throw failure.isInputOutput ? ExitCodes.inputOutput : ExitCodes.failure
                }
                bar.clear()
                print("\(report.readings) readings read, \(report.rejected) rejected")
                report.tally.report(file)
                try report.tally.end()
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
            let all = try options.load()
            let settings = all.nodes.piwardrive
            let permit = DiskGuard(all).permit(for: .nodeData, at: settings.spoolFolder)
            guard let node = NodeID(.piwardrive, unit) else {
                throw ValidationError("`\(unit)` is not 1 to 64 bytes of plain text")
            }
            let spool = try UploadSpool(folder: settings.spoolFolder, mostBytes: .max, permit: permit, isOwner: false)
            ImportCopy.removeOld(in: spool.folder)
            try await OpenStore.open(all) { store in
                let importer = UnitImporter(unit: node, spool: spool, permit: permit, store: store)
                var failure: ExitCode?
                // One file that cannot be taken holds up no other.
                for file in files {
                    guard FileHandle(forReadingAtPath: file) != nil else {
                        printError("\(file) cannot be read")
                        failure = failure ?? ExitCodes.inputOutput
                        continue
                    }
                    do {
                        let report = try importer.run(file)
                        print("\(file): \(report.text)")
                        report.tally.report(file)
                        if let bytes = report.waitingBytes {
                            print("\(file) waits to be merged: \(bytes) bytes of \(unit)")
                        }
                        try report.tally.end()
                    } catch let code as ExitCode {
                        failure = failure ?? code
                    } catch {
                        printError("\(file) was not taken: \(error)")
                        let isContent = (error as? DatabaseSnapshot.Failure)?.isInputOutput == false
                        failure = failure ?? (isContent ? ExitCodes.failure : ExitCodes.inputOutput)
                    }
                }
                if let failure { throw failure }
            }
        }
    }
}

/// Reads old data of ISEMS nodes into the store.
struct ISEMSImporter {
    let house: NodeHouse
    let file: String

    struct Report {
        var tally = ImportTally()

        var readings: Int { tally.found }
        var rejected: Int { tally.rejected }
    }

    /// Readings of one transaction.
    private static let slice = 2000

    /// - Parameter progress: is told 0...1.
    func log(_ progress: (Double) -> Void) throws -> Report {
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe))
        if bytes.starts(with: [0x1F, 0x8B]) {
            guard let expanded = Gzip.expand(bytes, most: 1 << 30) else {
                var report = Report()
                report.tally.problems.append("\(file) is a damaged gzip file, or holds more than a gigabyte")
                return report
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
            try report.tally.countBlocking(result.changes, in: house.store)
            try house.store.commitBlocking(result.changes)
            report.tally.rejected += result.rejected
            start = end
            progress(Double(start) / Double(bytes.count))
        }
        return report
    }

    /// - Parameter folder: Where a copy of the database is made while it is read.
    func database(
        copyIn folder: String, _ permit: DiskPermit, _ progress: (Double) -> Void
    ) throws -> Report {
        ImportCopy.removeOld(in: folder)
        try permit.take(Int(2 * DatabaseSnapshot.size(of: file)), path: folder)
        var copy = try SpoolFile(folder: folder, prefix: ImportCopy.prefix, permit: permit)
        defer { copy.discard() }
        let snapshot = try DatabaseSnapshot.take(file, to: copy.path)
        let bytes = snapshot.bytes
        var report = Report()
        if let problem = snapshot.problem { report.tally.problems.append(problem) }
        let database: GuardedDatabase
        do throws(GuardedDatabase.Failure) {
            database = try GuardedDatabase(path: copy.path, bytes: bytes)
        } catch {
            report.tally.problems.append(
                "\(file) \(error.isOfTheMoment ? "cannot be read" : "is no database"): \(error)")
            return report
        }
        var batches: [String: ReadingBatch] = [:]
        var read = 0
        var waiting = 0
        var failure: (any Error)?
        func commit() throws {
            let changes = batches.values.map { StoreChange.readings($0) }
            try report.tally.countBlocking(changes, in: house.store)
            try house.store.commitBlocking(changes)
            batches = [:]
            waiting = 0
        }
        let outcome = database.readMeasurements { reading in
            guard failure == nil else { return }
            guard let reading else {
                report.tally.rejected += 1
                return
            }
            let key = NodeKey(kind: NodeKind.isems.rawValue, name: reading.nodeID)
            batches[reading.nodeID, default: ReadingBatch(key: key, layout: ISEMSIntake.layout)].add(
                timeNanoseconds: reading.timeSeconds * 1_000_000_000, reading.values,
                text: "\(reading.revision ?? "");\(reading.firmware ?? "")")
            read += 1
            waiting += 1
            guard waiting >= Self.slice else { return }
            do { try commit() } catch { failure = error }
            // A row takes some 150 bytes there.
            progress(min(Double(read) * 150 / Double(max(bytes, 1)), 0.99))
        }
        if let failure { throw failure }
        try commit()
        switch outcome {
        case .whole: break
        case .missing: report.tally.problems.append("\(file) has no table measurement")
        case .unreadable(let reason):
            report.tally.problems.append("\(file) cannot be read to its end: \(reason); import it again")
        case .broken(let reason):
            report.tally.problems.append("\(file) is damaged: \(reason); what came before is taken")
        }
        return report
    }
}

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
        let depot = CO2Depot(folder: settings.dataFolder, mostUnitBytes: .max, permit: permit, begunAnew: { _, _ in })
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
        let beside = ((folder as NSString).standardizingPath as NSString).deletingLastPathComponent
        var places = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        places = places.sorted().map { "\(folder)/\($0)/var/pings" } + ["\(beside)/var/pings"]
        for place in places {
            for file in FolderFiles.all(below: place, depth: 0) where sequence.number(of: file.path) != nil {
                guard let bytes = read("\(place)/\(file.path)", &report) else { continue }
                let text = String(decoding: bytes, as: UTF8.self)
                var batches: [NodeID: ReadingBatch] = [:]
                for line in text.split(whereSeparator: \.isNewline) {
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
                try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
                try FileManager.default.copyItem(
                    atPath: "\(folder)/\(unit)/updates/\(name)", toPath: "\(target)/\(name)")
            }
        }
    }
}
