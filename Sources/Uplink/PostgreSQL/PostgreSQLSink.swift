public import Store
import TextParts

/// A PostgreSQL database: detections, observations, recordings, and gaps and losses, as rows; and the catalogue of forecast
/// fields as it is.
///
/// Rows go by COPY. When some are there already, which a repeat makes, they go once more one by one with
/// `ON CONFLICT DO NOTHING`, and so does a batch with a row that the server will not take, to find out which.
public struct PostgreSQLSink: Sink {
    public let name = "postgres"
    public let limits = SinkLimits(deliveries: 5000, facts: 5000, concurrency: 1, kinds: Self.kinds)

    /// What it carries.
    public static let kinds = DeliveryKind.allCases.filter { kind in
        switch kind {
        case .detections, .coverage, .observations, .analysis, .catalogue: true
        case .upload, .metrics, .field, .fieldRemoval, .recording: false
        }
    }

    private let aggregator: String
    private let store: Store
    private let connection: PostgreSQLConnection
    private let schema = PostgreSQLSchema()
    private let place: @Sendable (DatasetRecord) -> String

    /// - Parameters:
    ///   - url: `postgresql://user:password@host:5432/database`.
    ///   - place: where a forecast field's file is, for whoever reads of it at the endpoint.
    public init(
        url: String, aggregator: String, place: @escaping @Sendable (DatasetRecord) -> String = { $0.path },
        store: Store
    ) {
        self.place = place
        self.aggregator = aggregator
        self.store = store
        connection = PostgreSQLConnection(url: url)
    }

    private struct Row: Sendable {
        let delivery: Int64
        let fact: Int64
        let values: [String?]
    }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        var report = SinkReport()
        let rows: [(table: PostgreSQLTables.Table, rows: [Row])]
        var catalogue: [CatalogueFact] = []
        // Deliveries of which there is anything to send.
        var sent: Set<Int64> = []
        let catalogueDeliveries = deliveries.filter { $0.kind == .catalogue }
        do {
            rows = try await self.rows(deliveries, &report)
            for delivery in catalogueDeliveries {
                let facts = try await store.catalogueFacts(delivery.firstID, through: delivery.lastID)
                catalogue += facts.map(\.1)
                if !facts.isEmpty { sent.insert(delivery.id) }
            }
        } catch {
            return SinkReport(
                farEnd: .unavailable(reason: "the store cannot be read: \(error)", retryAfterSeconds: nil))
        }
        for (_, rows) in rows { sent.formUnion(rows.map(\.delivery)) }
        for delivery in deliveries where report.outcomes[delivery.id] == nil && !sent.contains(delivery.id) {
            report.outcomes[delivery.id] = .void(reason: "what it referred to is gone")
        }
        guard !sent.isEmpty else { return report }
        var refused: [Int64: [Int64: String]] = [:]
        // Deliveries of tables that do not take them now. The other tables go on.
        var left: Set<Int64> = []
        do throws(PostgreSQLConnection.Failure) {
            try await makeTables()
            for (table, rows) in rows where !rows.isEmpty {
                do throws(PostgreSQLConnection.Failure) {
                    for (row, reason) in try await send(rows, to: table) {
                        refused[row.delivery, default: [:]][row.fact] = reason
                    }
                    report.bytes += rows.reduce(0) { $0 + Int64($1.values.reduce(0) { $0 + ($1?.utf8.count ?? 0) }) }
                } catch {
                    try note(error, of: table, &report)
                    left.formUnion(rows.map(\.delivery))
                }
            }
            do throws(PostgreSQLConnection.Failure) {
                try await sendCatalogue(catalogue)
            } catch {
                try note(error, of: PostgreSQLTables.datasets, &report)
                left.formUnion(catalogueDeliveries.map(\.id))
            }
        } catch {
            // Tables are written one after the other; what is there already is not seen when it comes again.
            let farEnd: SinkReport.FarEnd =
                error.isUnauthorised
                ? .unauthorised(reason: error.description)
                : .unavailable(reason: error.description, retryAfterSeconds: nil)
            return SinkReport(farEnd: farEnd, bytes: report.bytes)
        }
        for delivery in deliveries where report.outcomes[delivery.id] == nil && !left.contains(delivery.id) {
            report.outcomes[delivery.id] = refused[delivery.id].map { .refused($0) } ?? .done
        }
        return report
    }

    /// Notes a failure of one table, the first of them in full; throws it where the server is at fault.
    private func note(
        _ failure: PostgreSQLConnection.Failure, of table: PostgreSQLTables.Table, _ report: inout SinkReport
    ) throws(PostgreSQLConnection.Failure) {
        guard !failure.isOfServer else { throw failure }
        // It may be fixed before the next attempt, or may have been changed.
        schema.forget(table)
        guard report.farEnd == .well else { return }
        report.scope = .kinds
        let reason = "\(table.name): \(failure.description)"
        report.farEnd =
            failure.isRejection
            ? .rejected(reason: reason)
            : failure.isUnauthorised
                ? .unauthorised(reason: reason) : .unavailable(reason: reason, retryAfterSeconds: nil)
    }

    private func rows(
        _ deliveries: [DeliveryRecord], _ report: inout SinkReport
    ) async throws(StoreError) -> [(table: PostgreSQLTables.Table, rows: [Row])] {
        let detections = try await store.detectionFacts(of: deliveries).map { fact in
            Row(
                delivery: fact.deliveryID, fact: fact.detection.id ?? 0,
                values: PostgreSQLTables.row(fact, aggregator: aggregator))
        }
        let observations = try await store.observationFacts(of: deliveries).map { fact in
            Row(
                delivery: fact.deliveryID, fact: fact.observation.id ?? 0,
                values: PostgreSQLTables.row(fact.observation, aggregator: aggregator))
        }
        var recordings: [Row] = []
        var coverage: [Row] = []
        for delivery in deliveries {
            let fact = delivery.firstID
            switch delivery.kind {
            case .analysis:
                if let recording = try await store.recording(id: fact) {
                    let values = PostgreSQLTables.row(recording, aggregator: aggregator)
                    recordings.append(Row(delivery: delivery.id, fact: fact, values: values))
                } else {
                    report.outcomes[delivery.id] = .void(reason: "the recording is gone")
                }
            case .coverage:
                let entries = try await store.ledgerEntries(fact, through: delivery.lastID)
                if entries.isEmpty { report.outcomes[delivery.id] = .void(reason: "the ledger's line is gone") }
                for entry in entries {
                    let values = PostgreSQLTables.row(entry, aggregator: aggregator)
                    coverage.append(Row(delivery: delivery.id, fact: entry.id ?? fact, values: values))
                }
            case .detections, .observations, .upload, .recording, .metrics, .catalogue, .field, .fieldRemoval: continue
            }
        }
        return [
            (PostgreSQLTables.detections, detections), (PostgreSQLTables.recordings, recordings),
            (PostgreSQLTables.coverage, coverage), (PostgreSQLTables.observations, observations),
        ]
    }

    /// Rows are written as they are now, so that one that comes again changes nothing.
    private func sendCatalogue(_ facts: [CatalogueFact]) async throws(PostgreSQLConnection.Failure) {
        guard !facts.isEmpty else { return }
        let (datasets, collections) = (PostgreSQLTables.datasets, PostgreSQLTables.collections)
        try await connection.use { connection throws(PostgreSQLConnection.Failure) in
            try schema.prepare(datasets, connection)
            try schema.prepare(collections, connection)
            try connection.transaction { () throws(PostgreSQLConnection.Failure) in
                for fact in facts {
                    switch fact {
                    case .dataset(let dataset):
                        try connection.run(
                            PostgreSQLTables.upsert(datasets),
                            PostgreSQLTables.row(dataset, place: place(dataset), aggregator: aggregator))
                    case .datasetGone(let id):
                        try connection.run(
                            PostgreSQLTables.remove(datasets), [PostgreSQLTables.key(id, aggregator: aggregator)])
                    case .collection(let collection):
                        try connection.run(
                            PostgreSQLTables.upsert(collections),
                            PostgreSQLTables.row(collection, aggregator: aggregator).map(Self.withoutZero))
                    case .collectionGone(let id):
                        try connection.run(
                            PostgreSQLTables.remove(collections), [PostgreSQLTables.key(id, aggregator: aggregator)])
                    }
                }
            }
        }
    }

    /// Makes the tables of all facts with the first delivery, so that whoever queries them finds them. A table that cannot be made is told of
    /// when something is to be written to it.
    private func makeTables() async throws(PostgreSQLConnection.Failure) {
        guard !schema.isBegun else { return }
        try await connection.use { connection throws(PostgreSQLConnection.Failure) in
            for table in PostgreSQLTables.facts {
                do throws(PostgreSQLConnection.Failure) {
                    try schema.prepare(table, connection)
                } catch {
                    guard !error.isOfServer else { throw error }
                }
            }
        }
        schema.begin()
    }

    /// Returns the rows that the server will not take, and why.
    private func send(
        _ rows: [Row], to table: PostgreSQLTables.Table
    ) async throws(PostgreSQLConnection.Failure) -> [(Row, String)] {
        try await connection.use { connection throws(PostgreSQLConnection.Failure) in
            try schema.prepare(table, connection)
            do throws(PostgreSQLConnection.Failure) {
                try connection.copy(PostgreSQLTables.copy(table), PostgreSQLTables.copyText(rows.map(\.values)))
                return []
            } catch {
                // 23505: some are there already. 0A000: a server that does not know COPY.
                guard error.code == "23505" || error.code == "0A000" || error.isData else { throw error }
            }
            return try Self.oneByOne(rows, to: table, connection)
        }
    }

    private static func oneByOne(
        _ rows: [Row], to table: PostgreSQLTables.Table, _ connection: PostgreSQLConnection
    ) throws(PostgreSQLConnection.Failure) -> [(Row, String)] {
        let sql = PostgreSQLTables.insert(table)
        var refused: [(Row, String)] = []
        // Together in transactions, so that each row does not cost a sync at the endpoint; alone where one is refused.
        for start in stride(from: 0, to: rows.count, by: 500) {
            let part = rows[start..<min(rows.count, start + 500)]
            do throws(PostgreSQLConnection.Failure) {
                try connection.transaction { () throws(PostgreSQLConnection.Failure) in
                    for row in part { try connection.run(sql, row.values.map(withoutZero)) }
                }
                continue
            } catch {
                guard error.isData else { throw error }
            }
            for row in part {
                do throws(PostgreSQLConnection.Failure) {
                    try connection.run(sql, row.values.map(withoutZero))
                } catch {
                    guard error.isData else { throw error }
                    refused.append((row, error.description))
                }
            }
        }
        return refused
    }

    private static func withoutZero(_ value: String?) -> String? {
        value.map { $0.holds("\0") ? $0.replacingText("\0", with: "") : $0 }
    }
}
