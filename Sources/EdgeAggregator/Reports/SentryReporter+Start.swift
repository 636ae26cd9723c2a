import CEdgeSystem
import Foundation

/// Starts that fail: what the operator reads on standard error goes to Sentry too, before the program ends.
extension SentryReporter {
    /// The end of the program waits for so long that the report arrives.
    static let flushTime: Duration = .seconds(2)

    convenience init?(_ settings: Settings) {
        guard let address = settings.box.sentry else { return nil }
        self.init(address: address, box: settings.box.uuid, secrets: settings.secrets)
    }

    /// For settings that are wrong, where at least `sentry_dsn` is right.
    convenience init?(ofWrongSettings path: String?) {
        let environment = ProcessInfo.processInfo.environment
        var loader = SettingsLoader()
        loader.load(file: SettingsLoader.file(named: path, environment: environment), environment: environment)
        let reader = SettingsReader(loader: loader)
        guard let address = Address(reader.text("sentry_dsn")) else { return nil }
        self.init(
            address: address, box: reader.text("aggregator_uuid"), secrets: Settings.secrets(of: loader.values))
    }

    /// Tells why the program ends, and what else waits; takes ``flushTime`` at most.
    func reportEnd(_ reason: String) async {
        await flush(
            Report(level: "fatal", message: reason, details: [:], nanoseconds: edge_realtime_ns()),
            within: Self.flushTime)
    }
}
