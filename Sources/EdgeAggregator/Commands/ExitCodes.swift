import ArgumentParser
import CEdgeSystem
import Foundation
import TextParts

/// What the program's exit codes mean; they are those of sysexits(3) where there is one.
enum ExitCodes {
    /// Something failed.
    static let failure = ExitCode(1)
    /// The daemon cannot be reached, or a file to be fetched is missing.
    static let unavailable = ExitCode(69)
    /// A file cannot be read or written.
    static let inputOutput = ExitCode(74)
    /// The daemon has ended itself; the next start repairs what this run could not.
    static let cannotContinue = ExitCode(75)
    /// The settings are wrong.
    static let settings = ExitCode(78)

    static let help = """
        EXIT CODES: 0 done; 1 failed; 64 wrong usage; 69 the daemon cannot be reached; 74 a file cannot be read or \
        written; 75 the daemon has ended itself, and the next start repairs what it could not; 78 the settings are wrong.
        """
}

/// Standard error, a line at a time, without passwords. What the daemon says before it ends goes to its ``LogFile`` too.
func printError(_ text: String) {
    let text = text.hidingPasswords
    FileHandle.standardError.write(Data((text + "\n").utf8))
    LogFile.current?.write("\(ISOTime.text(edge_realtime_ns())) error \(text)")
}

/// Where the settings stand.
struct SettingsOptions: ParsableArguments {
    @Option(
        name: .customLong("settings"),
        help: "The settings file (else $CONFIG_PATH, ./settings.yaml, /etc/edge-aggregator/settings.yaml).")
    var path: String?

    /// Loads the settings and says where they and the data are, or tells all that is wrong with them and ends with 78.
    func load() throws -> Settings {
        let settings: Settings
        do {
            settings = try Settings(path: path)
        } catch let problems as SettingsProblems {
            throw Self.refuse(problems)
        }
        for warning in settings.warnings { printError("warning: \(warning)") }
        printError(settings.places)
        return settings
    }

    /// Tells what is wrong with settings.
    static func refuse(_ problems: SettingsProblems) -> ExitCode {
        printError("The settings are wrong:\n\(problems)")
        for notice in problems.notices { printError("warning: \(notice)") }
        return ExitCodes.settings
    }
}
