import GRDB

/// What became of a listener's time: every second that its sessions span was heard, or has a reason.
public struct Coverage: Sendable, Hashable {
    public let listenerID: String
    /// In its recordings, without the silence that fills gaps.
    public var heardNanoseconds: Int64 = 0
    /// Silence in the place of frames that never came.
    public var filledNanoseconds: Int64 = 0
    /// Never arrived, by reason.
    public var gaps: [String: Int64] = [:]
    /// Arrived and was not kept, by reason.
    public var losses: [String: Int64] = [:]
    public var recordings = 0
    public var firstNanoseconds: Int64?
    public var lastNanoseconds: Int64?
    /// On the steady clock of the session's boot: a step of the clock is no sound and no silence.
    private var sessions: [String: ClosedRange<Int64>] = [:]

    public init(listenerID: String) {
        self.listenerID = listenerID
    }

    /// From the first to the last moment of each session, together.
    public var spannedNanoseconds: Int64 { sessions.values.reduce(0) { $0 + $1.upperBound - $1.lowerBound } }

    /// - Parameters:
    ///   - range: UTC.
    ///   - offset: what turns the session's steady times into UTC there; 0 for what has no session.
    mutating func span(session: String, _ range: ClosedRange<Int64>, offsetNanoseconds offset: Int64) {
        firstNanoseconds = min(firstNanoseconds ?? .max, range.lowerBound)
        lastNanoseconds = max(lastNanoseconds ?? .min, range.upperBound)
        let range = (range.lowerBound - offset)...(range.upperBound - offset)
        let known = sessions[session] ?? range
        sessions[session] = min(known.lowerBound, range.lowerBound)...max(known.upperBound, range.upperBound)
    }

    /// Everything that is accounted for.
    public var accountedNanoseconds: Int64 {
        heardNanoseconds + filledNanoseconds + gaps.values.reduce(0, +) + losses.values.reduce(0, +)
    }
}

extension Store {
    /// - Parameters:
    ///   - fromNanoseconds: UTC, inclusive; what reaches over an edge counts with its part inside.
    ///   - toNanoseconds: UTC, exclusive.
    public func coverage(
        fromNanoseconds from: Int64, toNanoseconds to: Int64, listener: String? = nil
    ) async throws(StoreError) -> [Coverage] {
        guard from < to else { return [] }
        return try await read { database in
            var all: [String: Coverage] = [:]
            try addRecordings(database, from, to, listener, &all)
            try addLedger(database, from, to, listener, &all)
            return all.values.sorted { $0.listenerID < $1.listenerID }
        }
    }

    private func addRecordings(
        _ database: Database, _ from: Int64, _ to: Int64, _ listener: String?, _ all: inout [String: Coverage]
    ) throws {
        // A recording that was deleted later was heard: its loss has a line of its own only if it never counted.
        let rows = try Row.fetchCursor(
            database,
            sql: """
                SELECT listener_id, ifnull(session_id, name) AS session, start_ns, duration_ns, filled_ns, privacy_ns, run,
                    run_offset_frames, sample_rate, iif(session_id IS NULL, 0, start_ns - monotonic_ns) AS offset_ns
                FROM recordings
                WHERE start_ns < ? AND start_ns + duration_ns > ? AND duration_ns > 0 AND state <> 'unkept'
                    AND ifnull(delete_reason, '') <> 'too short' AND (? IS NULL OR listener_id = ?)
                ORDER BY session, run, run_offset_frames
                """, arguments: [to, from, listener, listener])
        var drift = ClockDrift()
        while let row = try rows.next() {
            let id: String = row["listener_id"]
            let start: Int64 = row["start_ns"]
            let duration: Int64 = row["duration_ns"]
            let filled: Int64 = row["filled_ns"]
            let silenced: Int64 = row["privacy_ns"]
            let inside = min(to, start + duration) - max(from, start)
            // Where in the recording its silence lies is not kept, so a clipped recording has its share.
            let share = { (part: Int64) in
                duration == inside ? part : Int64(Double(part) / Double(duration) * Double(inside))
            }
            var coverage = all[id] ?? Coverage(listenerID: id)
            coverage.heardNanoseconds += inside - share(filled) - share(min(silenced, duration - filled))
            coverage.heardNanoseconds += drift.next(row, isWhole: duration == inside)
            coverage.recordings += 1
            coverage.span(
                session: row["session"], max(from, start)...min(to, start + duration),
                offsetNanoseconds: row["offset_ns"])
            all[id] = coverage
        }
    }

    private func addLedger(
        _ database: Database, _ from: Int64, _ to: Int64, _ listener: String?, _ all: inout [String: Coverage]
    ) throws {
        let rows = try Row.fetchCursor(
            database,
            sql: """
                SELECT l.listener_id, ifnull(session_id, ifnull(recording_name, '')) AS session, kind, reason, start_ns, duration_ns,
                    iif(s.id IS NULL, 0, ifnull(l.offset_ns, s.opened_ns - s.monotonic_ns)) AS offset_ns
                FROM ledger l LEFT JOIN sessions s ON s.id = l.session_id
                WHERE start_ns < ? AND start_ns + duration_ns > ? AND duration_ns > 0 AND kind <> 'duplicate'
                    AND (? IS NULL OR l.listener_id = ?)
                """, arguments: [to, from, listener, listener])
        while let row = try rows.next() {
            let id: String = row["listener_id"]
            let kind: String = row["kind"]
            let reason: String = row["reason"]
            let start: Int64 = row["start_ns"]
            let duration: Int64 = row["duration_ns"]
            let inside = min(to, start + duration) - max(from, start)
            var coverage = all[id] ?? Coverage(listenerID: id)
            switch kind {
            case "gap": coverage.gaps[reason, default: 0] += inside
            case "filled": coverage.filledNanoseconds += inside
            default: coverage.losses[reason, default: 0] += inside
            }
            coverage.span(
                session: row["session"], max(from, start)...min(to, start + duration),
                offsetNanoseconds: row["offset_ns"])
            all[id] = coverage
        }
    }

    /// The difference between the clock of a source and ours.
    ///
    /// A run is heard without a break, but the start of each of its recordings is corrected by the drift since the one before
    /// it. What was heard between two starts is therefore a little more or less than the samples between them say.
    private struct ClockDrift {
        /// 1 %, see `SampleClock` in AudioDSP.
        private static let greatestDriftDivisor: Int64 = 100

        private var session = ""
        private var run = 0
        private var offsetFrames: Int64 = 0
        /// On the steady clock.
        private var start: Int64 = 0
        private var isWhole = false

        /// The drift between the recording before, if this one continues its run, and this one. Rows come in the order of runs.
        mutating func next(_ row: Row, isWhole: Bool) -> Int64 {
            let before = self
            session = row["session"]
            run = row["run"]
            offsetFrames = row["run_offset_frames"]
            let offset: Int64 = row["offset_ns"]
            start = row["start_ns"] - offset
            self.isWhole = isWhole
            let rate: Int64 = row["sample_rate"]
            guard before.isWhole, isWhole, before.session == session, before.run == run, rate > 0 else { return 0 }
            let (seconds, rest) = (offsetFrames - before.offsetFrames).quotientAndRemainder(dividingBy: rate)
            let counted = seconds * 1_000_000_000 + rest * 1_000_000_000 / rate
            let drift = start - before.start - counted
            // More than reception ever corrects is no drift.
            return abs(drift) <= counted / Self.greatestDriftDivisor + 1000 ? drift : 0
        }
    }

    /// Lines of the ledger, newest first.
    public func ledger(
        listener: String?, kind: String?, beforeID: Int64?, limit: Int
    ) async throws(StoreError) -> [LedgerEntry] {
        try await read { database in
            var clauses = Clauses()
            clauses.add("listener_id = ?", listener)
            clauses.add("kind = ?", kind)
            clauses.add("id < ?", beforeID)
            return try LedgerEntry.fetchAll(
                database, sql: "SELECT * FROM ledger\(clauses.sql) ORDER BY id DESC LIMIT ?",
                arguments: clauses.arguments + [limit])
        }
    }
}
