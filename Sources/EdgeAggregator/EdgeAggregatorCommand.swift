import ArgumentParser

/// The program.
@main
struct EdgeAggregatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edge-aggregator",
        abstract: "Receives sound from many listeners and says what is heard in it.",
        discussion: ExitCodes.help,
        version: Version.text,
        subcommands: [
            RunCommand.self, StreamCommand.self, AnalyzeCommand.self, StatusCommand.self, DeliveriesCommand.self,
            SensorsCommand.self, OutputsCommand.self, NodesCommand.self, ImportCommand.self,
            ImportRecordingsCommand.self, ExportCommand.self, PollCommand.self, ForecastsCommand.self,
            BenchmarkCommand.self,
            SettingsCommand.self, DoctorCommand.self, BackupCommand.self, RestoreCommand.self,
            SupportBundleCommand.self, HealthcheckCommand.self,
        ])

    static func main() async {
        FileModes.restrict()
        await main(nil)
    }
}
