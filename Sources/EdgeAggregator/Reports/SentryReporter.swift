import CEdgeSystem
import Digests
import Foundation
import Logging
import ServiceLifecycle
import TextParts
import Uplink

/// Sends errors to Sentry, where the operator has named one (`sentry_dsn`); never anything else, and never secrets.
///
/// A report is a courtesy: a few wait in memory, the same one goes once in ten minutes, and one that does not arrive is gone.
final class SentryReporter: Service, Sendable {
    /// Where reports go: `https://KEY@host/PROJECT` (Sentry, "Data Source Name").
    struct Address: Sendable, Equatable {
        let url: String
        let key: String

        /// Nil when the text is no such address.
        init?(_ text: String) {
            guard let parts = URLComponents(string: text), let scheme = parts.scheme,
                ["http", "https"].contains(scheme),
                let host = parts.host, let key = parts.user, !key.isEmpty
            else { return nil }
            var path = parts.path.parts(at: "/")
            guard let project = path.popLast() else { return nil }
            let prefix = path.map { "/\($0)" }.joined()
            let port = parts.port.map { ":\($0)" } ?? ""
            url = "\(scheme)://\(host)\(port)\(prefix)/api/\(project)/store/"
            self.key = key
        }
    }

    struct Report: Sendable {
        let level: String
        let message: String
        let details: [String: String]
        /// UTC.
        let nanoseconds: Int64
    }

    static let mostWaiting = 16
    private static let pause: Duration = .seconds(6)
    private static let samePause: Duration = .seconds(600)

    private let address: Address
    private let box: String
    private let secrets: [String]
    private let transport: CurlTransport
    private let reports: AsyncStream<Report>
    private let source: AsyncStream<Report>.Continuation

    /// - Parameter secrets: what must not leave the box, wherever it stands.
    init(address: Address, box: String, secrets: [String]) throws {
        self.address = address
        self.box = box
        self.secrets = secrets.filter { $0.count >= 4 }
        transport = try CurlTransport()
        (reports, source) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.mostWaiting))
    }

    func note(_ report: Report) { source.yield(report) }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var sent: [String: ContinuousClock.Instant] = [:]
            for await report in reports {
                let now = ContinuousClock.now
                if let last = sent[report.message], now - last < Self.samePause { continue }
                if sent.count > 100 { sent = [:] }
                sent[report.message] = now
                _ = try? await transport.perform(request(report))
                try? await Task.sleep(for: Self.pause)
            }
        }
        transport.stop()
    }

    private func scrubbed(_ text: String) -> String {
        let clean = secrets.reduce(text) { $0.replacingText($1, with: "[hidden]") }.hidingPasswords
        return String(String.UnicodeScalarView(clean.unicodeScalars.prefix(500)))
    }

    private func request(_ report: Report) -> OutgoingRequest {
        let text = "\(report.nanoseconds) \(report.message)"
        let id = String(SHA256.hash(text.utf8).hexadecimal.prefix(32))
        let event: [String: Any] = [
            "event_id": id, "timestamp": ISOTime.text(report.nanoseconds), "platform": "other", "level": report.level,
            "logger": "edge-aggregator", "server_name": box, "release": "edge-aggregator@\(Version.text)",
            "message": ["formatted": scrubbed(report.message)], "extra": report.details.mapValues(scrubbed),
        ]
        let body = (try? JSONSerialization.data(withJSONObject: event, options: [.sortedKeys])) ?? Data()
        var request = OutgoingRequest(
            "POST", address.url,
            headers: [
                ("Content-Type", "application/json"),
                (
                    "X-Sentry-Auth",
                    "Sentry sentry_version=7, sentry_client=edge-aggregator/\(Version.text), sentry_key=\(address.key)"
                ),
            ], body: .bytes(Array(body)))
        request.options.totalTimeoutSeconds = 30
        return request
    }
}

/// Hands errors of the log to the reporter, beside the lines.
struct SentryLogHandler: LogHandler {
    let reporter: SentryReporter
    private var lines: LineLogHandler

    var logLevel: Logger.Level {
        get { lines.logLevel }
        nonmutating set {}
    }
    var metadata: Logger.Metadata {
        get { lines.metadata }
        set { lines.metadata = newValue }
    }

    init(lines: LineLogHandler, reporter: SentryReporter) {
        self.lines = lines
        self.reporter = reporter
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { lines[metadataKey: key] }
        set { lines[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        lines.log(event: event)
        guard event.level >= .error else { return }
        reporter.note(
            SentryReporter.Report(
                level: event.level == .critical ? "fatal" : "error", message: "\(event.message)",
                details: (event.metadata ?? [:]).mapValues { "\($0)" }, nanoseconds: edge_realtime_ns()))
    }
}
