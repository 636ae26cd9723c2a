public import Sensors
public import Store
import TextParts

/// An S3 bucket: recordings' files, each under a key made from the box, the listener and the file's name; and the files of
/// forecast fields.
///
/// There is a sink for each bucket: recordings and fields may go to the same or to two.
public struct S3Sink: Sink {
    public let name: String
    public let limits: SinkLimits

    /// What can go to a bucket.
    public static let kinds = DeliveryKind.allCases.filter { kind in
        switch kind {
        case .recording, .field, .fieldRemoval: true
        case .detections, .coverage, .observations, .analysis, .upload, .metrics, .catalogue: false
        }
    }

    private let configuration: S3Configuration
    private let aggregator: String
    private let recordingsFolder: String
    private let fieldsFolder: String
    private let window: UploadWindow?
    private let store: Store
    private let time: any TimeSource
    private let uploader: S3Uploader

    /// - Parameters:
    ///   - kinds: those among ``kinds`` that this sink carries.
    ///   - others: buckets of other sinks, whose unfinished uploads are left to them.
    public init(
        name: String, kinds: [DeliveryKind], configuration: S3Configuration, others: [S3Configuration] = [],
        aggregator: String, recordingsFolder: String, fieldsFolder: String, window: UploadWindow?, store: Store,
        time: any TimeSource, transport: CurlTransport
    ) {
        self.name = name
        limits = SinkLimits(deliveries: 1, facts: 1, concurrency: 2, kinds: kinds)
        var configuration = configuration
        // The limit is for the sink, not for each of its connections.
        let limit = configuration.transport.mostBytesPerSecond
        if limit > 0 { configuration.transport.mostBytesPerSecond = max(1, limit / Int64(limits.concurrency)) }
        self.configuration = configuration
        self.aggregator = aggregator
        self.recordingsFolder = recordingsFolder
        self.fieldsFolder = fieldsFolder
        self.window = window
        self.store = store
        self.time = time
        uploader = S3Uploader(
            configuration: configuration, others: others, store: store, time: time,
            client: S3Client(configuration: configuration, transport: transport, time: time))
    }

    /// `<prefix>/<aggregator>/<listener>/<file>`
    public static func key(_ recording: RecordingRecord, prefix: String, aggregator: String) -> String {
        [prefix, aggregator, recording.listenerID, recording.name].filter { !$0.isEmpty }.joined(separator: "/")
    }

    /// `<prefix>/<aggregator>/forecasts/<path>`
    public static func key(_ dataset: DatasetRecord, prefix: String, aggregator: String) -> String {
        [prefix, aggregator, "forecasts", dataset.path].filter { !$0.isEmpty }.joined(separator: "/")
    }

    public func pauseReason() -> String? {
        guard let window, !window.contains(utcNanoseconds: time.now().utcNanoseconds) else { return nil }
        return "files are sent from \(window.text) only (upload_window)"
    }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        var report = SinkReport()
        await uploader.giveUpAbandoned()
        for delivery in deliveries {
            if Task.isCancelled || pauseReason() != nil { break }
            do throws(S3Interruption) {
                report.outcomes[delivery.id] = try await deliver(delivery, &report.bytes)
            } catch {
                (report.farEnd, report.scope) = (error.farEnd, error.scope)
                break
            }
        }
        report.notices = uploader.learnt.takeNotices()
        return report
    }

    /// By the extension of the file's name.
    private static func mediaType(_ path: String) -> String {
        switch path.halves(atLast: ".")?.after {
        case "flac": "audio/flac"
        case "mp3": "audio/mpeg"
        case "w64": "audio/x-w64"
        case "aiff": "audio/aiff"
        case "caf": "audio/x-caf"
        case "ogg", "opus": "audio/ogg"
        default: "audio/wav"
        }
    }

    private static func metadata(_ recording: RecordingRecord, path: String) -> [(name: String, value: String)] {
        [
            ("Content-Type", mediaType(path)),
            ("x-amz-meta-duration", PythonText.number(Double(recording.durationNanoseconds / 1_000_000) / 1e3)),
            ("x-amz-meta-listener", recording.listenerID),
            ("x-amz-meta-start", UTCText.microseconds(recording.startNanoseconds)),
            ("x-amz-meta-time-quality", recording.timeQuality),
        ]
    }

    private func deliver(_ delivery: DeliveryRecord, _ sent: inout Int64) async throws(S3Interruption) -> SinkOutcome {
        switch delivery.kind {
        case .field: try await deliverField(delivery, &sent)
        case .fieldRemoval: try await removeField(delivery)
        case .recording: try await deliverRecording(delivery, &sent)
        case .detections, .coverage, .observations, .analysis, .upload, .metrics, .catalogue:
            // Not among ``kinds``, so it is never asked for.
            .failed(reason: "the S3 sink does not carry \(delivery.kind.rawValue)")
        }
    }

    private func read<Value>(_ body: () async throws(StoreError) -> Value) async throws(S3Interruption) -> Value {
        do throws(StoreError) {
            return try await body()
        } catch {
            throw S3Interruption(
                farEnd: .unavailable(reason: "the store cannot be read: \(error)", retryAfterSeconds: nil))
        }
    }

    private func deliverRecording(
        _ delivery: DeliveryRecord, _ sent: inout Int64
    ) async throws(S3Interruption) -> SinkOutcome {
        let found = try await read { () async throws(StoreError) in try await store.recording(id: delivery.firstID) }
        guard let recording = found, recording.state == "closed" else { return .void(reason: "the recording is gone") }
        let path = "\(recordingsFolder)/\(recording.relativePath)"
        return try await uploader.send(
            delivery, key: Self.key(recording, prefix: configuration.prefix, aggregator: aggregator), path: path,
            metadata: Self.metadata(recording, path: path), sealFor: recording, &sent)
    }

    private func deliverField(_ delivery: DeliveryRecord, _ sent: inout Int64) async throws(S3Interruption)
        -> SinkOutcome
    {
        let found = try await read { () async throws(StoreError) in try await store.dataset(number: delivery.firstID) }
        guard let dataset = found, dataset.state == .ready else { return .void(reason: "the field is gone") }
        return try await uploader.send(
            delivery, key: Self.key(dataset, prefix: configuration.prefix, aggregator: aggregator),
            path: "\(fieldsFolder)/\(dataset.path)", metadata: [("Content-Type", "application/netcdf")], sealFor: nil,
            &sent)
    }

    private func removeField(_ delivery: DeliveryRecord) async throws(S3Interruption) -> SinkOutcome {
        let found = try await read { () async throws(StoreError) in try await store.dataset(number: delivery.firstID) }
        guard let dataset = found else { return .void(reason: "the field was removed before") }
        return try await uploader.remove(
            key: Self.key(dataset, prefix: configuration.prefix, aggregator: aggregator))
    }
}
