import GRDB

extension Store {
    /// The tables of the database, those of SQLite and of the migrations left out. A test compares them with the schema.
    public static let tables = [
        "access_points", "aggregator_collection_status", "aggregator_datasets", "boots", "catalogue_changes",
        "deliveries",
        "delivery_counts", "delivery_totals", "detections", "forecast_traffic", "layouts", "ledger", "listeners",
        "metric_batches", "models", "multipart_uploads", "node_errors", "node_files", "nodes", "observations",
        "reading_sums", "readings", "recordings", "rejected_lines", "runs", "scheduled_jobs", "seals", "series",
        "sessions",
    ]

    /// Pages that are looked at between two looks at the clock.
    private static let pagesBetweenLooks = 64

    /// Bytes of all pages of a table and of its indexes; nil when reading them takes longer than it may, and where SQLite was built
    /// without `dbstat` (Debian's has it).
    ///
    /// Each of these pages is read, in one transaction: the journal grows until it ends, so it may not last.
    public func bytes(ofTable table: String, atMost limit: Duration) async throws(StoreError) -> Int64? {
        try await read { database in
            let end = ContinuousClock.now + limit
            guard
                try Bool.fetchOne(
                    database.cachedStatement(
                        sql: "SELECT EXISTS (SELECT 1 FROM pragma_module_list WHERE name = 'dbstat')")) ?? false
            else { return nil }
            let names = try String.fetchAll(
                database.cachedStatement(
                    sql:
                        "SELECT name FROM sqlite_schema WHERE tbl_name = ? AND type IN ('table', 'index') AND rootpage > 0"
                ),
                arguments: [table])
            let pages = try database.cachedStatement(sql: "SELECT pgsize FROM dbstat WHERE name = ?")
            var bytes: Int64 = 0
            var count = 0
            for name in names {
                let sizes = try Int64.fetchCursor(pages, arguments: [name])
                while let size = try sizes.next() {
                    bytes += size
                    count += 1
                    if count % Self.pagesBetweenLooks == 0, .now > end { return nil }
                }
            }
            return bytes
        }
    }

    /// Bytes of all pages of the database, free ones too. What the journal holds beyond that is not among them.
    public func pageBytes() async throws(StoreError) -> Int64 {
        try await read { database in
            let pages = try Int64.fetchOne(database, sql: "PRAGMA page_count") ?? 0
            return pages * (try Int64.fetchOne(database, sql: "PRAGMA page_size") ?? 4096)
        }
    }
}
