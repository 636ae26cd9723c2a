import GRDB

/// Which forecast fields are looked for.
public struct DatasetQuery: Sendable {
    public var kind: String?
    /// Seconds since 1970, both inclusive.
    public var fromSeconds: Int64?
    public var toSeconds: Int64?
    public var runSeconds: Int64?
    /// Of each time only the field of the newest run.
    public var isNewestOnly = false
    /// Rows with a higher number; for pages.
    public var afterNumber: Int64 = 0
    public var limit = 1000

    public init() {}
}

/// How much there is of a kind.
///
/// A removed field has its row until the endpoints know that it is gone, which may take days without a network. Such expired rows count
/// apart: nothing that is said of kept fields includes them.
public struct DatasetCount: Sendable, Hashable {
    public let kind: String
    /// Fields that are kept, of whole and unfinished runs.
    public let kept: Int64
    /// Of their files.
    public let bytes: Int64
    /// Fields that are removed, or about to be, and whose rows wait for the endpoints.
    public let expired: Int64
    /// Seconds since 1970; of what is ready.
    public let newestRunSeconds: Int64?
    public let fromSeconds: Int64?
    public let toSeconds: Int64?
}

/// How often fields of a kind were collected, and how it ended.
public struct CollectionCount: Sendable, Hashable {
    public let kind: String
    public let status: CollectionRecord.Status
    public let count: Int64
    public let collected: Int64
}

extension Store {
    /// Fields that are ready, by their time; of one time the newest run last. With pages: by their number.
    public func datasets(_ query: DatasetQuery) async throws(StoreError) -> [DatasetRecord] {
        try await read { try Self.datasets(query, $0) }
    }

    private static func datasets(_ query: DatasetQuery, _ database: Database) throws -> [DatasetRecord] {
        var conditions = ["state = 'ready'", "number > ?"]
        var arguments: StatementArguments = [query.afterNumber]
        let time = "strftime('%Y-%m-%dT%H:%M:%SZ', ?, 'unixepoch')"
        if let kind = query.kind {
            conditions.append("data_type = ?")
            arguments += [kind]
        }
        if let from = query.fromSeconds {
            conditions.append("valid_time_end >= \(time)")
            arguments += [from]
        }
        if let to = query.toSeconds {
            conditions.append("valid_time_start <= \(time)")
            arguments += [to]
        }
        if let run = query.runSeconds {
            conditions.append("forecast_date = date(?, 'unixepoch') AND forecast_cycle = ?")
            arguments += [run, run / 3600 % 24]
        }
        if query.isNewestOnly {
            conditions.append(
                """
                NOT EXISTS (SELECT 1 FROM aggregator_datasets AS newer
                    WHERE newer.data_type = aggregator_datasets.data_type AND newer.state = 'ready'
                        AND newer.valid_time_start = aggregator_datasets.valid_time_start
                        AND (newer.forecast_date, newer.forecast_cycle) >
                            (aggregator_datasets.forecast_date, aggregator_datasets.forecast_cycle))
                """)
        }
        arguments += [query.limit]
        return try DatasetRecord.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT \(DatasetRecord.columns) FROM aggregator_datasets
                    WHERE \(conditions.joined(separator: " AND "))
                    ORDER BY \(query.afterNumber > 0 ? "number" : "valid_time_start, forecast_date, forecast_cycle")
                    LIMIT ?
                    """), arguments: arguments)
    }

    public func dataset(id: String) async throws(StoreError) -> DatasetRecord? {
        try await read { database in
            try DatasetRecord.fetchOne(
                database.cachedStatement(
                    sql: "SELECT \(DatasetRecord.columns) FROM aggregator_datasets WHERE id = ?"), arguments: [id])
        }
    }

    public func dataset(number: Int64) async throws(StoreError) -> DatasetRecord? {
        try await read { database in
            try DatasetRecord.fetchOne(
                database.cachedStatement(
                    sql: "SELECT \(DatasetRecord.columns) FROM aggregator_datasets WHERE number = ?"),
                arguments: [number])
        }
    }

    /// The fields of a kind that are not expired, whatever their run: what need not be fetched again.
    public func keptDatasets(kind: String, fromSeconds: Int64) async throws(StoreError) -> [DatasetRecord] {
        try await read { database in
            try DatasetRecord.fetchAll(
                database,
                sql: """
                    SELECT \(DatasetRecord.columns) FROM aggregator_datasets
                    WHERE data_type = ? AND state <> 'expired'
                        AND valid_time_start >= strftime('%Y-%m-%dT%H:%M:%SZ', ?, 'unixepoch')
                    """, arguments: [kind, fromSeconds])
        }
    }

    /// What cleaning up removes: fields that were valid before, and those of runs that never became whole and are older
    /// than a run that did.
    public func staleDatasets(beforeSeconds: Int64, limit: Int) async throws(StoreError) -> [DatasetRecord] {
        try await read { database in
            try DatasetRecord.fetchAll(
                database,
                sql: """
                    SELECT \(DatasetRecord.columns) FROM aggregator_datasets
                    WHERE state <> 'expired'
                        AND (valid_time_end < strftime('%Y-%m-%dT%H:%M:%SZ', ?, 'unixepoch')
                            OR (state = 'partial' AND EXISTS (SELECT 1 FROM aggregator_datasets AS whole
                                WHERE whole.data_type = aggregator_datasets.data_type AND whole.state = 'ready'
                                    AND (whole.forecast_date, whole.forecast_cycle) >
                                        (aggregator_datasets.forecast_date, aggregator_datasets.forecast_cycle))))
                    ORDER BY valid_time_start LIMIT ?
                    """, arguments: [beforeSeconds, limit])
        }
    }

    /// In the order in which they go when there are too many bytes: what a newer run has replaced, the oldest run first; then
    /// the oldest times.
    public func datasetsToSpare(limit: Int) async throws(StoreError) -> [DatasetRecord] {
        try await read { database in
            try DatasetRecord.fetchAll(
                database,
                sql: """
                    SELECT \(DatasetRecord.columns) FROM aggregator_datasets
                    WHERE state = 'ready'
                    ORDER BY NOT EXISTS (SELECT 1 FROM aggregator_datasets AS newer
                        WHERE newer.data_type = aggregator_datasets.data_type AND newer.state = 'ready'
                            AND newer.valid_time_start = aggregator_datasets.valid_time_start
                            AND (newer.forecast_date, newer.forecast_cycle) >
                                (aggregator_datasets.forecast_date, aggregator_datasets.forecast_cycle)),
                        forecast_date, forecast_cycle, valid_time_start
                    LIMIT ?
                    """, arguments: [limit])
        }
    }

    /// Whether they are shown or not; not those that go already.
    public func datasetsOfAnyState(limit: Int) async throws(StoreError) -> [DatasetRecord] {
        try await read { database in
            try DatasetRecord.fetchAll(
                database,
                sql: "SELECT \(DatasetRecord.columns) FROM aggregator_datasets WHERE state <> 'expired' LIMIT ?",
                arguments: [limit])
        }
    }

    public func expiredDatasets() async throws(StoreError) -> [DatasetRecord] {
        try await read { database in
            try DatasetRecord.fetchAll(
                database,
                sql: "SELECT \(DatasetRecord.columns) FROM aggregator_datasets WHERE state = 'expired'")
        }
    }

    /// Every file that the catalogue knows, with its id and size, expired ones left out.
    public func datasetFiles() async throws(StoreError) -> [String: (id: String, bytes: Int64)] {
        try await read { database in
            var files: [String: (id: String, bytes: Int64)] = [:]
            let rows = try Row.fetchCursor(
                database,
                sql: "SELECT file_path, id, file_size_bytes FROM aggregator_datasets WHERE state <> 'expired'")
            while let row = try rows.next() { files[row[0]] = (row[1], row[2]) }
            return files
        }
    }

    /// Of each kind that has rows.
    public func datasetCounts() async throws(StoreError) -> [DatasetCount] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT data_type, sum(state <> 'expired'), sum(iif(state = 'expired', 0, file_size_bytes)),
                        sum(state = 'expired'),
                        max(iif(state = 'ready', unixepoch(forecast_date) + forecast_cycle * 3600, NULL)),
                        unixepoch(min(iif(state = 'ready', valid_time_start, NULL))),
                        unixepoch(max(iif(state = 'ready', valid_time_end, NULL)))
                    FROM aggregator_datasets GROUP BY data_type ORDER BY data_type
                    """
            ).map {
                DatasetCount(
                    kind: $0[0], kept: $0[1], bytes: $0[2], expired: $0[3], newestRunSeconds: $0[4],
                    fromSeconds: $0[5], toSeconds: $0[6])
            }
        }
    }

    public func collectionCounts() async throws(StoreError) -> [CollectionCount] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT data_type, status, count(*), sum(records_collected) FROM aggregator_collection_status
                    GROUP BY data_type, status ORDER BY data_type, status
                    """
            ).map { CollectionCount(kind: $0[0], status: $0[1], count: $0[2], collected: $0[3]) }
        }
    }

    /// The newest first.
    public func collections(kind: String? = nil, limit: Int) async throws(StoreError) -> [CollectionRecord] {
        try await read { database in
            try CollectionRecord.fetchAll(
                database,
                sql: """
                    SELECT \(CollectionRecord.columns) FROM aggregator_collection_status
                    WHERE ?1 IS NULL OR data_type = ?1 ORDER BY number DESC LIMIT ?2
                    """, arguments: [kind, limit])
        }
    }

    /// Those that were running when the daemon last ended.
    public func unfinishedCollections() async throws(StoreError) -> [CollectionRecord] {
        try await read { database in
            try CollectionRecord.fetchAll(
                database,
                sql: "SELECT \(CollectionRecord.columns) FROM aggregator_collection_status WHERE status = 'running'")
        }
    }

    /// Bytes fetched for forecasts on a day, such as `2026-11-21`.
    public func forecastTraffic(day: String) async throws(StoreError) -> Int64 {
        try await read { database in
            try Int64.fetchOne(database, sql: "SELECT bytes FROM forecast_traffic WHERE day = ?", arguments: [day]) ?? 0
        }
    }

    /// For which of its times each scheduled job has last been run; seconds since 1970.
    public func scheduledJobs() async throws(StoreError) -> [String: Int64] {
        try await read { database in
            let rows = try Row.fetchAll(database, sql: "SELECT name, last_due_s FROM scheduled_jobs")
            return Dictionary(uniqueKeysWithValues: rows.map { ($0[0], $0[1]) })
        }
    }

    /// What deliveries of the catalogue are about, by the change's number.
    public func catalogueFacts(_ first: Int64, through last: Int64) async throws(StoreError) -> [(Int64, CatalogueFact)]
    {
        try await read { database in
            let changes = try Row.fetchAll(
                database.cachedStatement(
                    sql: "SELECT number, dataset_id, collection_id FROM catalogue_changes WHERE number BETWEEN ? AND ?"),
                arguments: [first, last])
            return try changes.compactMap { change -> (Int64, CatalogueFact)? in
                if let id: String = change[1] {
                    let row = try DatasetRecord.fetchOne(
                        database.cachedStatement(
                            sql: "SELECT \(DatasetRecord.columns) FROM aggregator_datasets WHERE id = ?"),
                        arguments: [id])
                    return (change[0], row.map { .dataset($0) } ?? .datasetGone(id: id))
                }
                guard let id: String = change[2] else { return nil }
                let row = try CollectionRecord.fetchOne(
                    database.cachedStatement(
                        sql: """
                            SELECT \(CollectionRecord.columns) FROM aggregator_collection_status WHERE collection_id = ?
                            """), arguments: [id])
                return (change[0], row.map { .collection($0) } ?? .collectionGone(id: id))
            }
        }
    }
}
