import Foundation
public import Store
import Synchronization

/// A Prometheus server, or what takes its remote write: the box's metrics with the times at which they were read.
public struct PrometheusSink: Sink {
    public enum Version: String, Sendable, CaseIterable {
        /// 2.0 where the server knows it, else 1.0.
        case auto
        case one = "1.0"
        case two = "2.0"
    }

    public struct Configuration: Sendable {
        /// Such as `http://prometheus.example:9090/api/v1/write`.
        public var url: String
        public var version = Version.auto
        public var user = ""
        public var password = ""
        /// Instead of user and password.
        public var bearerToken = ""
        public var transport = TransportOptions()

        public init(url: String) {
            self.url = url
        }
    }

    public let name = "prometheus"
    // One call at a time: the samples of a series must come in the order of their times.
    public let limits = SinkLimits(deliveries: 40, facts: 40, concurrency: 1, kinds: [.metrics])

    private static let mostPageBytes = 8 << 20
    private let configuration: Configuration
    private let aggregator: String
    private let store: Store
    private let transport: CurlTransport
    private let known = Known()

    /// What the server turned out to know, for as long as the daemon runs.
    private final class Known: Sendable {
        private let state = Mutex<RemoteWrite.Version?>(nil)

        var version: RemoteWrite.Version? {
            get { state.withLock { $0 } }
            set { state.withLock { $0 = newValue } }
        }
    }

    public init(configuration: Configuration, aggregator: String, store: Store, transport: CurlTransport) {
        self.configuration = configuration
        self.aggregator = aggregator
        self.store = store
        self.transport = transport
    }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        var report = SinkReport()
        var write = RemoteWrite()
        var sent: [DeliveryRecord] = []
        // `job` and `instance` are what a scrape would have given.
        let added = [
            ExpositionText.Label(name: "aggregator_uuid", value: aggregator),
            ExpositionText.Label(name: "instance", value: aggregator),
            ExpositionText.Label(name: "job", value: "edge_aggregator"),
        ]
        do throws(StoreError) {
            var batches: [(DeliveryRecord, MetricBatch)] = []
            for delivery in deliveries {
                if let batch = try await store.metricBatch(id: delivery.firstID) {
                    batches.append((delivery, batch))
                } else {
                    report.outcomes[delivery.id] = .void(reason: "the metrics are gone")
                }
            }
            for (delivery, batch) in batches.sorted(by: { $0.1.timeNanoseconds < $1.1.timeNanoseconds }) {
                sent.append(delivery)
                let page = Gzip.expand([UInt8](batch.payload), most: Self.mostPageBytes) ?? []
                for sample in ExpositionText.samples(String(decoding: page, as: UTF8.self), adding: added) {
                    write.add(sample, milliseconds: batch.timeNanoseconds / 1_000_000)
                }
            }
        } catch {
            return SinkReport(
                farEnd: .unavailable(reason: "the store cannot be read: \(error)", retryAfterSeconds: nil))
        }
        guard !write.isEmpty else {
            for delivery in sent { report.outcomes[delivery.id] = .void(reason: "no samples in it") }
            return report
        }
        do throws(TransportError) {
            note(try await send(write, &report), sent, &report)
        } catch {
            report.farEnd = .unavailable(reason: error.reason, retryAfterSeconds: nil)
        }
        return report
    }

    private func send(_ write: RemoteWrite, _ report: inout SinkReport) async throws(TransportError) -> OutgoingAnswer {
        let first: RemoteWrite.Version =
            switch configuration.version {
            case .one: .one
            case .two: .two
            case .auto: known.version ?? .two
            }
        let answer = try await send(write, first, &report)
        if configuration.version == .two, 200..<300 ~= answer.status, !Self.saysWhatWasWritten(answer) {
            throw TransportError(
                .cut, "the server does not say that it has written anything: it may not know 2.0 (prometheus_version)")
        }
        guard configuration.version == .auto, first == .two else { return answer }
        // A server that knows 2.0 says how much it has written. One that does not answers 415 if it follows the
        // specification; others find nothing they know in the request and say that all is well, or that it is bad.
        if 200..<300 ~= answer.status, Self.saysWhatWasWritten(answer) {
            known.version = .two
            return answer
        }
        let isUnknown =
            200..<300 ~= answer.status || answer.status == 415
            || (known.version == nil && 400..<500 ~= answer.status
                && ![401, 403, 404, 405, 429].contains(answer.status))
        guard isUnknown else { return answer }
        let second = try await send(write, .one, &report)
        if 200..<300 ~= second.status { known.version = .one }
        return second
    }

    private static func saysWhatWasWritten(_ answer: OutgoingAnswer) -> Bool {
        answer.headers["x-prometheus-remote-write-samples-written"] != nil
    }

    private func send(
        _ write: RemoteWrite, _ version: RemoteWrite.Version, _ report: inout SinkReport
    ) async throws(TransportError) -> OutgoingAnswer {
        let body = write.body(version)
        report.bytes += Int64(body.count)
        return try await transport.perform(request(body, version))
    }

    private func note(_ answer: OutgoingAnswer, _ sent: [DeliveryRecord], _ report: inout SinkReport) {
        let said = "\(answer.status) \(answer.text)"
        switch answer.status {
        case 200..<300:
            for delivery in sent { report.outcomes[delivery.id] = .done }
        case 401, 403:
            report.farEnd = .unauthorised(reason: said)
        case 404, 405, 300..<400:
            report.farEnd = .unavailable(
                reason: "\(said): check prometheus_url, and that the server takes remote write", retryAfterSeconds: nil)
        case 400..<500 where answer.status != 429:
            // The specification: never again. The good samples of the request are stored.
            for delivery in sent { report.outcomes[delivery.id] = .refused([delivery.firstID: said]) }
        default:
            report.farEnd = .unavailable(reason: said, retryAfterSeconds: answer.retryAfterSeconds)
        }
    }

    private func request(_ body: [UInt8], _ version: RemoteWrite.Version) -> OutgoingRequest {
        var headers = version.headers + [("Content-Encoding", "snappy"), ("User-Agent", "edge-aggregator")]
        if !configuration.bearerToken.isEmpty {
            headers.append(("Authorization", "Bearer \(configuration.bearerToken)"))
        } else if !configuration.password.isEmpty {
            let credentials = Data("\(configuration.user):\(configuration.password)".utf8).base64EncodedString()
            headers.append(("Authorization", "Basic \(credentials)"))
        }
        return OutgoingRequest(
            "POST", configuration.url, headers: headers, body: .bytes(body), options: configuration.transport)
    }
}
