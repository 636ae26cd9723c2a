import ArgumentParser
import FieldNodes
import Foundation
import Store

/// `edge-aggregator export`: writes data in the form in which replaced systems kept it, for programs that read it there.
struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write data in the form of replaced systems. The daemon may run meanwhile.",
        discussion: ExitCodes.help, subcommands: [CO2.self])

    struct CO2: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "co2", abstract: "The tables of the CO2 units' server, as a SQLite file.",
            discussion: """
                Tables pings, co2_readings, error_logs and deploy_durations_tiered, by the rules of that server's import. The file gets \
                its name when it is complete. See docs/nodes.md.
                \(ExitCodes.help)
                """)

        @OptionGroup var options: SettingsOptions

        @Flag(help: "Replace the file if it exists.")
        var force = false

        @Argument(help: "The file to write.")
        var file: String

        func run() async throws {
            let settings = try options.load()
            let database = "\(settings.box.baseFolder)/edge.db"
            guard FileManager.default.fileExists(atPath: database) else {
                printError("\(database): there is no database; name the daemon's settings with --settings")
                throw ExitCodes.inputOutput
            }
            try await OpenStore.open(settings) { store in
                do {
                    let table = try TableFile(path: file, replaces: force, schema: CO2TableRows.schema)
                    let exporter = CO2Exporter(store: store, settings: settings.nodes.co2, file: table)
                    let folder = (file as NSString).deletingLastPathComponent
                    let permit = DiskGuard(settings).permit(for: .nodeData, at: folder.isEmpty ? "." : folder)
                    try permit.take(Int(clamping: try exporter.estimatedBytes()), path: file)
                    let report = try await exporter.run()
                    let bytes = try table.finish(CO2TableRows.indexes)
                    print("\(file): \(Dashboard.bytes(bytes)), \(report.text)")
                } catch {
                    printError("Nothing was exported: \(error)")
                    throw ExitCodes.inputOutput
                }
            }
        }
    }
}
