import GRDB

/// Recordings of a run follow each other without a gap, and a window of analysis may reach from one into the next: what is silenced for
/// a voice in it may be the beginning of the next.
enum RecordingOrder {
    /// A condition on a row `r` of the recordings: the one before it in its run is still to be analysed.
    static let waits = """
        ifnull((SELECT p.analysis = 'pending' AND p.state IN ('open', 'closed') FROM recordings p
            WHERE p.session_id = r.session_id AND p.run = r.run AND p.run_offset_frames < r.run_offset_frames
            ORDER BY p.run_offset_frames DESC LIMIT 1), 0)
        """

    static func waits(name: String, _ database: Database) throws -> Bool {
        try Bool.fetchOne(
            database.cachedStatement(sql: "SELECT \(waits) FROM recordings r WHERE name = ?"), arguments: [name])
            ?? false
    }

    static func follower(of name: String, _ database: Database) throws -> String? {
        try String.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT n.name FROM recordings n JOIN recordings r
                        ON n.session_id = r.session_id AND n.run = r.run AND n.run_offset_frames > r.run_offset_frames
                    WHERE r.name = ? ORDER BY n.run_offset_frames LIMIT 1
                    """), arguments: [name])
    }
}

extension Store {
    /// Whether the recording before it in its run is still to be analysed, so that its own beginning may yet be silenced.
    public func waitsForPredecessor(recording name: String) async throws(StoreError) -> Bool {
        try await read { database in try RecordingOrder.waits(name: name, database) }
    }

    /// A recording and those that follow it in its run, in their order.
    public func runBlocking(
        inSession session: String, run: Int, fromOffsetFrames offset: Int64, limit: Int
    ) throws(StoreError) -> [RecordingRecord] {
        try readBlocking { database in
            try RecordingRecord.fetchAll(
                database,
                sql: """
                    SELECT * FROM recordings WHERE session_id = ? AND run = ? AND run_offset_frames >= ?
                    ORDER BY run_offset_frames LIMIT ?
                    """, arguments: [session, run, offset, limit])
        }
    }
}
