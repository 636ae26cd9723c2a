import GRDB

/// Which deliveries are asked for. Nil means any.
public struct DeliveryFilter: Sendable {
    public var sink: String?
    public var kind: DeliveryKind?
    public var state: DeliveryRecord.State?
    /// Rows with a larger id than this.
    public var afterID: Int64?
    /// 1...1000.
    public var limit = 100

    public init() {}
}

/// A detection that is to be delivered, and what it was made with.
public struct DetectionFact: Sendable, Hashable {
    public let deliveryID: Int64
    public let detection: DetectionRecord
    public let model: String
    public let modelSHA256: String
}

extension Store {
    /// What a sink is to be sent now, the most important first, then the oldest.
    public func dueDeliveries(
        sink: String, kinds: [DeliveryKind], nowNanoseconds: Int64, limit: Int
    ) async throws(StoreError) -> [DeliveryRecord] {
        try await read { database in
            let marks = kinds.map { _ in "?" }.joined(separator: ",")
            let statement = try database.cachedStatement(
                sql: """
                    SELECT \(DeliveryRecord.columns) FROM deliveries WHERE sink = ? AND state = 'waiting' AND next_ns <= ? AND kind IN (\(marks))
                    ORDER BY rank, id LIMIT ?
                    """)
            let arguments: StatementArguments = [sink, nowNanoseconds]
            return try DeliveryRecord.fetchAll(
                statement, arguments: arguments + StatementArguments(kinds.map(\.rawValue)) + [limit])
        }
    }

    /// The last that ``dueDeliveries(sink:kinds:nowNanoseconds:limit:)`` would return for a kind without a limit.
    public func lastDueDelivery(
        sink: String, kind: DeliveryKind, nowNanoseconds: Int64
    ) async throws(StoreError) -> DeliveryRecord? {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT \(DeliveryRecord.columns) FROM deliveries
                    WHERE sink = ? AND state = 'waiting' AND rank = ? AND next_ns <= ? AND kind = ? ORDER BY id DESC LIMIT 1
                    """)
            return try DeliveryRecord.fetchOne(
                statement, arguments: [sink, kind.rank, nowNanoseconds, kind.rawValue])
        }
    }

    /// When the next of a sink's waiting deliveries of some kinds is due; nil when none waits.
    public func nextDueNanoseconds(sink: String, kinds: [DeliveryKind]) async throws(StoreError) -> Int64? {
        try await read { database in
            let marks = kinds.map { _ in "?" }.joined(separator: ",")
            return try Int64.fetchOne(
                database,
                sql: """
                    SELECT min(next_ns) FROM deliveries WHERE sink = ? AND state = 'waiting' AND kind IN (\(marks))
                    """, arguments: [sink] + StatementArguments(kinds.map(\.rawValue)))
        }
    }

    public func deliveries(_ filter: DeliveryFilter) async throws(StoreError) -> [DeliveryRecord] {
        try await read { database in
            var clauses = Clauses()
            clauses.add("sink = ?", filter.sink)
            clauses.add("kind = ?", filter.kind?.rawValue)
            clauses.add("state = ?", filter.state?.rawValue)
            clauses.add("id > ?", filter.afterID)
            return try DeliveryRecord.fetchAll(
                database, sql: "SELECT \(DeliveryRecord.columns) FROM deliveries\(clauses.sql) ORDER BY id LIMIT ?",
                arguments: clauses.arguments + [filter.limit])
        }
    }

    public func backlog() async throws(StoreError) -> [DeliveryBacklog] {
        try await read { database in
            try DeliveryBacklog.fetchAll(
                database,
                sql: """
                    SELECT sink, kind, state, deliveries, facts, bytes, ifnull((
                        SELECT created_ns FROM deliveries
                        WHERE sink = counts.sink AND state = counts.state AND rank = counts.rank ORDER BY id LIMIT 1
                    ), 0) AS oldest_ns
                    FROM delivery_counts AS counts WHERE deliveries > 0 ORDER BY sink, rank, state
                    """)
        }
    }

    public func deliveryTotals() async throws(StoreError) -> [DeliveryTotal] {
        try await read { try DeliveryTotal.fetchAll($0, sql: "SELECT * FROM delivery_totals ORDER BY sink, kind") }
    }

    // MARK: - For the outbox's bounds

    /// The oldest deliveries of a kind, in whatever state, as far as they were made before a time. Numbers grow with time,
    /// so only the first are looked at.
    public func oldestDeliveries(kind: DeliveryKind, before: Int64, limit: Int) async throws(StoreError) -> [Int64] {
        try await read { database in
            try Int64.fetchAll(
                database,
                sql: """
                    SELECT id FROM (SELECT id, created_ns FROM deliveries WHERE kind = ? ORDER BY id LIMIT ?)
                    WHERE created_ns < ?
                    """, arguments: [kind.rawValue, limit, before])
        }
    }

    /// The oldest deliveries of a kind, without which its others take no more than so many bytes.
    public func deliveries(
        kind: DeliveryKind, beyondBytes bytes: Int64, limit: Int
    ) async throws(StoreError) -> [Int64] {
        try await read { database in
            let all = try Int64.fetchOne(
                database, sql: "SELECT sum(bytes) FROM delivery_counts WHERE kind = ?", arguments: [kind.rawValue])
            var excess = (all ?? 0) - bytes
            guard excess > 0 else { return [] }
            let rows = try Row.fetchCursor(
                database, sql: "SELECT id, bytes FROM deliveries WHERE kind = ? ORDER BY id LIMIT ?",
                arguments: [kind.rawValue, limit])
            var ids: [Int64] = []
            while excess > 0, let row = try rows.next() {
                ids.append(row[0])
                excess -= row[1] as Int64
            }
            return ids
        }
    }

    /// How many there are, in whatever state.
    public func deliveryCount() async throws(StoreError) -> Int {
        try await read { try Int.fetchOne($0, sql: "SELECT sum(deliveries) FROM delivery_counts") ?? 0 }
    }

    /// Whether a clock that was not set has stamped anything in this boot that was not corrected yet.
    public func hasUnsetTimes(bootID: String) async throws(StoreError) -> Bool {
        try await read { database in
            let boot = "(SELECT id FROM boots WHERE boot_id = ?1)"
            return try Bool.fetchOne(
                database,
                sql: """
                    SELECT EXISTS (SELECT 1 FROM recordings WHERE time_quality = 'unsynchronised' AND boot_id = ?1)
                        OR EXISTS (SELECT 1 FROM observations WHERE time_quality = 'unsynchronised' AND boot = \(boot))
                        OR EXISTS (SELECT 1 FROM ledger WHERE unset_boot = \(boot))
                        OR EXISTS (SELECT 1 FROM ledger WHERE end_boot = \(boot))
                        OR EXISTS (SELECT 1 FROM metric_batches WHERE unset_boot = \(boot))
                    """, arguments: [bootID]) ?? false
        }
    }

    public func hasClockHeldDeliveries() async throws(StoreError) -> Bool {
        try await read { database in
            try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM deliveries WHERE hold = ?)",
                arguments: [OutboxWriter.clockHold]) ?? false
        }
    }

    // MARK: - The facts that deliveries refer to

    /// The detections of those deliveries that carry any, by their numbers.
    public func detectionFacts(of deliveries: [DeliveryRecord]) async throws(StoreError) -> [DetectionFact] {
        let owners = deliveries.filter { $0.kind == .detections }.sorted { $0.firstID < $1.firstID }
        guard !owners.isEmpty else { return [] }
        return try await read { try Self.detectionFacts($0, owners) }
    }

    /// Makes one thing of the detections of a delivery, without holding them all at once.
    public func reduceDetectionFacts<Result: Sendable>(
        of delivery: DeliveryRecord, into initial: Result,
        _ add: @escaping @Sendable (inout Result, DetectionFact) -> Void
    ) async throws(StoreError) -> Result {
        try await read { database in
            var result = initial
            try Self.forEachDetectionFact(database, [delivery]) { add(&result, $0) }
            return result
        }
    }

    private static func detectionFacts(_ database: Database, _ owners: [DeliveryRecord]) throws -> [DetectionFact] {
        var facts: [DetectionFact] = []
        try forEachDetectionFact(database, owners) { facts.append($0) }
        return facts
    }

    private static func forEachDetectionFact(
        _ database: Database, _ owners: [DeliveryRecord], _ body: (DetectionFact) -> Void
    ) throws {
        var models: [Int64: (name: String, hash: String)] = [:]
        for row in try Row.fetchAll(database, sql: "SELECT id, name, model_sha256 FROM models") {
            models[row[0]] = (row[1], row[2])
        }
        let statement = try database.cachedStatement(
            sql: "SELECT \(DetectionRecord.columns) FROM detections WHERE id BETWEEN ? AND ? ORDER BY id")
        var owner = 0
        for (first, last) in merged(owners.map { ($0.firstID, $0.lastID) }) {
            let rows = try DetectionRecord.fetchCursor(statement, arguments: [first, last])
            while let detection = try rows.next() {
                let id = detection.id ?? 0
                while owners[owner].lastID < id, owner + 1 < owners.count { owner += 1 }
                let model = models[detection.modelID]
                body(
                    DetectionFact(
                        deliveryID: owners[owner].id, detection: detection, model: model?.name ?? "",
                        modelSHA256: model?.hash ?? ""))
            }
        }
    }

    /// Joins ranges that follow each other, so that a long backlog is read in few queries.
    static func merged(_ ranges: [(Int64, Int64)]) -> [(Int64, Int64)] {
        var merged: [(Int64, Int64)] = []
        for range in ranges {
            if let last = merged.last, last.1 + 1 == range.0 {
                merged[merged.count - 1].1 = range.1
            } else {
                merged.append(range)
            }
        }
        return merged
    }

    public func recording(id: Int64) async throws(StoreError) -> RecordingRecord? {
        try await read {
            try RecordingRecord.fetchOne(
                $0.cachedStatement(sql: "SELECT * FROM recordings WHERE id = ?"), arguments: [id])
        }
    }

    /// By number, both inclusive; some may be gone.
    public func ledgerEntries(_ first: Int64, through last: Int64) async throws(StoreError) -> [LedgerEntry] {
        try await read {
            try LedgerEntry.fetchAll(
                $0.cachedStatement(sql: "SELECT * FROM ledger WHERE id BETWEEN ? AND ? ORDER BY id"),
                arguments: [first, last])
        }
    }

    /// Recordings with all that was found in them, by the recordings' numbers; read together, since each reading has a cost.
    public func analysedRecordings(
        ids: [Int64]
    ) async throws(StoreError) -> [Int64: (recording: RecordingRecord, detections: [DetectionRecord])] {
        try await read { database in
            let find = try database.cachedStatement(sql: "SELECT * FROM recordings WHERE id = ?")
            let list = try database.cachedStatement(sql: Self.detectionsOfRecording)
            var found: [Int64: (recording: RecordingRecord, detections: [DetectionRecord])] = [:]
            for id in ids {
                guard let recording = try RecordingRecord.fetchOne(find, arguments: [id]) else { continue }
                found[id] = (recording, try DetectionRecord.fetchAll(list, arguments: [recording.name]))
            }
            return found
        }
    }

    private static let detectionsOfRecording = """
        SELECT \(DetectionRecord.columns) FROM detections WHERE recording_name = ? ORDER BY start_ns, confidence DESC, id
        """

    public func metricBatch(id: Int64) async throws(StoreError) -> MetricBatch? {
        try await read { database in
            try Row.fetchOne(
                database.cachedStatement(sql: "SELECT time_ns, payload FROM metric_batches WHERE id = ?"),
                arguments: [id]
            ).map { MetricBatch(timeNanoseconds: $0[0], unset: nil, payload: $0[1]) }
        }
    }

    public func sealText(recordingID: Int64) async throws(StoreError) -> String? {
        try await read {
            try String.fetchOne($0, sql: "SELECT text FROM seals WHERE recording_id = ?", arguments: [recordingID])
        }
    }

    /// Recordings that wait for an upload and have no seal yet, by number.
    public func unsealedRecordings(afterID id: Int64, limit: Int) async throws(StoreError) -> [RecordingRecord] {
        try await read {
            try RecordingRecord.fetchAll(
                $0,
                sql: """
                    SELECT recordings.* FROM deliveries JOIN recordings ON recordings.id = deliveries.first_id
                    WHERE deliveries.kind = 'recording' AND deliveries.first_id > ? AND recordings.state = 'closed'
                        AND NOT EXISTS (SELECT 1 FROM seals WHERE recording_id = recordings.id)
                    ORDER BY deliveries.first_id LIMIT ?
                    """, arguments: [id, limit])
        }
    }

    public func multipartUpload(deliveryID: Int64) async throws(StoreError) -> MultipartUpload? {
        try await read {
            try MultipartUpload.fetchOne(
                $0, sql: "SELECT * FROM multipart_uploads WHERE delivery_id = ?", arguments: [deliveryID])
        }
    }

    /// Uploads whose delivery is gone, to be given up at the far end.
    public func abandonedMultipartUploads() async throws(StoreError) -> [MultipartUpload] {
        try await read {
            try MultipartUpload.fetchAll(
                $0,
                sql: "SELECT * FROM multipart_uploads WHERE delivery_id NOT IN (SELECT id FROM deliveries) LIMIT 100")
        }
    }
}
