public import GRDB

/// What is known of a listener, connected or not.
public struct ListenerSummary: Sendable, Hashable, Codable, FetchableRecord {
    public let id: String
    public let firstSeenNanoseconds: Int64
    public let lastSeenNanoseconds: Int64
    public let remoteAddress: String
    public let recordings: Int
    public let detections: Int

    enum CodingKeys: String, CodingKey {
        case id, recordings, detections
        case firstSeenNanoseconds = "first_seen_ns"
        case lastSeenNanoseconds = "last_seen_ns"
        case remoteAddress = "remote_address"
    }
}

extension Store {
    /// By id, at most `limit`.
    ///
    /// - Parameter after: only ids greater than this.
    public func listeners(after: String? = nil, limit: Int = 1000) async throws(StoreError) -> [ListenerSummary] {
        try await read { database in
            try ListenerSummary.fetchAll(
                database,
                sql: """
                    SELECT l.*,
                        (SELECT count(*) FROM recordings r WHERE r.listener_id = l.id AND r.state <> 'deleted') AS recordings,
                        (SELECT count(*) FROM detections d WHERE d.listener_id = l.id) AS detections
                    FROM listeners l WHERE ?1 IS NULL OR id > ?1 ORDER BY id LIMIT ?2
                    """, arguments: [after, limit])
        }
    }

    /// How many listeners are known.
    public func listenerCount() async throws(StoreError) -> Int {
        try await read { database in try Int.fetchOne(database, sql: "SELECT count(*) FROM listeners") ?? 0 }
    }

    /// When each listener last sent something, the most recent first. Unlike ``listeners(limit:)`` it counts nothing.
    public func lastSeen(limit: Int) async throws(StoreError) -> [(id: String, lastSeenNanoseconds: Int64)] {
        try await read { database in
            try Row.fetchAll(
                database, sql: "SELECT id, last_seen_ns FROM listeners ORDER BY last_seen_ns DESC LIMIT ?",
                arguments: [limit]
            ).map { ($0[0], $0[1]) }
        }
    }

    /// Ids of listeners, at most `limit`, the most recently seen first.
    public func knownListenersBlocking(limit: Int = 65_536) throws(StoreError) -> [String] {
        try readBlocking { database in
            try String.fetchAll(
                database, sql: "SELECT id FROM listeners ORDER BY last_seen_ns DESC LIMIT ?", arguments: [limit])
        }
    }

    /// Sessions that were open when the daemon last ended.
    public func openSessionsBlocking() throws(StoreError) -> [OpenSession] {
        try readBlocking { database in
            try Row.fetchAll(database, sql: "SELECT id, listener_id, boot_id FROM sessions WHERE closed_ns IS NULL")
                .map { OpenSession(id: $0["id"], listenerID: $0["listener_id"], bootID: $0["boot_id"]) }
        }
    }

    /// What a session without an end has recorded, in the order of its sound; and what is known of the times of its runs.
    public func remainsOfSessionBlocking(
        _ session: String
    ) throws(StoreError) -> (recordings: [RecordingRecord], runs: [RunRemains]) {
        try readBlocking { database in
            let recordings = try RecordingRecord.fetchAll(
                database,
                sql: """
                    SELECT * FROM recordings WHERE session_id = ? AND duration_ns > 0 ORDER BY run, run_offset_frames
                    """, arguments: [session])
            let runs = try Row.fetchAll(
                database,
                sql: """
                    SELECT run, max(start_ns + duration_ns) AS end_ns,
                        -- No sound is further ahead of its arrival than the session is long.
                        min(max(start_ns + duration_ns - ifnull(closed_ns, start_ns + duration_ns)),
                            max(monotonic_ns + duration_ns) - (SELECT monotonic_ns FROM sessions WHERE id = session_id)) AS lead_ns,
                        min(settled OR NOT guessed AND time_quality <> 'inferred') AS is_settled,
                        (SELECT max(duration_ns) FROM ledger WHERE ledger.session_id = recordings.session_id
                            AND ledger.run = recordings.run AND kind = 'gap' AND reason = 'source paused') AS pause_ns
                    FROM recordings WHERE session_id = ? AND duration_ns > 0 GROUP BY run ORDER BY run
                    """, arguments: [session])
            return (
                recordings,
                runs.map { row in
                    RunRemains(
                        run: row["run"], endNanoseconds: row["end_ns"], leadNanoseconds: row["lead_ns"],
                        isSettled: row["is_settled"], pauseNanoseconds: row["pause_ns"])
                }
            )
        }
    }

    /// The highest session number of a boot, 0 if it has none.
    public func highestSessionCounterBlocking(bootID: String) throws(StoreError) -> Int {
        try readBlocking { database in
            try Int.fetchOne(
                database, sql: "SELECT max(counter) FROM sessions WHERE boot_id = ?", arguments: [bootID]) ?? 0
        }
    }
}

/// A session without an end.
public struct OpenSession: Sendable, Hashable {
    public let id: String
    public let listenerID: String
    public let bootID: String
}

/// A moment of a session, by both clocks.
public struct SessionMoment: Sendable, Hashable {
    public let run: Int
    public let utcNanoseconds: Int64
    public let monotonicNanoseconds: Int64
    /// Whether the clock was not set, so that the first of them may still be corrected.
    public let isUnset: Bool
    /// Whether the clock was waited for in vain: the first of them is wrong, and stays so.
    public let isAssumed: Bool

    public init(
        run: Int, utcNanoseconds: Int64, monotonicNanoseconds: Int64, isUnset: Bool, isAssumed: Bool
    ) {
        self.run = run
        self.utcNanoseconds = utcNanoseconds
        self.monotonicNanoseconds = monotonicNanoseconds
        self.isUnset = isUnset
        self.isAssumed = isAssumed
    }

    public func moved(byNanoseconds shift: Int64) -> SessionMoment {
        SessionMoment(
            run: run, utcNanoseconds: utcNanoseconds + shift, monotonicNanoseconds: monotonicNanoseconds + shift,
            isUnset: isUnset, isAssumed: isAssumed)
    }
}

/// What is known of the times of a run whose session has no end.
public struct RunRemains: Sendable, Equatable {
    public let run: Int
    /// UTC, of its last sample.
    public let endNanoseconds: Int64
    /// The greatest time by which the end of one of its recordings lies after its last byte was written.
    public let leadNanoseconds: Int64
    /// Whether its times are final.
    public let isSettled: Bool
    /// How long the source seemed to pause before it.
    public let pauseNanoseconds: Int64?
}
