import CEdgeSystem
import Digests
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
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
    private static let requestTimeoutSeconds = 30
    /// Messages of which it is known when they were sent; beyond that all are forgotten.
    private static let mostKnown = 100

    private struct State {
        var waiting: [Report] = []
        /// When each message was sent last.
        var sent: [String: ContinuousClock.Instant] = [:]
    }

    private let address: Address
    private let box: String
    private let secrets: [String]
    private let state = Mutex(State())
    private let bell: AsyncStream<Void>
    private let ringer: AsyncStream<Void>.Continuation

    /// - Parameter secrets: what must not leave the box, wherever it stands.
    init(address: Address, box: String, secrets: [String]) {
        self.address = address
        self.box = box
        self.secrets = secrets.filter { $0.count >= 4 }
        (bell, ringer) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Takes a report, unless too many wait.
    func note(_ report: Report) {
        state.withLock { state in
            if state.waiting.count < Self.mostWaiting { state.waiting.append(report) }
        }
        ringer.yield()
    }

    func run() async throws {
        let transport = try CurlTransport()
        await cancelWhenGracefulShutdown { [self] in
            for await _ in bell {
                while let report = next(), !Task.isCancelled {
                    await send(report, by: transport, withinSeconds: Self.requestTimeoutSeconds)
                    // What was cut off waits for the flush.
                    guard !Task.isCancelled else { return }
                    sent(report)
                    try? await Task.sleep(for: Self.pause)
                }
            }
        }
        transport.stop()
    }

    /// Sends the last reports of a program that ends: this one first, then what waits, without pauses.
    ///
    /// - Parameter duration: It returns then at the latest. What has not arrived is gone.
    func flush(_ last: Report, within duration: Duration) async {
        let end = ContinuousClock.now + duration
        let done = Bell()
        // Not a child that would be waited for: libcurl cannot be cut off while the system looks for a name, which may take long without a network.
        Task { [self] in
            if let transport = try? CurlTransport() {
                // It is the reason of the end, so it goes also where the same was reported just now.
                var report: Report? = last
                while let current = report, .now < end {
                    await send(current, by: transport, withinSeconds: Int((end - .now).components.seconds) + 1)
                    sent(current)
                    report = next()
                }
                transport.stop()
            }
            done.ring()
        }
        await done.wait(atMost: duration)
    }

    /// The oldest report that waits and was not sent just now. It goes on waiting until ``sent(_:)`` is told of it.
    private func next() -> Report? {
        let now = ContinuousClock.now
        return state.withLock { state in
            state.waiting.removeAll { report in state.sent[report.message].map { now - $0 < Self.samePause } ?? false }
            return state.waiting.first
        }
    }

    /// A report has arrived, or could not: it is not sent again.
    private func sent(_ report: Report) {
        state.withLock { state in
            if state.sent.count >= Self.mostKnown { state.sent = [:] }
            state.sent[report.message] = .now
        }
    }

    private func send(_ report: Report, by transport: CurlTransport, withinSeconds seconds: Int) async {
        var request = request(report)
        request.options.totalTimeoutSeconds = seconds
        _ = try? await transport.perform(request)
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
        return OutgoingRequest(
            "POST", address.url,
            headers: [
                ("Content-Type", "application/json"),
                (
                    "X-Sentry-Auth",
                    "Sentry sentry_version=7, sentry_client=edge-aggregator/\(Version.text), sentry_key=\(address.key)"
                ),
            ], body: .bytes(Array(body)))
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
