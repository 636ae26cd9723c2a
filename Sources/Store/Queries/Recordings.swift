import GRDB

/// Which recordings are asked for. Nil means any.
public struct RecordingFilter: Sendable {
    public var listener: String?
    /// UTC, inclusive.
    public var fromNanoseconds: Int64?
    /// UTC, exclusive.
    public var toNanoseconds: Int64?
    public var state: String?
    public var analysis: String?
    /// Rows with a smaller id than this.
    public var beforeID: Int64?
    /// 1...1000.
    public var limit = 100

    public init() {}
}

extension Store {
    /// Newest first.
    public func recordings(_ filter: RecordingFilter) async throws(StoreError) -> [RecordingRecord] {
        try await read { database in
            var clauses = Clauses()
            clauses.add("listener_id = ?", filter.listener)
            clauses.add("start_ns >= ?", filter.fromNanoseconds)
            clauses.add("start_ns < ?", filter.toNanoseconds)
            clauses.add("state = ?", filter.state)
            clauses.add("analysis = ?", filter.analysis)
            clauses.add("id < ?", filter.beforeID)
            return try RecordingRecord.fetchAll(
                database, sql: "SELECT * FROM recordings\(clauses.sql) ORDER BY id DESC LIMIT ?",
                arguments: clauses.arguments + [filter.limit])
        }
    }

    public func recording(name: String) async throws(StoreError) -> RecordingRecord? {
        try await read { database in
            try RecordingRecord.fetchOne(database, sql: "SELECT * FROM recordings WHERE name = ?", arguments: [name])
        }
    }

    public func recordingBlocking(name: String) throws(StoreError) -> RecordingRecord? {
        try readBlocking { database in
            try RecordingRecord.fetchOne(database, sql: "SELECT * FROM recordings WHERE name = ?", arguments: [name])
        }
    }

    /// Whether a name has been used; nil when the store cannot be asked.
    public func isRecordedBlocking(name: String) -> Bool? {
        try? readBlocking { database in
            let statement = try database.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM recordings WHERE name = ?)")
            return try Bool.fetchOne(statement, arguments: [name]) ?? false
        }
    }

    /// The greatest recording name of a range, `""` when there is none; nil when the store cannot be asked.
    public func greatestNameBlocking(from lower: String, below upper: String) -> String? {
        try? readBlocking { database in
            try String.fetchOne(
                database, sql: "SELECT max(name) FROM recordings WHERE name >= ? AND name < ?",
                arguments: [lower, upper])
                ?? ""
        }
    }

    /// The recording of a run that begins at a sample frame.
    public func recordingBlocking(
        inSession session: String, run: Int, atOffsetFrames offset: Int64
    ) throws(StoreError) -> RecordingRecord? {
        try readBlocking { database in
            try RecordingRecord.fetchOne(
                database,
                sql: "SELECT * FROM recordings WHERE session_id = ? AND run = ? AND run_offset_frames = ? LIMIT 1",
                arguments: [session, run, offset])
        }
    }

    /// When the oldest recording of each listener that waits for analysis had come in, UTC; of the 2,000 that wait the longest.
    public func oldestPendingAnalysis() async throws(StoreError) -> [String: Int64] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT listener_id, min(closed_ns) AS closed FROM recordings
                    WHERE analysis = 'pending' AND state = 'closed' GROUP BY listener_id ORDER BY closed LIMIT 2000
                    """)
            return Dictionary(
                rows.compactMap { row in (row["closed"] as Int64?).map { (row["listener_id"], $0) } },
                uniquingKeysWith: min)
        }
    }

    /// How many recordings wait for analysis.
    public func pendingAnalysisCount() async throws(StoreError) -> Int {
        try await read { database in
            try Int.fetchOne(
                database, sql: "SELECT count(*) FROM recordings WHERE analysis = 'pending' AND state = 'closed'") ?? 0
        }
    }

    /// Recordings that were open when the daemon last ended.
    public func openRecordingsBlocking() throws(StoreError) -> [RecordingRecord] {
        try readBlocking { database in
            try RecordingRecord.fetchAll(
                database,
                sql: "SELECT * FROM recordings WHERE state = 'open' ORDER BY session_id, run, run_offset_frames")
        }
    }

    /// At which sample frame of its run the recording after this one begins; nil when it is the last.
    public func nextOffsetBlocking(after row: RecordingRecord) throws(StoreError) -> Int64? {
        guard let session = row.sessionID else { return nil }
        return try readBlocking { database in
            try Int64.fetchOne(
                database,
                sql: """
                    SELECT min(run_offset_frames) FROM recordings
                    WHERE session_id = ? AND run = ? AND run_offset_frames > ?
                    """, arguments: [session, row.run, row.runOffsetFrames])
        }
    }

    /// Up to when the runs of a session, from one on, have recordings or lines of the ledger.
    public func lastMomentsBlocking(
        ofSession session: String, fromRun run: Int
    ) throws(StoreError) -> [SessionMoment] {
        try readBlocking { database in
            // Of several rows the other columns are those of the one with the greatest time.
            try Row.fetchAll(
                database,
                sql: """
                    SELECT run, max(end_ns - offset_ns) AS steady_ns, end_ns, is_unset, is_assumed FROM (
                        SELECT run, start_ns + duration_ns AS end_ns, start_ns - monotonic_ns AS offset_ns,
                            time_quality = 'unsynchronised' AS is_unset, time_quality = 'assumed' AS is_assumed
                        FROM recordings WHERE session_id = ?1
                        UNION ALL
                        SELECT run, start_ns + duration_ns, ifnull(offset_ns, opened_ns - monotonic_ns), unset_boot IS NOT NULL, 0
                        FROM ledger JOIN sessions ON sessions.id = session_id
                        WHERE session_id = ?1 AND duration_ns > 0 AND kind <> 'duplicate'
                    ) WHERE run >= ?2 GROUP BY run
                    """, arguments: [session, run]
            ).map {
                SessionMoment(
                    run: $0["run"], utcNanoseconds: $0["end_ns"], monotonicNanoseconds: $0["steady_ns"],
                    isUnset: $0["is_unset"], isAssumed: $0["is_assumed"])
            }
        }
    }

    /// When a listener's next session after the end of one began. `except` are not counted.
    ///
    /// - Parameters:
    ///   - bootID: of the session that ended. Its boot's sessions are compared on the steady clock, those of others by UTC.
    public func nextSessionBlocking(
        of listener: String, after end: SessionMoment, bootID: String, except: Set<String>
    ) throws(StoreError) -> (bootID: String, utcNanoseconds: Int64, monotonicNanoseconds: Int64)? {
        try readBlocking { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT id, boot_id, opened_ns, monotonic_ns FROM sessions WHERE listener_id = ?1
                        AND iif(boot_id = ?2, monotonic_ns >= ?3, opened_ns >= ?4)
                    ORDER BY boot_id <> ?2, iif(boot_id = ?2, monotonic_ns, opened_ns)
                    """, arguments: [listener, bootID, end.monotonicNanoseconds, end.utcNanoseconds])
            while let row = try rows.next() {
                if !except.contains(row["id"]) { return (row["boot_id"], row["opened_ns"], row["monotonic_ns"]) }
            }
            return nil
        }
    }

    /// Recordings whose sound may go, oldest first: closed, and not waiting for analysis.
    public func deletableRecordingsBlocking(limit: Int) throws(StoreError) -> [RecordingRecord] {
        try readBlocking { database in
            try RecordingRecord.fetchAll(
                database,
                sql: """
                    SELECT * FROM recordings r WHERE state = 'closed' AND analysis <> 'pending'
                        AND NOT \(RecordingOrder.waits) AND NOT EXISTS (SELECT 1 FROM deliveries d
                            WHERE d.kind = 'recording' AND d.first_id = r.id AND d.state <> 'refused')
                    ORDER BY start_ns LIMIT ?
                    """, arguments: [limit])
        }
    }

    /// Analysed recordings, oldest first, that hold no detection (`withoutDetections`), or any.
    public func unwantedRecordingsBlocking(withoutDetections: Bool, limit: Int) throws(StoreError) -> [RecordingRecord]
    {
        try readBlocking { database in
            // Of one whose analysis failed nobody knows whether it holds a detection.
            let ended = withoutDetections ? "'done', 'skipped'" : "'done', 'skipped', 'failed'"
            let condition =
                withoutDetections
                ? "AND NOT EXISTS (SELECT 1 FROM detections d WHERE d.recording_name = r.name)" : ""
            return try RecordingRecord.fetchAll(
                database,
                sql: """
                    SELECT * FROM recordings r WHERE state = 'closed' AND analysis IN (\(ended)) \(condition)
                        AND NOT \(RecordingOrder.waits) AND NOT EXISTS (SELECT 1 FROM deliveries d
                            WHERE d.kind = 'recording' AND d.first_id = r.id AND d.state <> 'refused')
                    ORDER BY start_ns LIMIT ?
                    """, arguments: [limit])
        }
    }

    /// Recordings that still wait to be sent somewhere, oldest first: what must go when nothing else can.
    public func undeliveredRecordingsBlocking(limit: Int) throws(StoreError) -> [RecordingRecord] {
        try readBlocking { database in
            try RecordingRecord.fetchAll(
                database,
                sql: """
                    SELECT r.* FROM recordings r
                    WHERE state = 'closed' AND analysis <> 'pending' AND EXISTS (
                        SELECT 1 FROM deliveries d WHERE d.kind = 'recording' AND d.first_id = r.id)
                    ORDER BY start_ns LIMIT ?
                    """, arguments: [limit])
        }
    }

    /// How many recordings are on disk, and their bytes.
    public func recordingTotals() async throws(StoreError) -> (count: Int, bytes: Int64) {
        try await read { database in
            let row = try Row.fetchOne(
                database, sql: "SELECT count(*) AS n, ifnull(sum(bytes), 0) AS b FROM recordings WHERE state = 'closed'"
            )
            return (row?["n"] ?? 0, row?["b"] ?? 0)
        }
    }

    public func recordingBytesBlocking() throws(StoreError) -> Int64 {
        try readBlocking { database in
            try Int64.fetchOne(database, sql: "SELECT ifnull(sum(bytes), 0) FROM recordings WHERE state = 'closed'")
                ?? 0
        }
    }
}

/// The conditions of a query.
struct Clauses {
    private var conditions: [String] = []
    private(set) var arguments = StatementArguments()

    var sql: String { conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ") }

    mutating func add(_ condition: String, _ value: (any DatabaseValueConvertible)?) {
        guard let value else { return }
        conditions.append(condition)
        // One value for every place at which it is asked for.
        for _ in 0..<condition.count(where: { $0 == "?" }) { arguments += [value] }
    }
}
