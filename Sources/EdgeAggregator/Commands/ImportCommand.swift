import ArgumentParser
import FieldNodes
import Foundation
import Store

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
            discussion:
                "They are put where uploads wait, and the daemon merges them. Where no daemon runs, the command does. It ends when they are merged, and says how many rows are in the database then.\n\(ExitCodes.help)"
        )

        @OptionGroup var options: SettingsOptions

        @Option(help: "The unit whose they are.")
        var unit: String

        @Option(
            help:
                "Seconds to wait for the daemon; 0 for not waiting. After that it merges them by itself, and the command ends with 1."
        )
        var wait = 600

        @Argument(help: "The files.")
        var files: [String]

        func validate() throws {
            guard (0...86_400).contains(wait) else { throw ValidationError("--wait: 0 to 86400 seconds") }
        }

        func run() async throws {
            let all = try options.load()
            let settings = all.nodes.piwardrive
            let permit = DiskGuard(all).permit(for: .nodeData, at: settings.spoolFolder)
            guard let node = NodeID(.piwardrive, unit) else {
                throw ValidationError("`\(unit)` is not 1 to 64 bytes of plain text")
            }
            let spool = try UploadSpool(folder: settings.spoolFolder, mostBytes: .max, permit: permit, isOwner: false)
            ImportCopy.removeOld(in: spool.folder)
            try await OpenStore.use(all) { house in
                let importer = UnitImporter(unit: node, spool: spool, permit: permit, store: house.store)
                var failure: ExitCode?
                var waiting: [UnitImporter.Waiting] = []
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
                        if let copy = report.waiting {
                            print("\(file) waits to be merged: \(copy.bytes) bytes of \(unit)")
                            waiting.append(copy)
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
                if wait > 0, !waiting.isEmpty {
                    let merge = UnitMergeWait(importer: importer, house: house, settings: all, maximumSeconds: wait)
                    if await !merge.run(waiting) { failure = failure ?? ExitCodes.failure }
                } else {
                    for file in waiting { file.discard() }
                }
                if let failure { throw failure }
            }
        }
    }
}
