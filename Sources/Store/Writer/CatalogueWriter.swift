import GRDB

/// Writes the catalogue of forecast fields, and what far ends are to be told of it.
struct CatalogueWriter {
    let outbox: OutboxWriter
    private var database: Database { outbox.database }

    init(_ outbox: OutboxWriter) { self.outbox = outbox }

    /// RFC 3339, as SQL makes it of seconds.
    private static let time = "strftime('%Y-%m-%dT%H:%M:%SZ', ?, 'unixepoch')"

    /// Adds a field. One that is there stays as it is, but for one that nobody was shown and that is shown now.
    func add(_ dataset: DatasetRecord) throws {
        try forgetExpired(dataset.id)
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO aggregator_datasets (id, data_type, source, forecast_date, forecast_cycle,
                    valid_time_start, valid_time_end, file_path, file_size_bytes, is_forecast, created_at, state)
                VALUES (?, ?, ?, date(?, 'unixepoch'), ?, \(Self.time), \(Self.time), ?, ?, ?, \(Self.time), ?)
                ON CONFLICT (id) DO UPDATE SET state = excluded.state, file_size_bytes = excluded.file_size_bytes,
                    is_forecast = excluded.is_forecast, created_at = excluded.created_at
                    WHERE state = 'partial' AND excluded.state = 'ready'
                RETURNING number
                """)
        let number = try Int64.fetchOne(
            statement,
            arguments: [
                dataset.id, dataset.kind, dataset.source, dataset.runSeconds, dataset.runSeconds / 3600 % 24,
                dataset.validFromSeconds, dataset.validToSeconds, dataset.path, dataset.bytes, dataset.isForecast,
                dataset.createdSeconds, dataset.state,
            ])
        guard let number, dataset.state == .ready else { return }
        try tell(
            [(number: number, id: dataset.id, bytes: dataset.bytes)],
            atNanoseconds: dataset.createdSeconds * 1_000_000_000)
    }

    /// A field that comes again while its former file still waits to be removed at a far end: the new one takes its place there.
    private func forgetExpired(_ id: String) throws {
        let number = try Int64.fetchOne(
            database.cachedStatement(
                sql: "DELETE FROM aggregator_datasets WHERE id = ? AND state = 'expired' RETURNING number"),
            arguments: [id])
        guard let number else { return }
        try database.cachedStatement(sql: "DELETE FROM deliveries WHERE kind = 'fieldRemoval' AND first_id = ?")
            .execute(arguments: [number])
    }

    func show(kind: String, runSeconds: Int64, atNanoseconds: Int64) throws {
        let rows = try Row.fetchAll(
            database.cachedStatement(
                sql: """
                    UPDATE aggregator_datasets SET state = 'ready'
                    WHERE data_type = ? AND forecast_date = date(?, 'unixepoch') AND forecast_cycle = ?
                        AND state = 'partial'
                    RETURNING number, id, file_size_bytes
                    """), arguments: [kind, runSeconds, runSeconds / 3600 % 24])
        try tell(rows.map { (number: $0[0], id: $0[1], bytes: $0[2]) }, atNanoseconds: atNanoseconds)
    }

    /// The file first where files are sent, then the row: whoever reads of a file there finds it.
    private func tell(_ datasets: [(number: Int64, id: String, bytes: Int64)], atNanoseconds: Int64) throws {
        for dataset in datasets {
            if outbox.plan.sinks[.field] != nil {
                try outbox.add(
                    .field, first: dataset.number, last: dataset.number, hold: nil, createdNanoseconds: atNanoseconds,
                    bytes: dataset.bytes)
            } else {
                try note(dataset: dataset.id, atNanoseconds)
            }
        }
    }

    func expire(_ ids: [String]) throws {
        let statement = try database.cachedStatement(
            sql: "UPDATE aggregator_datasets SET state = 'expired' WHERE id = ?")
        for id in ids { try statement.execute(arguments: [id]) }
    }

    func gone(_ ids: [String], atNanoseconds: Int64) throws {
        let find = try database.cachedStatement(
            sql: "SELECT number FROM aggregator_datasets WHERE id = ? AND state = 'expired'")
        for id in ids {
            guard let number = try Int64.fetchOne(find, arguments: [id]) else { continue }
            // What was not sent yet need not be sent any more.
            try database.cachedStatement(sql: "DELETE FROM deliveries WHERE kind = 'field' AND first_id = ?")
                .execute(arguments: [number])
            if outbox.plan.sinks[.field] != nil {
                // Also where the file was never sent, as far as is known here: an answer may have been lost.
                try outbox.add(
                    .fieldRemoval, first: number, last: number, hold: nil, createdNanoseconds: atNanoseconds)
            } else {
                try remove(number: number, atNanoseconds)
            }
        }
    }

    /// The row goes.
    func remove(number: Int64, _ now: Int64) throws {
        let id = try String.fetchOne(
            database.cachedStatement(sql: "DELETE FROM aggregator_datasets WHERE number = ? RETURNING id"),
            arguments: [number])
        if let id { try note(dataset: id, now) }
    }

    /// A file is at the far end: now its row can be told of.
    func sent(number: Int64, _ now: Int64) throws {
        let id = try String.fetchOne(
            database.cachedStatement(sql: "SELECT id FROM aggregator_datasets WHERE number = ?"), arguments: [number])
        if let id { try note(dataset: id, now) }
    }

    func read(_ ids: [String], atSeconds: Int64) throws {
        let statement = try database.cachedStatement(
            sql: "UPDATE aggregator_datasets SET last_accessed_at = \(Self.time) WHERE id = ?")
        for id in ids { try statement.execute(arguments: [atSeconds, id]) }
    }

    func put(_ collection: CollectionRecord) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO aggregator_collection_status (collection_id, data_type, status, started_at, completed_at,
                    records_collected, error_message)
                VALUES (?, ?, ?, \(Self.time), \(Self.time), ?, ?)
                ON CONFLICT (collection_id) DO UPDATE SET status = excluded.status, completed_at = excluded.completed_at,
                    records_collected = excluded.records_collected, error_message = excluded.error_message
                """
        ).execute(arguments: [
            collection.id, collection.kind, collection.status, collection.startedSeconds, collection.completedSeconds,
            collection.collected, collection.error,
        ])
        let now = (collection.completedSeconds ?? collection.startedSeconds) * 1_000_000_000
        try note(collection: collection.id, now)
    }

    func forgetCollections(beforeSeconds: Int64) throws {
        let ids = try String.fetchAll(
            database,
            sql: """
                DELETE FROM aggregator_collection_status
                WHERE started_at < \(Self.time) AND number NOT IN (
                    SELECT max(number) FROM aggregator_collection_status GROUP BY data_type, status)
                RETURNING collection_id
                """, arguments: [beforeSeconds])
        for id in ids { try note(collection: id, beforeSeconds * 1_000_000_000) }
        try database.execute(
            sql: "DELETE FROM forecast_traffic WHERE day < date(?, 'unixepoch')", arguments: [beforeSeconds])
    }

    func count(day: String, bytes: Int64) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO forecast_traffic (day, bytes) VALUES (?, ?)
                ON CONFLICT (day) DO UPDATE SET bytes = bytes + excluded.bytes
                """
        ).execute(arguments: [day, bytes])
    }

    func ran(_ job: String, dueSeconds: Int64) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO scheduled_jobs (name, last_due_s) VALUES (?, ?)
                ON CONFLICT (name) DO UPDATE SET last_due_s = max(last_due_s, excluded.last_due_s)
                """
        ).execute(arguments: [job, dueSeconds])
    }

    /// A change that a far end is to be told of.
    private func note(dataset: String? = nil, collection: String? = nil, _ now: Int64) throws {
        guard outbox.plan.sinks[.catalogue] != nil else { return }
        try database.cachedStatement(sql: "INSERT INTO catalogue_changes (dataset_id, collection_id) VALUES (?, ?)")
            .execute(arguments: [dataset, collection])
        let number = database.lastInsertedRowID
        try outbox.add(.catalogue, first: number, last: number, hold: nil, createdNanoseconds: now)
    }
}
