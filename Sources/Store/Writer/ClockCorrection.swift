import GRDB

/// Moves what a clock that was not set has stamped in one boot to where it belongs, now that the clock is set.
///
/// Everything was stamped by the steady clock too, so the right time is that plus the boot's offset, however often the
/// clock was stepped meanwhile. Nothing of it has left the box: its deliveries are held until this is done.
struct ClockCorrection {
    let database: Database
    let bootID: String
    /// UTC less the steady time, of this boot.
    let offset: Int64
    /// UTC.
    let now: Int64

    /// Rows that are to be moved are first put where no others are, since times are part of identities, and one row's new
    /// place may be another's old one.
    private static let aside: Int64 = 1 << 62

    func apply() throws {
        try moveRecordings()
        try moveObservations()
        let boot = "(SELECT id FROM boots WHERE boot_id = ?)"
        try LedgerWriter.move("unset_boot = \(boot)", [bootID], by: "? - unset_offset_ns", [offset], database)
        try database.execute(
            sql: "UPDATE ledger SET noted_ns = noted_ns + ? - unset_offset_ns WHERE unset_boot = \(boot)",
            arguments: [offset, bootID])
        try database.execute(
            sql: "UPDATE ledger SET unset_boot = NULL, offset_ns = ? WHERE unset_boot = \(boot)",
            arguments: [offset, bootID])
        try database.execute(
            sql: """
                UPDATE ledger SET duration_ns = max(0, end_monotonic_ns + ? - start_ns), end_boot = NULL
                WHERE end_boot = \(boot)
                """, arguments: [offset, bootID])
        try database.execute(
            sql: """
                UPDATE metric_batches SET time_ns = time_ns + ? - unset_offset_ns, unset_boot = NULL
                WHERE unset_boot = \(boot)
                """, arguments: [offset, bootID])
        try moveSessions()
        try database.execute(
            sql: "UPDATE deliveries SET created_ns = ? WHERE hold = ?", arguments: [now, OutboxWriter.clockHold])
        // Those that wait for their run first were made by the same clock.
        try database.execute(
            sql: """
                UPDATE deliveries SET created_ns = ? WHERE state = 'held' AND hold <> ? AND created_ns < ?
                    AND EXISTS (SELECT 1 FROM sessions WHERE boot_id = ? AND closed_ns IS NULL
                        AND hold >= sessions.id || '#' AND hold < sessions.id || '$')
                """, arguments: [now, OutboxWriter.clockHold, now, bootID])
    }

    private func moveRecordings() throws {
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT id, name, monotonic_ns + ? - start_ns FROM recordings
                WHERE time_quality = 'unsynchronised' AND boot_id = ?
                """, arguments: [offset, bootID])
        let detections = try database.makeStatement(
            sql: "UPDATE detections SET start_ns = start_ns - ? WHERE recording_name = ?")
        for row in rows { try detections.execute(arguments: [Self.aside, row[1] as String]) }
        let recording = try database.makeStatement(
            sql: """
                UPDATE recordings SET start_ns = start_ns + ?1, time_quality = 'corrected',
                    file_offset_ns = iif(state = 'open', ifnull(file_offset_ns, start_ns - monotonic_ns), NULL),
                    -- Of what is not settled yet it says how far the sound is ahead.
                    closed_ns = iif(closed_ns IS NULL, NULL,
                        iif(guessed AND NOT settled, closed_ns + ?1, start_ns + ?1 + duration_ns)),
                    analysed_ns = iif(analysed_ns IS NULL OR analysed_ns BETWEEN start_ns + ?1 AND ?2, analysed_ns,
                        start_ns + ?1 + duration_ns)
                WHERE id = ?3
                """)
        let back = try database.makeStatement(
            sql: """
                UPDATE OR IGNORE detections SET start_ns = start_ns + ?1 + ?2, end_ns = end_ns + ?2, time_quality = 'corrected'
                WHERE recording_name = ?3 AND start_ns < 0
                """)
        // What is there already at the right time is the same detection.
        let forget = try database.makeStatement(sql: "DELETE FROM detections WHERE recording_name = ? AND start_ns < ?")
        for row in rows {
            let (id, name, shift): (Int64, String, Int64) = (row[0], row[1], row[2])
            try recording.execute(arguments: [shift, now, id])
            try back.execute(arguments: [Self.aside, shift, name])
            try forget.execute(arguments: [name, -Self.aside / 2])
        }
    }

    private func moveObservations() throws {
        let which = "boot = (SELECT id FROM boots WHERE boot_id = ?) AND time_quality = 'unsynchronised'"
        for table in ["observations", "readings"] {
            try database.execute(
                sql: "UPDATE \(table) SET time_ns = time_ns - ? WHERE \(which)", arguments: [Self.aside, bootID])
            try database.execute(
                sql: """
                    UPDATE OR IGNORE \(table) SET time_ns = monotonic_ns + ?, time_quality = 'corrected' WHERE \(which)
                    """, arguments: [offset, bootID])
            try database.execute(sql: "DELETE FROM \(table) WHERE \(which)", arguments: [bootID])
        }
    }

    /// Of sessions the steady time of their beginning is known. Those that ended before the clock was set ended as long
    /// after it as they seemed to.
    private func moveSessions() throws {
        try database.execute(
            sql: """
                UPDATE sessions SET opened_ns = monotonic_ns + ?1,
                    closed_ns = iif(closed_ns BETWEEN monotonic_ns + ?1 AND ?2, closed_ns,
                        closed_ns + monotonic_ns + ?1 - opened_ns)
                WHERE boot_id = ?3 AND abs(monotonic_ns + ?1 - opened_ns) > 1000000000
                """, arguments: [offset, now, bootID])
        try database.execute(
            sql: """
                UPDATE listeners SET
                    first_seen_ns = (SELECT min(opened_ns) FROM sessions WHERE listener_id = listeners.id),
                    last_seen_ns = iif(last_seen_ns > ?1
                            OR last_seen_ns < (SELECT max(opened_ns) FROM sessions WHERE listener_id = listeners.id),
                        (SELECT max(ifnull(closed_ns, opened_ns)) FROM sessions WHERE listener_id = listeners.id), last_seen_ns)
                WHERE id IN (SELECT listener_id FROM sessions WHERE boot_id = ?2)
                """, arguments: [now, bootID])
    }

    /// The clock was waited for in vain: what it has stamped keeps its times, and is not corrected any more, since it may
    /// be at a far end under them.
    static func assume(_ database: Database) throws {
        for table in ["recordings", "detections", "observations", "readings"] {
            try database.execute(
                sql: "UPDATE \(table) SET time_quality = 'assumed' WHERE time_quality = 'unsynchronised'")
        }
        try database.execute(sql: "UPDATE ledger SET unset_boot = NULL WHERE unset_boot IS NOT NULL")
        try database.execute(sql: "UPDATE ledger SET end_boot = NULL WHERE end_boot IS NOT NULL")
        try database.execute(sql: "UPDATE metric_batches SET unset_boot = NULL WHERE unset_boot IS NOT NULL")
    }
}
