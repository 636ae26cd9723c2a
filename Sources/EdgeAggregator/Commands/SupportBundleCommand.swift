import ArgumentParser
import Foundation

/// `edge-aggregator support-bundle`: what somebody elsewhere needs in order to help.
struct SupportBundleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "support-bundle", abstract: "Gather settings, state and log in one file, without secrets.",
        discussion: """
            The file is a .tar.gz of texts; look through it before you hand it on. Sound is not in it. It is made without a \
            running daemon too, with what can be had.
            \(ExitCodes.help)
            """)

    @OptionGroup var options: SettingsOptions
    @OptionGroup var daemon: DaemonOptions

    @Option(
        name: .shortAndLong,
        help:
            "The file to write; else edge-aggregator-<box>-<time>.tar.gz here, or in /tmp where nothing can be written here."
    )
    var output: String?

    func run() async throws {
        let settings = try options.load()
        let bundle = SupportBundle(settings: settings) { path in
            try await SmallHTTPClient.ask(daemon.base(settings) + path, bearer: settings.knownToken)
        }
        let name =
            "edge-aggregator-\(settings.box.uuid.unicodeScalars.filter { $0.properties.isAlphabetic || $0.properties.numericType != nil || $0 == "-" })"
        let file = "\(name)-\(SupportBundle.stamp()).tar.gz"
        // A box whose root never changes has no room here.
        let isHere = FileManager.default.isWritableFile(atPath: FileManager.default.currentDirectoryPath)
        let target = output ?? (isHere ? file : "\(NSTemporaryDirectory())/\(file)")
        do {
            let files = try await bundle.write(to: target)
            print("\(target): \(files.joined(separator: ", "))")
        } catch {
            printError("The bundle was not made: \(error)")
            throw ExitCodes.inputOutput
        }
    }
}
