import GRDB

extension StoreChange {
    func apply(_ database: Database) throws {
        switch self {
        case .openSession(let session): try open(session, database)
        case .closeSession(let close): try self.close(close, database)
        case .openRecording(let recording):
            try database.cachedStatement(
                sql: """
                    INSERT OR IGNORE INTO recordings (name, listener_id, session_id, run, run_offset_frames, relative_path,
                        state, start_ns, time_quality, boot_id, monotonic_ns, source, container, encoding, channels,
                        sample_rate, analysis)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(arguments: [
                recording.name, recording.listenerID, recording.sessionID, recording.run, recording.runOffsetFrames,
                recording.relativePath, recording.state, recording.startNanoseconds, recording.timeQuality,
                recording.bootID, recording.monotonicNanoseconds, recording.source, recording.container,
                recording.encoding, recording.channels, recording.sampleRate, recording.analysis,
            ])
        case .closeRecording(let close):
            try database.cachedStatement(
                sql: """
                    UPDATE recordings SET state = CASE state WHEN 'open' THEN 'closed' ELSE state END, frames = ?,
                        duration_ns = ?, filled_ns = ?, bytes = ?, closed_ns = ?, time_quality = ifnull(?, time_quality)
                    WHERE name = ? AND state IN ('open', 'unkept')
                    """
            ).execute(arguments: [
                close.frames, close.durationNanoseconds, close.filledNanoseconds, close.bytes, close.closedNanoseconds,
                close.timeQuality, close.name,
            ])
        case .deleteRecording(let name, let reason, let atNanoseconds):
            try database.cachedStatement(
                sql: """
                    UPDATE recordings SET state = 'deleted', deleted_ns = ?, delete_reason = ?,
                        analysis = CASE analysis WHEN 'pending' THEN 'skipped' ELSE analysis END
                    WHERE name = ? AND state <> 'deleted'
                    """
            ).execute(arguments: [atNanoseconds, reason, name])
        case .shiftRun(let sessionID, let run, let byNanoseconds, let timeQuality):
            try shift(sessionID, run, byNanoseconds, timeQuality, database)
        case .analysed(let recording, let state, let windows, let error):
            try database.cachedStatement(
                sql: """
                    UPDATE recordings SET analysis = ?, windows = ?, analysis_error = ?
                    WHERE name = ? AND analysis = 'pending'
                    """
            ).execute(arguments: [state, windows, error, recording])
        case .detections(let detections):
            let statement = try database.cachedStatement(
                sql: """
                    INSERT OR IGNORE INTO detections (listener_id, recording_name, session_id, run, start_ns, end_ns,
                        offset_seconds, scientific_name, common_name, label, confidence, model_id, time_quality)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """)
            for detection in detections {
                try statement.execute(arguments: [
                    detection.listenerID, detection.recordingName, detection.sessionID, detection.run,
                    detection.startNanoseconds, detection.endNanoseconds, detection.offsetSeconds,
                    detection.scientificName, detection.commonName, detection.label, detection.confidence,
                    detection.modelID, detection.timeQuality,
                ])
            }
        case .privacy(let recording, let addNanoseconds):
            try database.cachedStatement(
                sql:
                    "UPDATE recordings SET privacy_ns = min(privacy_ns + ?, max(duration_ns, privacy_ns + ?)) WHERE name = ?"
            ).execute(arguments: [addNanoseconds, addNanoseconds, recording])
        case .ledger(let entry):
            try database.cachedStatement(
                sql: """
                    INSERT OR IGNORE INTO ledger (listener_id, session_id, run, recording_name, kind, reason, start_ns,
                        duration_ns, frames, bytes, noted_ns)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(arguments: [
                entry.listenerID, entry.sessionID, entry.run, entry.recordingName, entry.kind, entry.reason,
                entry.startNanoseconds, entry.durationNanoseconds, entry.frames, entry.bytes, entry.notedNanoseconds,
            ])
        case .touchListener(let id, let seenNanoseconds, let remoteAddress):
            try touch(id, seenNanoseconds, remoteAddress, database)
        }
    }

    private func touch(_ id: String, _ seen: Int64, _ remoteAddress: String, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO listeners (id, first_seen_ns, last_seen_ns, remote_address) VALUES (?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET last_seen_ns = max(last_seen_ns, excluded.last_seen_ns),
                    remote_address = excluded.remote_address
                """
        ).execute(arguments: [id, seen, seen, remoteAddress])
    }

    private func open(_ session: SessionRecord, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO sessions (id, listener_id, boot_id, counter, opened_ns, monotonic_ns, remote_address,
                    source)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            session.id, session.listenerID, session.bootID, session.counter, session.openedNanoseconds,
            session.monotonicNanoseconds, session.remoteAddress, session.source,
        ])
        try touch(session.listenerID, session.openedNanoseconds, session.remoteAddress, database)
    }

    private func close(_ close: SessionClose, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                UPDATE sessions SET closed_ns = ?, close_reason = ?, frames_received = ?, bytes_received = ?,
                    frames_duplicate = ?, frames_old = ?, frames_missing = ?, frames_realigned = ?, metadata_frames = ?
                WHERE id = ? AND closed_ns IS NULL
                """
        ).execute(arguments: [
            close.closedNanoseconds, close.reason, close.framesReceived, close.bytesReceived, close.framesDuplicate,
            close.framesOld, close.framesMissing, close.framesRealigned, close.metadataFrames, close.id,
        ])
        try database.cachedStatement(
            sql: """
                UPDATE listeners SET last_seen_ns = max(last_seen_ns, ?)
                WHERE id = (SELECT listener_id FROM sessions WHERE id = ?)
                """
        ).execute(arguments: [close.closedNanoseconds, close.id])
    }

    private func shift(
        _ sessionID: String, _ run: Int, _ nanoseconds: Int64, _ timeQuality: String?, _ database: Database
    ) throws {
        try database.execute(
            sql: """
                UPDATE recordings SET start_ns = start_ns + ?,
                    time_quality = CASE time_quality WHEN 'unsynchronised' THEN time_quality ELSE ifnull(?, time_quality) END
                WHERE session_id = ? AND run = ?
                """, arguments: [nanoseconds, timeQuality, sessionID, run])
        try database.execute(
            sql: "UPDATE OR IGNORE ledger SET start_ns = start_ns + ? WHERE session_id = ? AND run = ?",
            arguments: [nanoseconds, sessionID, run])
        // The start is part of a detection's identity: move the rows in the order in which none meets another.
        let order = nanoseconds < 0 ? "ASC" : "DESC"
        let ids = try Int64.fetchAll(
            database, sql: "SELECT id FROM detections WHERE session_id = ? AND run = ? ORDER BY start_ns \(order)",
            arguments: [sessionID, run])
        let statement = try database.cachedStatement(
            sql: """
                UPDATE OR IGNORE detections SET start_ns = start_ns + ?, end_ns = end_ns + ?,
                    time_quality = CASE time_quality WHEN 'unsynchronised' THEN time_quality ELSE ifnull(?, time_quality) END
                WHERE id = ?
                """)
        for id in ids { try statement.execute(arguments: [nanoseconds, nanoseconds, timeQuality, id]) }
    }
}
