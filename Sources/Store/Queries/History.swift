import GRDB

extension Store {
    /// Bytes of the database that hold something; its file may be larger.
    public func usedBytes() async throws(StoreError) -> Int64 {
        try await read { database in
            let pages = try Int64.fetchOne(database, sql: "PRAGMA page_count") ?? 0
            let free = try Int64.fetchOne(database, sql: "PRAGMA freelist_count") ?? 0
            let size = try Int64.fetchOne(database, sql: "PRAGMA page_size") ?? 4096
            return (pages - free) * size
        }
    }

    /// When the oldest of what ``StoreChange/forgetHistory(beforeNanoseconds:most:)`` may take was; nil when there is none.
    public func oldestHistoryNanoseconds() async throws(StoreError) -> Int64? {
        try await read { database in
            try History.parts.compactMap { part in
                try Int64.fetchOne(
                    database, sql: "SELECT \(part.time) FROM \(part.table) WHERE \(part.condition) ORDER BY id LIMIT 1")
            }.min()
        }
    }
}

/// What may be forgotten of the past: facts that nothing waits to be sent of, and rows of recordings whose sound is gone.
enum History {
    struct Part {
        let table: String
        let time: String
        let condition: String
    }

    /// In the order in which they are forgotten. Numbers grow with time, and what waits is known by the lowest number of its kind, so
    /// nothing is counted. Rejected facts wait for a person, perhaps for ever: they keep themselves, and nothing behind them.
    static let parts = [
        Part(table: "observations", time: "time_ns", condition: isFree("observations", of: "observations")),
        Part(table: "readings", time: "time_ns", condition: isFree("observations", of: "readings")),
        // News of a recording's analysis tells its detections too.
        Part(
            table: "detections", time: "start_ns",
            condition: """
                \(isFree("detections", of: "detections")) AND start_ns < ifnull((
                        SELECT start_ns FROM recordings WHERE id = \(firstWaiting("analysis"))), \(Int64.max))
                    AND NOT EXISTS (SELECT 1 FROM recordings r JOIN deliveries d ON d.kind = 'analysis' AND d.first_id = r.id
                        WHERE r.name = detections.recording_name AND d.state = 'refused')
                """),
        Part(table: "ledger", time: "start_ns", condition: isFree("coverage", of: "ledger")),
        Part(
            table: "recordings", time: "start_ns",
            condition: """
                state IN ('deleted', 'unkept') AND analysis <> 'pending' AND closed_ns IS NOT NULL
                    AND \(isFree("recording", of: "recordings")) AND \(isFree("analysis", of: "recordings"))
                    AND \(isFree("upload", of: "recordings"))
                """),
    ]

    /// A condition on a row of a table: no delivery of that kind is to send it.
    private static func isFree(_ kind: String, of table: String) -> String {
        "\(table).id < \(firstWaiting(kind)) AND NOT \(isRefused(kind, of: table))"
    }

    private static func firstWaiting(_ kind: String) -> String {
        """
        ifnull((SELECT first_id FROM deliveries WHERE kind = '\(kind)' AND state <> 'refused' ORDER BY first_id LIMIT 1),
            \(Int64.max))
        """
    }

    /// Each rejected fact has a delivery of its own.
    private static func isRefused(_ kind: String, of table: String) -> String {
        "EXISTS (SELECT 1 FROM deliveries d WHERE d.kind = '\(kind)' AND d.first_id = \(table).id AND d.state = 'refused')"
    }

    /// Recordings that were too short keep their rows, which count as nothing here.
    static func forgetEmptyListeners(before: Int64, limit: Int, _ database: Database) throws {
        let ids = try String.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT id FROM listeners l WHERE last_seen_ns < ? AND NOT EXISTS (
                        SELECT 1 FROM recordings WHERE listener_id = l.id
                            AND (state <> 'deleted' OR ifnull(delete_reason, '') <> 'too short'))
                    AND NOT EXISTS (SELECT 1 FROM sessions WHERE listener_id = l.id AND closed_ns IS NULL)
                    AND NOT EXISTS (
                        SELECT 1 FROM ledger WHERE listener_id = l.id AND NOT (\(isFree("coverage", of: "ledger"))))
                    LIMIT ?
                    """), arguments: [before, limit])
        for id in ids {
            for table in ["ledger", "recordings", "sessions"] {
                try database.cachedStatement(sql: "DELETE FROM \(table) WHERE listener_id = ?")
                    .execute(arguments: [id])
            }
            try database.cachedStatement(sql: "DELETE FROM listeners WHERE id = ?").execute(arguments: [id])
        }
    }

    static func forget(before: Int64, most: Int, _ database: Database) throws {
        for part in parts {
            try database.cachedStatement(
                sql: """
                    DELETE FROM \(part.table) WHERE id IN (
                        SELECT id FROM \(part.table) WHERE \(part.condition) ORDER BY id LIMIT ?)
                        AND \(part.time) < ?
                    """
            ).execute(arguments: [most, before])
        }
        try database.cachedStatement(
            sql: """
                DELETE FROM sessions WHERE id IN (
                    SELECT id FROM sessions WHERE closed_ns < ? AND NOT EXISTS (
                        SELECT 1 FROM recordings WHERE session_id = sessions.id) LIMIT ?)
                """
        ).execute(arguments: [before, most])
    }
}
