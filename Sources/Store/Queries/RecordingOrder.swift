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

    /// A condition on a row `r` of the recordings: the one before it in its run went, or was given up, before it was analysed to its
    /// end, so that nobody knows whether a voice is at the beginning of this one. One that was removed for its voices was analysed, and
    /// of one that was too short to be kept only a moment is missing. Does not count where this one was made while nothing was analysed.
    static let isUnheard = """
        r.analysis <> 'skipped' AND ifnull((SELECT p.analysis = 'failed'
                OR p.state = 'deleted' AND p.analysis = 'skipped' AND p.delete_reason NOT IN ('human voice', 'too short')
            FROM recordings p
            WHERE p.session_id = r.session_id AND p.run = r.run AND p.run_offset_frames < r.run_offset_frames
            ORDER BY p.run_offset_frames DESC LIMIT 1), 0)
        """

    /// Whether a voice at the beginning of a recording would be silent.
    static func beginning(of name: String, _ database: Database) throws -> RecordingBeginning {
        let row = try Row.fetchOne(
            database.cachedStatement(sql: "SELECT \(waits), \(isUnheard) FROM recordings r WHERE name = ?"),
            arguments: [name])
        guard let row else { return .heard }
        return row[0] ? .waiting : row[1] ? .unheard : .heard
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

/// What is known of voices at the beginning of a recording, which the last window of the one before it covers.
public enum RecordingBeginning: Sendable {
    /// They are silent.
    case heard
    /// The recording before it is still to be analysed.
    case waiting
    /// Nothing, for ever: the recording before it was never analysed to its end.
    case unheard
}

extension Store {
    public func beginning(ofRecording name: String) async throws(StoreError) -> RecordingBeginning {
        try await read { database in try RecordingOrder.beginning(of: name, database) }
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
