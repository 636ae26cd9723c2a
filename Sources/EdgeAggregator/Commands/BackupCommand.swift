import ArgumentParser
import Foundation
import Store

/// `edge-aggregator backup`: a consistent copy of the database, the daemon running or not.
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copy the database, as of one moment, to a new folder.",
        discussion: """
            The daemon may run. The folder gets edge.db and backup.json, and with --recordings the sound that the copy knows. \
            Settings and secrets are not in it.
            \(ExitCodes.help)
            """)

    @OptionGroup var options: SettingsOptions

    @Argument(help: "A folder that does not exist yet, or is empty.")
    var folder: String

    @Flag(help: "Copy the recordings too.")
    var recordings = false

    func run() async throws {
        let settings = try options.load()
        do {
            let made = try BackupFolder(path: folder).make(settings, withRecordings: recordings)
            print(
                "\(folder): \(Dashboard.bytes(made.databaseBytes)), \(made.recordings) recordings, \(made.detections) detections, "
                    + "\(made.observations) observations\(recordings ? ", \(made.files) files of sound" : "")")
        } catch {
            printError("The backup was not made: \(error)")
            throw ExitCodes.inputOutput
        }
    }
}

/// `edge-aggregator restore`: the way back.
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Put a backup in the place of the database.",
        discussion: """
            The daemon must not run. The database that is there is put aside beside it (edge.db.before-restore-N), never deleted; \
            recordings on disk that the backup does not know are taken up at the next start.
            \(ExitCodes.help)
            """)

    @OptionGroup var options: SettingsOptions

    @Argument(help: "A folder that `backup` made.")
    var folder: String

    func run() async throws {
        let settings = try options.load()
        do {
            let aside = try BackupFolder(path: folder).restore(settings)
            print(
                "\(settings.box.baseFolder)/edge.db is the one of \(folder) now"
                    + (aside.map { "; the former one is \($0)" } ?? ""))
        } catch {
            printError("Nothing was restored: \(error)")
            throw ExitCodes.inputOutput
        }
    }
}
