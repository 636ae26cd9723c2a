import Foundation
public import Store
import Synchronization

/// A Prometheus server, or what takes its remote write: the box's metrics with the times at which they were read.
///
/// A server that has some samples of a request already (its answer was lost) may reject the whole request. Such a request is halved at
/// once, until each batch is known to be stored before or is stored now.
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
    public let limits = SinkLimits(
        deliveries: 40, facts: 40, concurrency: 1, kinds: Self.kinds, isInOrder: true)

    /// What it carries.
    public static let kinds = DeliveryKind.allCases.filter { kind in
        switch kind {
        case .metrics: true
        case .detections, .coverage, .observations, .analysis, .upload, .catalogue, .field, .fieldRemoval, .recording:
            false
        }
    }

    private static let maximumPageBytes = 8 << 20
    private let configuration: Configuration
    private let aggregator: String
    private let store: Store
    private let transport: CurlTransport
    private let known = Known()

    /// What the server turned out to know, for as long as the daemon runs.
    private final class Known: Sendable {
        private struct State {
            var version: RemoteWrite.Version?
            /// Deliveries whose last request got no answer: the server may have them. Nil until the first answer, since an earlier
            /// run of the daemon may have sent any of the first ones.
            var unanswered: Set<Int64>?
        }

        private let state = Mutex(State())

        var version: RemoteWrite.Version? {
            get { state.withLock { $0.version } }
            set { state.withLock { $0.version = newValue } }
        }

        func mayHaveBeenSent(_ delivery: Int64) -> Bool {
            state.withLock { $0.unanswered?.contains(delivery) ?? true }
        }

        func noteAnswer(_ deliveries: [Int64]) {
            state.withLock { $0.unanswered = ($0.unanswered ?? []).subtracting(deliveries) }
        }

        /// No more than one call is on its way, so this is no more than one call's deliveries.
        func noteSilence(_ deliveries: [Int64]) {
            state.withLock { if $0.unanswered != nil { $0.unanswered = Set(deliveries) } }
        }
    }

    public init(configuration: Configuration, aggregator: String, store: Store, transport: CurlTransport) {
        self.configuration = configuration
        self.aggregator = aggregator
        self.store = store
        self.transport = transport
    }

    /// The metrics of one moment.
    private struct Batch: Sendable {
        let delivery: DeliveryRecord
        let milliseconds: Int64
        let samples: [ExpositionText.Sample]
    }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        var report = SinkReport()
        let batches: [Batch]
        do throws(StoreError) {
            batches = try await read(deliveries, &report)
        } catch {
            return SinkReport(
                farEnd: .unavailable(reason: "the store cannot be read: \(error)", retryAfterSeconds: nil))
        }
        // In the order of their times, also where a request was halved.
        var ranges = [0..<batches.count]
        // Until the first answer, all of a call may have been sent before.
        let suspects = Set(batches.map(\.delivery.id).filter(known.mayHaveBeenSent))
        while let range = ranges.popLast(), report.farEnd == .well {
            guard !range.isEmpty else { continue }
            let part = batches[range]
            var write = RemoteWrite()
            for batch in part {
                for sample in batch.samples { write.add(sample, milliseconds: batch.milliseconds) }
            }
            let answer: RemoteWriteAnswer
            do throws(TransportError) {
                answer = RemoteWriteAnswer(try await send(write, &report))
                // After a 5xx the server may have some of it.
                if case .unavailable = answer {
                    known.noteSilence(part.map(\.delivery.id))
                } else {
                    known.noteAnswer(part.map(\.delivery.id))
                }
            } catch {
                known.noteSilence(part.map(\.delivery.id))
                report.farEnd = .unavailable(reason: error.reason, retryAfterSeconds: nil)
                break
            }
            if answer.isOfSomeSamples, range.count > 1 {
                let middle = range.lowerBound + range.count / 2
                ranges += [middle..<range.upperBound, range.lowerBound..<middle]
                continue
            }
            note(answer, part.map(\.delivery), wereSent: suspects, &report)
        }
        return report
    }

    private func read(
        _ deliveries: [DeliveryRecord], _ report: inout SinkReport
    ) async throws(StoreError) -> [Batch] {
        // `job` and `instance` are what a scrape would have given.
        let added = [
            ExpositionText.Label(name: "aggregator_uuid", value: aggregator),
            ExpositionText.Label(name: "instance", value: aggregator),
            ExpositionText.Label(name: "job", value: "edge_aggregator"),
        ]
        var batches: [Batch] = []
        for delivery in deliveries {
            guard let batch = try await store.metricBatch(id: delivery.firstID) else {
                report.outcomes[delivery.id] = .void(reason: "the metrics are gone")
                continue
            }
            let page = Gzip.expand([UInt8](batch.payload), most: Self.maximumPageBytes) ?? []
            let samples = ExpositionText.samples(String(decoding: page, as: UTF8.self), adding: added)
            if samples.isEmpty {
                report.outcomes[delivery.id] = .void(reason: "no samples in it")
            } else {
                batches.append(
                    Batch(
                        delivery: delivery, milliseconds: batch.timeNanoseconds / 1_000_000, samples: samples))
            }
        }
        return batches.sorted { $0.milliseconds < $1.milliseconds }
    }

    /// - Parameter wereSent: deliveries that the server may have from a request whose answer was lost.
    private func note(
        _ answer: RemoteWriteAnswer, _ deliveries: [DeliveryRecord], wereSent: Set<Int64>, _ report: inout SinkReport
    ) {
        func all(_ outcome: (DeliveryRecord) -> SinkOutcome) {
            for delivery in deliveries { report.outcomes[delivery.id] = outcome(delivery) }
        }
        switch answer {
        case .stored:
            all { _ in .done }
        case .duplicate(let reason), .outOfOrder(let reason):
            // Samples go in the order of their times. So what was sent before is stored, and what was not is lost to this server: it has other
            // samples of a series at that time, or later ones.
            all { wereSent.contains($0.id) ? .done : .refused([$0.firstID: reason]) }
        case .tooOld(let reason):
            all { .refused([$0.firstID: reason]) }
        case .rejected(let reason):
            report.farEnd = .rejected(reason: reason)
        case .unauthorised(let reason):
            report.farEnd = .unauthorised(reason: reason)
        case .unavailable(let reason, let retryAfter):
            report.farEnd = .unavailable(reason: reason, retryAfterSeconds: retryAfter)
        }
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
