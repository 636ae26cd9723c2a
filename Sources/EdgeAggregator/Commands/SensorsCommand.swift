import ArgumentParser
import Foundation

/// `edge-aggregator sensors`: how the sensors of the running daemon are; and recalibration.
struct SensorsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sensors", abstract: "Show the sensors of the running daemon, or recalibrate one.",
        discussion: """
            Recalibrating tells a CO2 sensor that it has been, for as long as its maker says (minutes), in air of so many ppm: \
            `edge-aggregator sensors --recalibrate hut --co2 420`.
            \(ExitCodes.help)
            """)

    @OptionGroup var options: SettingsOptions
    @OptionGroup var daemon: DaemonOptions

    @Option(help: "Recalibrate this sensor.")
    var recalibrate: String?

    @Option(help: "With --recalibrate: the ppm of CO2 about it.")
    var co2: Int?

    @Flag(help: "Print the daemon's answer as it is.")
    var json = false

    func validate() throws {
        if (recalibrate == nil) != (co2 == nil) {
            throw ValidationError("--recalibrate and --co2 go together")
        }
    }

    func run() async throws {
        let settings = try options.load()
        if let recalibrate, let co2 {
            let path = "/api/v1/sensors/\(DaemonOptions.encode(recalibrate))/recalibrate?co2=\(co2)"
            print(try await daemon.ask(path, settings, method: .post))
            return
        }
        let body = try await daemon.ask("/api/v1/sensors", settings)
        if json {
            print(body)
            return
        }
        struct Page: Decodable { let sensors: [SensorResources.Sensor] }
        let page: Page = try daemon.decode(body)
        if page.sensors.isEmpty { print("No sensor is set. See docs/sensors.md.") }
        for sensor in page.sensors {
            let values = sensor.values.sorted { $0.key < $1.key }.map { "\($0) \($1.value) \($1.unit)" }
            print(
                "\(sensor.name): \(sensor.kind) at \(sensor.place), \(sensor.state)"
                    + (sensor.reason.map { " (\($0))" } ?? "")
                    + (values.isEmpty ? "" : "; \(values.joined(separator: ", "))"))
        }
    }
}
