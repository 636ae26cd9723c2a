import GRDB

extension StoreChange {
    /// - Parameter plan: which deliveries are written with the facts.
    func apply(_ database: Database, plan: DeliveryPlan) throws {
        let outbox = OutboxWriter(plan: plan, database: database)
        let ledger = LedgerWriter(database: database, outbox: outbox)
        switch self {
        case .openSession(let session): try open(session, database)
        case .closeSession(let close):
            try self.close(close, database)
            try outbox.releaseSession(close.id)
        case .openRecording(let recording):
            try database.cachedStatement(
                sql: """
                    INSERT OR IGNORE INTO recordings (name, listener_id, session_id, run, run_offset_frames, relative_path,
                        state, start_ns, time_quality, boot_id, monotonic_ns, source, container, encoding, channels,
                        sample_rate, analysis, guessed)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(arguments: [
                recording.name, recording.listenerID, recording.sessionID, recording.run, recording.runOffsetFrames,
                recording.relativePath, recording.state, recording.startNanoseconds, recording.timeQuality,
                recording.bootID, recording.monotonicNanoseconds, recording.source, recording.container,
                recording.encoding, recording.channels, recording.sampleRate, recording.analysis,
                recording.isGuessed,
            ])
            guard try database.changesCount > 0 || isKnown(recording, database) else {
                throw StoreError(.failed, reason: "there is another recording called \(recording.name)")
            }
        case .closeRecording(let close):
            try database.cachedStatement(
                sql: """
                    UPDATE recordings SET state = CASE state WHEN 'open' THEN 'closed' ELSE state END, frames = ?,
                        duration_ns = ?, filled_ns = ?, bytes = ?,
                        closed_ns = ifnull(start_ns - monotonic_ns + ?, ?),
                        time_quality = iif(settled OR time_quality IN ('corrected', 'assumed'), time_quality,
                            ifnull(?, time_quality))
                    WHERE name = ? AND state IN ('open', 'unkept')
                    """
            ).execute(arguments: [
                close.frames, close.durationNanoseconds, close.filledNanoseconds, close.bytes,
                close.closedMonotonicNanoseconds, close.closedNanoseconds,
                close.timeQuality, close.name,
            ])
            try outbox.addRecording(name: close.name, atNanoseconds: close.closedNanoseconds)
        case .inferTimes(let recording):
            try database.cachedStatement(
                sql: """
                    UPDATE recordings SET guessed = 1, time_quality = iif(time_quality = 'live', 'inferred', time_quality)
                    WHERE name = ?
                    """
            ).execute(arguments: [recording])
        case .clockStepped(let recording, let offset):
            try database.cachedStatement(
                sql: "UPDATE recordings SET file_offset_ns = ? WHERE name = ? AND state = 'open'"
            ).execute(arguments: [offset, recording])
        case .deleteRecording(let name, let reason, let atNanoseconds):
            try outbox.shedRecording(name: name, reason: reason, atNanoseconds: atNanoseconds)
            let wasAwaited = try outbox.isAwaited(recording: name)
            try database.cachedStatement(
                sql: """
                    UPDATE recordings SET state = 'deleted', deleted_ns = ?, delete_reason = ?,
                        analysis = CASE analysis WHEN 'pending' THEN 'skipped' ELSE analysis END
                    WHERE name = ? AND state <> 'deleted'
                    """
            ).execute(arguments: [atNanoseconds, reason, name])
            if wasAwaited { try outbox.addFollower(of: name, atNanoseconds: atNanoseconds) }
        case .settleRun(let sessionID, let run, let byNanoseconds, let gapByNanoseconds, let timeQuality):
            try shift(sessionID, run, byNanoseconds, timeQuality, database)
            if gapByNanoseconds != 0 {
                try ledger.changeGap(beforeRun: run, of: sessionID, byNanoseconds: gapByNanoseconds)
            }
            try outbox.releaseRun(sessionID: sessionID, run: run)
        case .analysed(let recording, let state, let windows, let error, let atNanoseconds):
            try database.cachedStatement(
                sql: """
                    UPDATE recordings SET analysis = ?, windows = ?, analysis_error = ?, analysed_ns = ?
                    WHERE name = ? AND analysis = 'pending'
                    """
            ).execute(arguments: [state, windows, error, atNanoseconds, recording])
            let isAnalysedNow = database.changesCount > 0
            try outbox.addRecording(name: recording, atNanoseconds: atNanoseconds)
            if isAnalysedNow { try outbox.addFollower(of: recording, atNanoseconds: atNanoseconds) }
        case .detections(let detections): try insert(detections, database, outbox)
        case .observations(let observations):
            try ObservationWriter(database: database, outbox: outbox).add(observations)
        case .silenced(let entry):
            guard try ledger.addOnce(entry) else { return }
            try database.cachedStatement(sql: "UPDATE recordings SET privacy_ns = privacy_ns + ? WHERE name = ?")
                .execute(arguments: [entry.durationNanoseconds, entry.recordingName])
        case .ledger(let entry): try ledger.add(entry)
        case .touchListener(let id, let seenNanoseconds, let remoteAddress):
            try touch(id, seenNanoseconds, remoteAddress, database)
        case .metrics(let batch):
            guard plan.sinks[.metrics] != nil else { return }
            let boot = try batch.unset.map { try Boots.id($0.bootID, database) }
            try database.cachedStatement(
                sql: "INSERT INTO metric_batches (time_ns, payload, unset_boot, unset_offset_ns) VALUES (?, ?, ?, ?)"
            ).execute(arguments: [batch.timeNanoseconds, batch.payload, boot, batch.unset?.offsetNanoseconds])
            let id = database.lastInsertedRowID
            try outbox.add(
                .metrics, first: id, last: id,
                hold: batch.unset == nil || !plan.holdsUnsynchronised ? nil : OutboxWriter.clockHold,
                createdNanoseconds: batch.timeNanoseconds, bytes: Int64(batch.payload.count))
        case .delivered(let settlements, let atNanoseconds):
            try outbox.settle(settlements, atNanoseconds: atNanoseconds)
        case .shed(let ids, let reason, let atNanoseconds):
            try outbox.shed(ids, reason: reason, atNanoseconds: atNanoseconds)
        case .moveDeliveries(let kinds, let from, let to): try outbox.move(kinds, from: from, to: to)
        case .requeue(let sink, let ids): try outbox.requeue(sink: sink, ids: ids)
        case .clockIsSet(let bootID, let offsetNanoseconds, let atNanoseconds):
            try ClockCorrection(database: database, bootID: bootID, offset: offsetNanoseconds, now: atNanoseconds)
                .apply()
            try outbox.releaseClock()
        case .clockIsAssumed:
            try ClockCorrection.assume(database)
            try outbox.releaseClock()
        case .seal(let recordingID, let text):
            try database.cachedStatement(sql: "INSERT OR REPLACE INTO seals (recording_id, text) VALUES (?, ?)")
                .execute(arguments: [recordingID, text])
        case .forgetHistory(let beforeNanoseconds, let most):
            try History.forget(before: beforeNanoseconds, most: most, database)
        case .forgetEmptyListeners(let beforeNanoseconds, let limit):
            try History.forgetEmptyListeners(before: beforeNanoseconds, limit: limit, database)
        case .multipart(let upload): try upload.save(database)
        case .multipartEnded(let deliveryID):
            try database.execute(sql: "DELETE FROM multipart_uploads WHERE delivery_id = ?", arguments: [deliveryID])
        case .node(let sighting): try NodeWriter(database: database).note(sighting)
        case .admitNode(let key, let admission, let atNanoseconds):
            try NodeWriter(database: database).admit(key, admission, atNanoseconds)
        case .forgetWaitingNode(let key): try NodeWriter(database: database).forgetWaiting(key)
        case .readings(let batch): try ReadingWriter(database: database, outbox: outbox).add(batch)
        case .nodeFileRead(let key, let path, let from, let to):
            try NodeWriter(database: database).noteFile(key, path: path, from: from, to: to)
        case .nodeFileAnew(let key, let path): try NodeWriter(database: database).beginAnew(key, path: path)
        case .nodeErrors(let key, let path, let errors):
            try NodeWriter(database: database).add(errors, of: key, path: path)
        case .rejectedLines(let lines): try NodeWriter(database: database).add(lines)
        case .accessPoints(let key, let points): try AccessPointWriter(database: database).put(points, of: key)
        case .dataset(let dataset): try CatalogueWriter(outbox).add(dataset)
        case .runIsWhole(let kind, let runSeconds, let atNanoseconds):
            try CatalogueWriter(outbox).show(kind: kind, runSeconds: runSeconds, atNanoseconds: atNanoseconds)
        case .datasetsExpire(let ids): try CatalogueWriter(outbox).expire(ids)
        case .datasetsAreGone(let ids, let atNanoseconds):
            try CatalogueWriter(outbox).gone(ids, atNanoseconds: atNanoseconds)
        case .datasetsRead(let ids, let atSeconds): try CatalogueWriter(outbox).read(ids, atSeconds: atSeconds)
        case .beat: try database.cachedStatement(sql: "UPDATE runs SET starts = starts").execute()
        case .collection(let collection): try CatalogueWriter(outbox).put(collection)
        case .forgetCollections(let beforeSeconds):
            try CatalogueWriter(outbox).forgetCollections(beforeSeconds: beforeSeconds)
        case .forecastTraffic(let day, let bytes): try CatalogueWriter(outbox).count(day: day, bytes: bytes)
        case .jobWasRun(let name, let dueSeconds): try CatalogueWriter(outbox).ran(name, dueSeconds: dueSeconds)
        }
    }

    /// Whether the row of that name is the same recording.
    private func isKnown(_ recording: RecordingRecord, _ database: Database) throws -> Bool {
        try Bool.fetchOne(
            database,
            sql: """
                SELECT session_id IS ? AND run = ? AND run_offset_frames = ? AND listener_id = ? FROM recordings WHERE name = ?
                """,
            arguments: [
                recording.sessionID, recording.run, recording.runOffsetFrames, recording.listenerID, recording.name,
            ]) ?? false
    }

    private func insert(_ detections: [DetectionRecord], _ database: Database, _ outbox: OutboxWriter) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO detections (listener_id, recording_name, session_id, run, start_ns, end_ns,
                    offset_seconds, scientific_name, common_name, label, confidence, model_id, time_quality)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        // Detections made together go together, as long as the same holds them.
        var together: [(hold: String?, ids: ClosedRange<Int64>)] = []
        var created: Int64 = 0
        for detection in detections {
            // A run may have been moved since the window was analysed: where its recording is now is what counts.
            let times = try outbox.times(ofRecording: detection.recordingName)
            let offset = Int64((detection.offsetSeconds * 1e9).rounded())
            let start = times.map { $0.startNanoseconds + offset } ?? detection.startNanoseconds
            let end = start + detection.endNanoseconds - detection.startNanoseconds
            try statement.execute(arguments: [
                detection.listenerID, detection.recordingName, detection.sessionID, detection.run, start, end,
                detection.offsetSeconds, detection.scientificName, detection.commonName, detection.label,
                detection.confidence, detection.modelID, times?.timeQuality ?? detection.timeQuality,
            ])
            guard database.changesCount > 0 else { continue }
            let id = database.lastInsertedRowID
            // What is heard in a recording that came in long after it was made is as old as its arrival.
            created = max(end, times?.closedNanoseconds ?? end)
            if let last = together.last, last.hold == times?.hold, last.ids.upperBound + 1 == id {
                together[together.count - 1].ids = last.ids.lowerBound...id
            } else {
                together.append((times?.hold, id...id))
            }
        }
        for (hold, ids) in together {
            try outbox.add(
                .detections, first: ids.lowerBound, last: ids.upperBound, hold: hold, createdNanoseconds: created)
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
                UPDATE recordings SET start_ns = start_ns + ?, monotonic_ns = monotonic_ns + ?, settled = 1,
                    time_quality = iif(time_quality IN ('live', 'inferred'), ifnull(?, time_quality), time_quality)
                WHERE session_id = ? AND run = ?
                """, arguments: [nanoseconds, nanoseconds, timeQuality, sessionID, run])
        try LedgerWriter.move("session_id = ? AND run = ?", [sessionID, run], by: "?", [nanoseconds], database)
        // The start is part of a detection's identity: move the rows in the order in which none meets another.
        let order = nanoseconds < 0 ? "ASC" : "DESC"
        let ids = try Int64.fetchAll(
            database, sql: "SELECT id FROM detections WHERE session_id = ? AND run = ? ORDER BY start_ns \(order)",
            arguments: [sessionID, run])
        let statement = try database.cachedStatement(
            sql: """
                UPDATE OR IGNORE detections SET start_ns = start_ns + ?, end_ns = end_ns + ?,
                    time_quality = iif(time_quality IN ('live', 'inferred'), ifnull(?, time_quality), time_quality)
                WHERE id = ?
                """)
        for id in ids { try statement.execute(arguments: [nanoseconds, nanoseconds, timeQuality, id]) }
    }
}
