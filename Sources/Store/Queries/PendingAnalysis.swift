import GRDB

/// A recording that waits for analysis.
public struct PendingRecording: Sendable, Hashable {
    public let name: String
    public let listener: String

    public init(name: String, listener: String) {
        self.name = name
        self.listener = listener
    }
}

/// Some of the recordings that wait for analysis.
public struct PendingAnalysis: Sendable, Equatable {
    /// The oldest of each listener, then the second of each, and so on.
    public var recordings: [PendingRecording] = []
    /// After which listener the next call goes on; empty to begin again.
    public var continuation = ""
    /// Whether more may wait than these.
    public var isPart = false
}

extension PendingRecording {
    /// Where the last window that starts in a recording `r` ends at the latest: a window is 3 s long and may reach over several
    /// short recordings.
    private static let reach = "r.run_offset_frames + r.frames + 3 * r.sample_rate"

    static let nextListener = """
        SELECT min(listener_id) FROM recordings INDEXED BY recordings_waiting
        WHERE analysis = 'pending' AND state = 'closed' AND listener_id > ?
        """

    /// Oldest first. Those whose next recording in the run is still being written, or still to come, wait on, since their last
    /// window runs into it.
    static let ofListener = """
        SELECT r.name, r.start_ns FROM recordings r INDEXED BY recordings_waiting
        WHERE r.listener_id = ? AND r.analysis = 'pending' AND r.state = 'closed'
            AND NOT EXISTS (
                SELECT 1 FROM recordings n WHERE n.session_id = r.session_id AND n.run = r.run
                    AND n.run_offset_frames > r.run_offset_frames AND n.run_offset_frames < \(reach)
                    AND n.state = 'open')
            AND NOT EXISTS (
                SELECT 1 FROM sessions s WHERE s.id = r.session_id AND s.closed_ns IS NULL
                    AND NOT EXISTS (SELECT 1 FROM recordings m WHERE m.session_id = r.session_id AND m.run > r.run)
                    AND NOT EXISTS (SELECT 1 FROM recordings m WHERE m.session_id = r.session_id AND m.run = r.run
                        AND m.run_offset_frames > r.run_offset_frames
                        AND m.run_offset_frames + m.frames >= \(reach)))
        ORDER BY r.start_ns
        """

    /// Of recordings that are analysed, or will be: there are few, unless the backlog is long.
    static let names = """
        SELECT name FROM recordings INDEXED BY recordings_waiting WHERE analysis = 'pending' AND state = 'closed'
        UNION ALL SELECT name FROM recordings INDEXED BY recordings_open WHERE state = 'open'
        """
}

extension Store {
    /// Closed recordings that can be analysed now, of some listeners. What it costs does not grow with the length of the backlog.
    ///
    /// - Parameters:
    ///   - listeners: how many are asked.
    ///   - limit: how many recordings are wanted; each listener has one at least.
    ///   - listener: where the last call ended.
    ///   - except: recordings that are left out.
    public func pendingAnalysisBlocking(
        listeners maximumListeners: Int, limit: Int, after listener: String = "", except: Set<String> = []
    ) throws(StoreError) -> PendingAnalysis {
        try readBlocking { database in
            let next = try database.cachedStatement(sql: PendingRecording.nextListener)
            var listeners: [String] = []
            while listeners.count < maximumListeners,
                let listener = try String.fetchOne(next, arguments: [listeners.last ?? listener])
            {
                listeners.append(listener)
            }
            var answer = PendingAnalysis()
            let isListFull = listeners.count == maximumListeners
            if isListFull { answer.continuation = listeners.last ?? "" }
            answer.isPart = isListFull || !listener.isEmpty
            let each = max(1, limit / max(1, listeners.count))
            let statement = try database.cachedStatement(sql: PendingRecording.ofListener)
            var found: [(turn: Int, start: Int64, recording: PendingRecording)] = []
            for listener in listeners {
                var turn = 0
                let rows = try Row.fetchCursor(statement, arguments: [listener])
                while turn < each, let row = try rows.next() {
                    let name: String = row[0]
                    guard !except.contains(name) else { continue }
                    found.append((turn, row[1], PendingRecording(name: name, listener: listener)))
                    turn += 1
                }
                if turn == each { answer.isPart = true }
            }
            found.sort { ($0.turn, $0.start) < ($1.turn, $1.start) }
            answer.recordings = found.map(\.recording)
            return answer
        }
    }

    /// The names of all recordings whose analysis is still to end.
    public func unanalysedNamesBlocking() throws(StoreError) -> Set<String> {
        try readBlocking { database in try String.fetchSet(database, sql: PendingRecording.names) }
    }
}
