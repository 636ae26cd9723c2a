import GRDB

/// Writes the outbox, always inside the transaction of the fact.
struct OutboxWriter {
    let plan: DeliveryPlan
    let database: Database

    /// What is known of the times of a recording.
    struct Times {
        let startNanoseconds: Int64
        let timeQuality: String
        /// Why they are not settled yet; nil when they are.
        let hold: String?
        /// When the recording had come in; nil while it is open.
        let closedNanoseconds: Int64?
    }

    /// A run whose times are not final is moved later (``StoreChange/settleRun``), and what a clock that was not set has
    /// stamped is corrected when it is: neither may be delivered before.
    private func times(_ row: Row) -> Times {
        let quality: String = row["time_quality"]
        let sessionID: String? = row["session_id"]
        let isSettled: Bool = row["settled"] || (row["is_session_closed"] ?? true)
        var hold: String?
        if quality == "inferred" || row["guessed"], !isSettled, let sessionID {
            hold = Self.runHold(sessionID, row["run"])
        } else if quality == "unsynchronised", plan.holdsUnsynchronised {
            hold = Self.clockHold
        }
        return Times(
            startNanoseconds: row["start_ns"], timeQuality: quality, hold: hold, closedNanoseconds: row["closed_ns"])
    }

    private static let timesColumns = """
        start_ns, time_quality, session_id, run, settled, guessed, closed_ns,
            (SELECT closed_ns IS NOT NULL FROM sessions WHERE id = session_id) AS is_session_closed
        """

    func times(ofRecording name: String) throws -> Times? {
        try Row.fetchOne(
            database.cachedStatement(sql: "SELECT \(Self.timesColumns) FROM recordings WHERE name = ?"),
            arguments: [name]
        ).map(times)
    }

    /// By the last recording of a run; nil when it has none.
    func times(sessionID: String?, run: Int?) throws -> Times? {
        guard let sessionID, let run else { return nil }
        return try Row.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT \(Self.timesColumns) FROM recordings WHERE session_id = ? AND run = ?
                    ORDER BY run_offset_frames DESC LIMIT 1
                    """), arguments: [sessionID, run]
        ).map(times)
    }

    static let clockHold = "clock"

    static func runHold(_ sessionID: String, _ run: Int) -> String { "\(sessionID)#\(run)" }

    func add(
        _ kind: DeliveryKind, first: Int64, last: Int64, hold: String?, createdNanoseconds: Int64, bytes: Int64 = 0,
        together: Int64 = mostFactsTogether
    ) throws {
        guard let sinks = plan.sinks[kind] else { return }
        let statement = try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO deliveries (sink, kind, rank, first_id, last_id, state, hold, created_ns, bytes)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        for sink in sinks {
            if kind.isSpan,
                try extend(sink, kind, first: first, last: last, hold: hold, createdNanoseconds, together: together)
            {
                continue
            }
            try statement.execute(arguments: [
                sink, kind.rawValue, kind.rank, first, last, hold == nil ? "waiting" : "held", hold,
                createdNanoseconds, bytes,
            ])
        }
    }

    /// Facts that share a row at most, and how far apart they may have been made: what is tried again, given up or split
    /// goes by rows.
    static let mostFactsTogether: Int64 = 256
    /// A node's reading is many observations.
    static let mostReadingsTogether: Int64 = 16
    private static let longestTogether: Int64 = 3_600_000_000_000

    /// Lets the row that ends where these facts begin grow over them; false when there is none. It may be on its way to the
    /// far end meanwhile: what is settled then is what was sent.
    private func extend(
        _ sink: String, _ kind: DeliveryKind, first: Int64, last: Int64, hold: String?, _ created: Int64,
        together: Int64
    ) throws -> Bool {
        try database.cachedStatement(
            sql: """
                UPDATE deliveries SET last_id = ?
                WHERE kind = ? AND first_id BETWEEN ? AND ? AND sink = ? AND last_id = ? AND state = ? AND hold IS ?
                    AND attempts = 0 AND created_ns BETWEEN ? AND ?
                """
        ).execute(arguments: [
            last, kind.rawValue, last - together + 1, first - 1, sink, first - 1,
            hold == nil ? "waiting" : "held", hold, created - Self.longestTogether, created + Self.longestTogether,
        ])
        return database.changesCount > 0
    }

    /// A recording that has ended and is analysed, or never will be: its file and the news of it can go.
    func addRecording(name: String, atNanoseconds: Int64) throws {
        guard plan.sinks[.recording] != nil || plan.sinks[.analysis] != nil else { return }
        guard let row = try fileRow(name) else { return }
        if row["analysis"] == "done" {
            let id: Int64 = row["id"]
            try add(.analysis, first: id, last: id, hold: times(row).hold, createdNanoseconds: atNanoseconds)
        }
        try addFile(name: name, row, atNanoseconds)
    }

    private func addFile(name: String, _ row: Row, _ atNanoseconds: Int64) throws {
        let isHeard =
            try plan.sendsUnheard
            || row["analysis"] != "failed" && RecordingOrder.beginning(of: name, database) == .heard
        guard row["state"] == "closed", isHeard, try !plan.sendsOnlyDetected || hasDetections(name) else { return }
        let id: Int64 = row["id"]
        try add(
            .recording, first: id, last: id, hold: times(row).hold, createdNanoseconds: atNanoseconds,
            bytes: row["bytes"])
    }

    /// Whether the file of the recording that follows waits for this one's analysis.
    func isAwaited(recording name: String) throws -> Bool {
        guard !plan.sendsUnheard else { return false }
        return try Bool.fetchOne(
            database.cachedStatement(sql: "SELECT analysis = 'pending' FROM recordings WHERE name = ?"),
            arguments: [name]) ?? false
    }

    /// A recording's last window reaches into the one that follows it in the run: where voices are silenced, that one's file goes only
    /// once both are analysed.
    func addFollower(of name: String, atNanoseconds: Int64) throws {
        guard !plan.sendsUnheard, plan.sinks[.recording] != nil else { return }
        guard let follower = try RecordingOrder.follower(of: name, database),
            let row = try fileRow(follower)
        else { return }
        try addFile(name: follower, row, atNanoseconds)
    }

    private func fileRow(_ name: String) throws -> Row? {
        try Row.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT id, bytes, state, analysis, \(Self.timesColumns)
                    FROM recordings WHERE name = ? AND closed_ns IS NOT NULL AND analysis <> 'pending'
                    """), arguments: [name])
    }

    private func hasDetections(_ recording: String) throws -> Bool {
        try Bool.fetchOne(
            database.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM detections WHERE recording_name = ?)"),
            arguments: [recording]) ?? false
    }

    // MARK: - Releasing

    func releaseRun(sessionID: String, run: Int) throws {
        let hold = Self.runHold(sessionID, run)
        // `!` comes before every digit, so nothing but this run lies between.
        try release(from: hold, below: hold + "!", try isUnset("session_id = ? AND run = ?", [sessionID, run]))
    }

    func releaseSession(_ sessionID: String) throws {
        // `$` follows `#`.
        try release(from: "\(sessionID)#", below: "\(sessionID)$", try isUnset("session_id = ?", [sessionID]))
    }

    /// What is settled may still wait for the clock.
    private func release(from first: String, below end: String, _ isUnset: Bool) throws {
        try database.cachedStatement(
            sql: "UPDATE deliveries SET state = ?, hold = ? WHERE hold >= ? AND hold < ? AND state = 'held'"
        ).execute(arguments: [isUnset ? "held" : "waiting", isUnset ? Self.clockHold : nil, first, end])
    }

    private func isUnset(_ condition: String, _ arguments: StatementArguments) throws -> Bool {
        guard plan.holdsUnsynchronised else { return false }
        return try Bool.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT EXISTS (SELECT 1 FROM recordings WHERE \(condition) AND time_quality = 'unsynchronised')
                    """), arguments: arguments) ?? false
    }

    func releaseClock() throws {
        try database.execute(
            sql: "UPDATE deliveries SET state = 'waiting', hold = NULL WHERE hold = ? AND state = 'held'",
            arguments: [Self.clockHold])
    }

    // MARK: - Outcomes

    func settle(_ settlements: [DeliverySettlement], atNanoseconds: Int64) throws {
        var counts: [CountKey: Count] = [:]
        let find = try database.cachedStatement(
            sql: "SELECT \(DeliveryRecord.columns) FROM deliveries WHERE id = ?")
        for settlement in settlements {
            guard let row = try DeliveryRecord.fetchOne(find, arguments: [settlement.id]),
                settlement.throughID >= row.firstID
            else { continue }
            let through = min(settlement.throughID, row.lastID)
            let facts = through - row.firstID + 1
            let key = CountKey(sink: row.sink, kind: row.kind)
            switch settlement.outcome {
            case .done:
                counts[key, default: Count()].done += facts
                try remove(row, through: through)
                try forgetPassing(row, through: through)
                switch row.kind {
                case .recording: try noteUpload(row, atNanoseconds)
                case .field: try CatalogueWriter(self).sent(number: row.firstID, atNanoseconds)
                case .fieldRemoval: try CatalogueWriter(self).remove(number: row.firstID, atNanoseconds)
                case .detections, .coverage, .observations, .analysis, .upload, .metrics, .catalogue: break
                }
            case .void(let reason):
                counts[key, default: Count()].shed += facts
                try remove(row, through: through)
                try forgetPassing(row, through: through)
                try note(row, through: through, shedFor: reason, atNanoseconds)
            case .failed(let reason, let next):
                try database.cachedStatement(
                    sql: "UPDATE deliveries SET attempts = attempts + 1, next_ns = ?, error = ? WHERE id = ?"
                ).execute(arguments: [next, reason, row.id])
            case .refused(let reasons):
                let refused = reasons.filter { (row.firstID...through).contains($0.key) }
                counts[key, default: Count()].done += facts - Int64(refused.count)
                counts[key, default: Count()].refused += Int64(refused.count)
                try remove(row, through: through)
                try setAside(refused, row)
            }
        }
        for (key, count) in counts { try total(key, count) }
    }

    /// The former system told of each upload; the news is a delivery of its own.
    private func noteUpload(_ row: DeliveryRecord, _ now: Int64) throws {
        try add(.upload, first: row.firstID, last: row.firstID, hold: nil, createdNanoseconds: now)
        try database.cachedStatement(
            sql: "UPDATE recordings SET uploaded_ns = ifnull(uploaded_ns, ?) WHERE id = ?"
        ).execute(arguments: [now, row.firstID])
    }

    /// Each refused fact becomes a row of its own.
    private func setAside(_ refused: [Int64: String], _ row: DeliveryRecord) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO deliveries (sink, kind, rank, first_id, last_id, state, attempts, created_ns,
                    error, bytes)
                VALUES (?, ?, ?, ?, ?, 'refused', ?, ?, ?, ?)
                """)
        for (fact, reason) in refused.sorted(by: { $0.key < $1.key }) {
            try statement.execute(arguments: [
                row.sink, row.kind.rawValue, row.kind.rank, fact, fact, row.attempts + 1, row.createdNanoseconds,
                reason, row.facts == 1 ? row.bytes : 0,
            ])
        }
    }

    /// Gives refused deliveries another chance.
    func requeue(sink: String?, ids: [Int64]?) throws {
        let condition = ids.map { " AND id IN (\($0.map(String.init).joined(separator: ",")))" } ?? ""
        let kinds = try Row.fetchAll(
            database,
            sql: """
                SELECT sink, kind, sum(last_id - first_id + 1) AS facts FROM deliveries
                WHERE state = 'refused' AND (? IS NULL OR sink = ?)\(condition) GROUP BY sink, kind
                """, arguments: [sink, sink])
        for row in kinds {
            guard let kind = DeliveryKind(rawValue: row["kind"]) else { continue }
            try total(CountKey(sink: row["sink"], kind: kind), Count(refused: -(row["facts"] as Int64)))
        }
        try database.execute(
            sql: """
                UPDATE deliveries SET state = 'waiting', next_ns = 0, error = NULL
                WHERE state = 'refused' AND (? IS NULL OR sink = ?)\(condition)
                """, arguments: [sink, sink])
    }

    /// A recording that goes takes the deliveries of its file with it.
    func shedRecording(name: String, reason: String, atNanoseconds: Int64) throws {
        let ids = try Int64.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT id FROM deliveries
                    WHERE kind = 'recording' AND first_id = (SELECT id FROM recordings WHERE name = ?)
                    """), arguments: [name])
        if !ids.isEmpty { try shed(ids, reason: reason, atNanoseconds: atNanoseconds) }
    }

    /// Drops deliveries, with a line in the ledger for each.
    func shed(_ ids: [Int64], reason: String, atNanoseconds: Int64) throws {
        try settle(
            ids.map { DeliverySettlement(id: $0, throughID: .max, outcome: .void(reason: reason)) },
            atNanoseconds: atNanoseconds)
    }

    /// Metrics and changes of the catalogue are kept for their delivery alone.
    private func forgetPassing(_ row: DeliveryRecord, through: Int64) throws {
        if row.kind == .catalogue {
            try database.cachedStatement(sql: "DELETE FROM catalogue_changes WHERE number BETWEEN ? AND ?")
                .execute(arguments: [row.firstID, through])
        }
        guard row.kind == .metrics else { return }
        try database.cachedStatement(
            sql: """
                DELETE FROM metric_batches WHERE id = ? AND NOT EXISTS (
                    SELECT 1 FROM deliveries WHERE kind = 'metrics' AND first_id = ?)
                """
        ).execute(arguments: [row.firstID, row.firstID])
    }

    /// Takes facts from the front of a row; it goes when none is left.
    private func remove(_ row: DeliveryRecord, through: Int64) throws {
        if row.kind == .recording {
            try database.cachedStatement(sql: "DELETE FROM seals WHERE recording_id = ?")
                .execute(arguments: [row.firstID])
        }
        if through == row.lastID {
            try database.cachedStatement(sql: "DELETE FROM deliveries WHERE id = ?").execute(arguments: [row.id])
        } else {
            try database.cachedStatement(sql: "UPDATE deliveries SET first_id = ? WHERE id = ?")
                .execute(arguments: [through + 1, row.id])
        }
    }

    private func note(_ row: DeliveryRecord, through: Int64, shedFor reason: String, _ now: Int64) throws {
        try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO ledger (listener_id, kind, reason, start_ns, duration_ns, frames, bytes, noted_ns)
                VALUES ('', 'shed', ?, ?, 0, ?, ?, ?)
                """
        ).execute(arguments: [
            "\(row.sink) \(row.kind.rawValue) \(row.firstID)-\(through): \(reason)", row.createdNanoseconds,
            through - row.firstID + 1, row.bytes, now,
        ])
    }

    private struct CountKey: Hashable {
        let sink: String
        let kind: DeliveryKind
    }

    private struct Count {
        var done: Int64 = 0
        var refused: Int64 = 0
        var shed: Int64 = 0
    }

    private func total(_ key: CountKey, _ count: Count) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO delivery_totals (sink, kind, done, refused, shed) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (sink, kind) DO UPDATE SET done = done + excluded.done,
                    refused = refused + excluded.refused, shed = shed + excluded.shed
                """
        ).execute(arguments: [key.sink, key.kind.rawValue, count.done, count.refused, count.shed])
    }
}
