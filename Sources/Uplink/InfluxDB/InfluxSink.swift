import Foundation
public import Store

/// InfluxDB 3, by its own API (`/api/v3/write_lp`) or the older one (`/api/v2/write`).
public struct InfluxSink: Sink {
    public enum API: String, Sendable, CaseIterable {
        case v3, v2
    }

    public struct Configuration: Sendable {
        /// Such as `http://influx.example:8181`.
        public var url: String
        public var token = ""
        public var api = API.v3
        /// The database (v3) or bucket (v2).
        public var database = "recordings"
        /// v2 only; may be empty.
        public var organisation = ""
        public var transport = TransportOptions()

        public init(url: String) {
            self.url = url
        }
    }

    /// Of one request. The server takes 10,485,760 bytes, compressed and not alike; these are less, so that what is on its
    /// way stays small in memory. Its answer waits for its log, so a few requests are on their way at a time.
    static let mostLines = 4000
    static let mostBytes = 1_000_000
    private static let mostAnalysedTogether = 16

    public let name = "influx"
    public let limits: SinkLimits
    private let configuration: Configuration
    private let points: InfluxPoints
    /// Where files go, for the news of an upload; nil without an S3 sink.
    private let remote: (@Sendable (RecordingRecord) -> String)?
    private let store: Store
    private let transport: CurlTransport

    public init(
        configuration: Configuration, points: InfluxPoints, remote: (@Sendable (RecordingRecord) -> String)?,
        store: Store, transport: CurlTransport
    ) {
        self.configuration = configuration
        self.points = points
        self.remote = remote
        self.store = store
        self.transport = transport
        limits = SinkLimits(
            deliveries: 500, facts: Self.mostLines, concurrency: 4,
            kinds: Self.kinds(points.tables))
    }

    /// What it carries; kinds without a table are not written.
    public static func kinds(_ tables: InfluxPoints.Tables) -> [DeliveryKind] {
        DeliveryKind.allCases.filter { kind in
            switch kind {
            case .detections, .coverage, .observations: true
            case .analysis: !tables.analysis.isEmpty
            case .upload: !tables.uploads.isEmpty
            case .metrics, .catalogue, .field, .fieldRemoval, .recording: false
            }
        }
    }

    /// The facts that a line was made from.
    private struct Origin: Sendable {
        let delivery: Int64
        let facts: ClosedRange<Int64>

        init(_ delivery: Int64, _ facts: ClosedRange<Int64>) {
            self.delivery = delivery
            self.facts = facts
        }
    }

    private struct Batch: Sendable {
        var lines = LineProtocol()
        var origins: [Origin] = []
        /// Where each line begins.
        var starts: [Int] = []

        /// Adds a line, unless there is nothing to write.
        mutating func add(_ origin: Origin, _ write: (inout LineProtocol) -> Bool) {
            let start = lines.bytes.count
            guard write(&lines) else { return }
            starts.append(start)
            origins.append(origin)
        }

        mutating func append(_ other: Batch) {
            let start = lines.bytes.count
            lines.append(other.lines)
            starts += other.starts.map { start + $0 }
            origins += other.origins
        }
    }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        var report = SinkReport()
        var batch = Batch()
        // Deliveries whose lines are in the batch; done once it is sent.
        var open: [DeliveryRecord] = []
        do {
            var analysed: [Int64: (recording: RecordingRecord, detections: [DetectionRecord])] = [:]
            for (place, delivery) in deliveries.enumerated() {
                let lines = batch.origins.count
                if delivery.kind == .analysis {
                    if analysed[delivery.firstID] == nil {
                        analysed = try await store.analysedRecordings(
                            ids: deliveries[place...].prefix(Self.mostAnalysedTogether)
                                .filter { $0.kind == .analysis }.map(\.firstID))
                    }
                    add(delivery, analysed[delivery.firstID], to: &batch)
                } else {
                    try await add(delivery, to: &batch)
                }
                if batch.origins.count == lines {
                    report.outcomes[delivery.id] = .void(reason: "what it referred to is gone")
                    continue
                }
                open.append(delivery)
                guard batch.origins.count >= Self.mostLines || batch.lines.bytes.count >= Self.mostBytes else {
                    continue
                }
                guard await send(&batch, &open, &report) else { return report }
            }
            if !open.isEmpty { _ = await send(&batch, &open, &report) }
        } catch {
            report.farEnd = .unavailable(reason: "the store cannot be read: \(error)", retryAfterSeconds: nil)
        }
        return report
    }

    /// Sends a batch and settles its deliveries; false when the endpoint does not take it now.
    private func send(_ batch: inout Batch, _ open: inout [DeliveryRecord], _ report: inout SinkReport) async -> Bool {
        let result = await send(batch)
        report.bytes += result.bytes
        guard result.farEnd == .well else {
            // All of the batch's deliveries stay; what is stored already is not seen when it comes again.
            report.farEnd = result.farEnd
            return false
        }
        var refused: [Int64: [Int64: String]] = [:]
        for (index, reason) in result.refused {
            let origin = batch.origins[index]
            for fact in origin.facts { refused[origin.delivery, default: [:]][fact] = reason }
        }
        for delivery in open { report.outcomes[delivery.id] = refused[delivery.id].map { .refused($0) } ?? .done }
        batch = Batch()
        open = []
        return true
    }

    // MARK: - Lines

    private func add(
        _ delivery: DeliveryRecord, _ found: (recording: RecordingRecord, detections: [DetectionRecord])?,
        to batch: inout Batch
    ) {
        guard let found else { return }
        batch.add(Origin(delivery.id, delivery.firstID...delivery.lastID)) {
            points.analysis(found.recording, detections: found.detections, to: &$0)
        }
    }

    private func add(_ delivery: DeliveryRecord, to batch: inout Batch) async throws(StoreError) {
        switch delivery.kind {
        case .detections:
            let points = points
            batch.append(
                try await store.reduceDetectionFacts(of: delivery, into: Batch()) { part, fact in
                    let id = fact.detection.id ?? 0
                    part.add(Origin(delivery.id, id...id)) { points.detection(fact, to: &$0) }
                })
        case .observations:
            for together in try await store.observationFacts(of: [delivery]).byMoment {
                // What the board said at one moment is one point; each other observation is one by itself.
                let isBoard = together[0].source == ObservationRecord.board
                for point in isBoard ? [together[...]] : together.indices.map({ together[$0...$0] }) {
                    let ids = point.compactMap(\.id)
                    guard let first = ids.first, let last = ids.last else { continue }
                    batch.add(Origin(delivery.id, first...last)) { lines in
                        isBoard
                            ? points.health(Array(point), to: &lines)
                            : points.observation(point[point.startIndex], to: &lines)
                    }
                }
            }
        case .coverage:
            for entry in try await store.ledgerEntries(delivery.firstID, through: delivery.lastID) {
                let id = entry.id ?? 0
                batch.add(Origin(delivery.id, id...id)) { points.coverage(entry, to: &$0) }
            }
        case .upload:
            guard let recording = try await store.recording(id: delivery.firstID) else { return }
            batch.add(Origin(delivery.id, delivery.firstID...delivery.lastID)) {
                points.upload(recording, remote: remote?(recording) ?? "", to: &$0)
            }
        case .analysis, .recording, .metrics, .catalogue, .field, .fieldRemoval:
            return
        }
    }

    // MARK: - Requests

    private struct Result {
        /// By the line's place in the batch.
        var refused: [Int: String] = [:]
        var farEnd = SinkReport.FarEnd.well
        var bytes: Int64 = 0
    }

    /// Sends a batch, in halves where it is too large for the server. Rejected batches are left to ``SinkSchedule``.
    private func send(_ batch: Batch) async -> Result {
        var result = Result()
        var ranges = [0..<batch.origins.count]
        while let range = ranges.popLast() {
            let end = range.upperBound < batch.starts.count ? batch.starts[range.upperBound] : batch.lines.bytes.count
            let lines = batch.lines.bytes[batch.starts[range.lowerBound]..<end]
            let answer: InfluxAnswer
            do throws(TransportError) {
                let request = request(lines)
                result.bytes += request.body.count
                answer = InfluxAnswer(try await transport.perform(request), lines: range.count)
            } catch {
                result.farEnd = .unavailable(reason: error.reason, retryAfterSeconds: nil)
                return result
            }
            switch answer {
            case .stored: continue
            case .partial(let refused):
                for (number, reason) in refused { result.refused[range.lowerBound + number - 1] = reason }
            case .rejected(let reason):
                result.farEnd = .rejected(reason: reason)
                return result
            case .tooLarge(let reason):
                guard range.count > 1 else {
                    result.farEnd = .rejected(reason: reason)
                    return result
                }
                let middle = range.lowerBound + range.count / 2
                ranges.append(middle..<range.upperBound)
                ranges.append(range.lowerBound..<middle)
            case .unauthorised(let reason):
                result.farEnd = .unauthorised(reason: reason)
                return result
            case .unavailable(let reason, let retryAfter):
                result.farEnd = .unavailable(reason: reason, retryAfterSeconds: retryAfter)
                return result
            }
        }
        return result
    }

    private func request(_ lines: ArraySlice<UInt8>) -> OutgoingRequest {
        let base = configuration.url.hasSuffix("/") ? String(configuration.url.dropLast()) : configuration.url
        var headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Encoding", "gzip")]
        let url: String
        switch configuration.api {
        case .v3:
            url =
                "\(base)/api/v3/write_lp?db=\(Self.encode(configuration.database))&precision=nanosecond"
                + "&accept_partial=true&no_sync=false"
            if !configuration.token.isEmpty { headers.append(("Authorization", "Bearer \(configuration.token)")) }
        case .v2:
            url =
                "\(base)/api/v2/write?org=\(Self.encode(configuration.organisation))"
                + "&bucket=\(Self.encode(configuration.database))&precision=ns"
            if !configuration.token.isEmpty { headers.append(("Authorization", "Token \(configuration.token)")) }
        }
        return OutgoingRequest(
            "POST", url, headers: headers, body: .bytes(Gzip.compress(lines)), options: configuration.transport)
    }

    private static func encode(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics.union(CharacterSet(charactersIn: "-._~")))
            ?? text
    }
}
