import GRDB

/// Writes, moves and changes lines of the ledger.
///
/// A line is identified by its listener, session, kind, reason, start and recording. Two lines that come to the same identity
/// become one, with the sum of what they say: none is dropped.
struct LedgerWriter {
    let database: Database
    let outbox: OutboxWriter

    private static let identity =
        "listener_id, ifnull(session_id, ''), kind, reason, start_ns, ifnull(recording_name, '')"

    /// Adds a line, and its delivery.
    func add(_ entry: LedgerEntry) throws {
        let entry = try placed(entry)
        let id = try Int64.fetchOne(
            database.cachedStatement(
                sql: """
                    INSERT INTO ledger (listener_id, session_id, run, recording_name, kind, reason, start_ns, duration_ns,
                        frames, bytes, noted_ns, unset_boot, unset_offset_ns, offset_ns, end_boot, end_monotonic_ns)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT (\(Self.identity)) DO UPDATE SET duration_ns = duration_ns + excluded.duration_ns,
                        frames = frames + excluded.frames, bytes = bytes + excluded.bytes
                    RETURNING id
                    """),
            arguments: [
                entry.listenerID, entry.sessionID, entry.run, entry.recordingName, entry.kind, entry.reason,
                entry.startNanoseconds, entry.durationNanoseconds, entry.frames, entry.bytes, entry.notedNanoseconds,
                try entry.unset.map { try Boots.id($0.bootID, database) }, entry.unset?.offsetNanoseconds,
                entry.offsetNanoseconds, try entry.unsetEnd.map { try Boots.id($0.bootID, database) },
                entry.unsetEnd?.monotonicNanoseconds,
            ])
        guard let id, outbox.plan.sinks[.coverage] != nil, try !isWaiting(id) else { return }
        let isHeld = (entry.unset != nil || entry.unsetEnd != nil) && outbox.plan.holdsUnsynchronised
        let hold =
            try outbox.times(sessionID: entry.sessionID, run: entry.run)?.hold
            ?? (isHeld ? OutboxWriter.clockHold : nil)
        try outbox.add(.coverage, first: id, last: id, hold: hold, createdNanoseconds: entry.notedNanoseconds)
    }

    /// Adds a line that may have been added before; false when it has been.
    func addOnce(_ entry: LedgerEntry) throws -> Bool {
        let isKnown = try Bool.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT EXISTS (SELECT 1 FROM ledger WHERE listener_id = ? AND ifnull(session_id, '') = ifnull(?, '')
                        AND kind = ? AND reason = ? AND start_ns = ? AND ifnull(recording_name, '') = ifnull(?, ''))
                    """),
            arguments: [
                entry.listenerID, entry.sessionID, entry.kind, entry.reason, try placed(entry).startNanoseconds,
                entry.recordingName,
            ])
        guard isKnown != true else { return false }
        try add(entry)
        return true
    }

    /// A line about a recording, where the recording is now.
    private func placed(_ entry: LedgerEntry) throws -> LedgerEntry {
        guard let known = entry.recordingStartNanoseconds, let name = entry.recordingName,
            let row = try Row.fetchOne(
                database.cachedStatement(
                    sql: "SELECT start_ns, monotonic_ns, time_quality, boot_id FROM recordings WHERE name = ?"),
                arguments: [name])
        else { return entry }
        let start: Int64 = row["start_ns"]
        let offset = start - (row["monotonic_ns"] as Int64)
        var placed = entry
        placed.startNanoseconds += start - known
        placed.offsetNanoseconds = offset
        if row["time_quality"] == "unsynchronised" {
            placed.unset = UnsetClock(bootID: row["boot_id"], offsetNanoseconds: offset)
        }
        return placed
    }

    /// Whether a delivery of the line is still to come: it will find what the line says then.
    private func isWaiting(_ id: Int64) throws -> Bool {
        try Bool.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT EXISTS (SELECT 1 FROM deliveries WHERE kind = 'coverage' AND first_id <= ?1 AND last_id >= ?1)
                    """), arguments: [id]) ?? false
    }

    /// Changes the length of the gap before a run that has been moved already. Its end stays; a gap of no length was none.
    func changeGap(beforeRun run: Int, of sessionID: String, byNanoseconds nanoseconds: Int64) throws {
        let gap = try Row.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT id, duration_ns FROM ledger WHERE session_id = ? AND run = ? AND kind = 'gap'
                    ORDER BY start_ns DESC LIMIT 1
                    """), arguments: [sessionID, run])
        guard let gap else { return }
        let id: Int64 = gap["id"]
        let duration: Int64 = gap["duration_ns"]
        if duration + nanoseconds > 0 {
            try Self.move("id = ?", [id], by: "-(?)", [nanoseconds], database)
            try database.execute(
                sql: "UPDATE ledger SET duration_ns = duration_ns + ? WHERE id = ?", arguments: [nanoseconds, id])
            return
        }
        try database.execute(sql: "DELETE FROM ledger WHERE id = ?", arguments: [id])
        // A delivery of several lines passes over the one that is gone.
        try database.execute(
            sql: "DELETE FROM deliveries WHERE kind = 'coverage' AND first_id = ?1 AND last_id = ?1 AND state = 'held'",
            arguments: [id])
    }

    // MARK: - Moving

    /// Lines that are moved are first put where no others are, since their start is a part of their identity, and one line's
    /// new place may be another's old one.
    private static let aside: Int64 = 1 << 62

    /// Moves lines in time.
    ///
    /// - Parameters:
    ///   - condition: which, in SQL.
    ///   - expression: by how many nanoseconds, in SQL.
    static func move(
        _ condition: String, _ arguments: StatementArguments, by expression: String,
        _ expressionArguments: StatementArguments, _ database: Database
    ) throws {
        try database.execute(
            sql: "UPDATE ledger SET start_ns = start_ns - \(aside) WHERE \(condition)", arguments: arguments)
        let isAside = "start_ns < -\(aside / 2)"
        try database.execute(
            sql: """
                UPDATE OR IGNORE ledger SET start_ns = start_ns + \(aside) + (\(expression))
                WHERE \(isAside) AND \(condition)
                """, arguments: expressionArguments + arguments)
        // Those whose place is taken are added to the line that is there.
        let left = try Row.fetchAll(
            database,
            sql: """
                SELECT moved.id AS id, there.id AS other FROM ledger AS moved JOIN ledger AS there
                    ON there.listener_id = moved.listener_id
                    AND ifnull(there.session_id, '') = ifnull(moved.session_id, '') AND there.kind = moved.kind
                    AND there.reason = moved.reason AND ifnull(there.recording_name, '') = ifnull(moved.recording_name, '')
                    AND there.start_ns = moved.start_ns + \(aside) + (\(expression.replacingColumns))
                WHERE moved.\(isAside)
                """, arguments: expressionArguments)
        for row in left {
            let (id, other): (Int64, Int64) = (row["id"], row["other"])
            try database.execute(
                sql: """
                    UPDATE ledger SET duration_ns = duration_ns + (SELECT duration_ns FROM ledger WHERE id = ?1),
                        frames = frames + (SELECT frames FROM ledger WHERE id = ?1),
                        bytes = bytes + (SELECT bytes FROM ledger WHERE id = ?1)
                    WHERE id = ?2
                    """, arguments: [id, other])
            try database.execute(sql: "DELETE FROM ledger WHERE id = ?", arguments: [id])
        }
    }
}

extension String {
    /// The one column that an expression of a move may name.
    fileprivate var replacingColumns: String {
        split(separator: " ", omittingEmptySubsequences: false)
            .map { $0 == "unset_offset_ns" ? "moved.unset_offset_ns" : String($0) }.joined(separator: " ")
    }
}
