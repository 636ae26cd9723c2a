import ArgumentParser
import Foundation
import Sensors
import Store

/// `edge-aggregator import-recordings --in-place`: takes in what the replaced receiver recorded and left on the disk. It may be repeated: what
/// has a row is not taken twice.
struct ImportRecordingsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import-recordings",
        abstract: "Take in the recordings that the replaced receiver left on the disk. The daemon may run meanwhile.",
        discussion: """
            They are analyzed and delivered as others are. Finished ones stay where they are; unfinished ones, of recordings_tmp, are repaired \
            and moved to recordings_dir. End the replaced receiver before. See docs/operations.md.
            \(ExitCodes.help)
            """)

    @OptionGroup var options: SettingsOptions

    @Flag(help: "Leave the files where they are, instead of copying them. There is no other way yet.")
    var inPlace = false

    @Argument(
        help: """
            One of the folders recordings_dir and recordings_temp_dir (or recordings_tmp), or the folder above; all if left \
            out.
            """)
    var folder: String?

    func validate() throws {
        guard inPlace else {
            throw ValidationError("Say --in-place: the files stay where they are. They cannot be copied yet")
        }
    }

    func run() async throws {
        let settings = try options.load()
        let recordings = settings.recordings.folder
        let folders = LegacyFolders(recordingsFolder: recordings, spoolFolder: settings.recordings.spoolFolder)
        let chosen = try chosen(of: folders)
        // Memory: the path is borrowed for the calls.
        guard unsafe access(recordings, F_OK) == 0 else {
            printError("\(recordings) is not there: set recordings_dir or base_dir to where the recordings are")
            throw ExitCodes.inputOutput
        }
        guard unsafe access(recordings, R_OK | W_OK | X_OK) == 0 else {
            printError("\(recordings) cannot be read and written: run this as its owner, or as the daemon's user")
            throw ExitCodes.inputOutput
        }
        let lock = try lock(recordings)
        defer { close(lock) }
        try await OpenStore.open(settings) { store in
            let importer = RecordingImporter(
                store: store, folders: folders, isAnalysisOn: settings.analysis.isOn, time: TimeService())
            let report: RecordingImporter.Report
            do {
                report = try await importer.run(chosen)
            } catch {
                printError("\(recordings): \(error). What was taken before stays; run this again")
                throw ExitCodes.inputOutput
            }
            for line in report.rejections + report.problems { printError(line) }
            print("\(chosen.joined(separator: ", ")): \(report.text)")
            if report.new > 0 { print("\(report.bytes) bytes are new; \(report.repaired) of the files were repaired") }
            if report.isNothing { printError("\(chosen.joined(separator: ", ")): nothing of it was taken") }
            if report.isNothing || !report.isComplete { throw ExitCodes.failure }
        }
    }

    private func chosen(of folders: LegacyFolders) throws -> [String] {
        let all = [folders.recordings] + folders.unfinished
        guard let folder else { return all }
        // Memory: the path is borrowed for the call.
        guard unsafe access(folder, R_OK | X_OK) == 0 else {
            printError("\(folder) cannot be read")
            throw ExitCodes.inputOutput
        }
        guard let chosen = folders.folders(at: folder) else {
            throw ValidationError(
                "\(folder) is none of \(all.joined(separator: ", ")). Files that stay in place have to be in one of these: set recordings_dir or base_dir, or move them there"
            )
        }
        return chosen
    }

    /// Two imports at once would take a file twice.
    ///
    /// Memory: the path is borrowed for the call. The caller closes the descriptor, which frees the lock.
    private func lock(_ folder: String) throws -> Int32 {
        // Sent where another program opens a file that is being looked at.
        signal(SIGIO, SIG_IGN)
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            printError("\(folder) cannot be opened (errno \(errno))")
            throw ExitCodes.inputOutput
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            printError("Another import-recordings is at work in \(folder): wait until it has ended")
            throw ExitCodes.failure
        }
        return descriptor
    }
}
