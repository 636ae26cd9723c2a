import ArgumentParser
import Foundation

/// `edge-aggregator healthcheck`: for whoever watches containers.
struct HealthcheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck", abstract: "Ask the daemon whether it is ready: 0 if it is.",
        discussion: ExitCodes.help)

    @OptionGroup var options: SettingsOptions
    @OptionGroup var daemon: DaemonOptions

    func run() async throws {
        let settings = try options.load()
        print(try await daemon.ask("/readyz", settings))
    }
}
