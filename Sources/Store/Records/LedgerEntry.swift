public import GRDB

/// A line of the loss ledger: sound of a session that was not heard, not kept, or came twice.
public struct LedgerEntry: Sendable, Hashable, Codable {
    /// Grows with each line; for cursors.
    public var id: Int64?
    public var listenerID: String
    public var sessionID: String?
    public var run: Int?
    public var recordingName: String?
    /// `gap` (never arrived), `filled` (never arrived, silence in its place), `loss` (arrived, not kept), `duplicate`.
    public var kind: String
    public var reason: String
    /// UTC.
    public var startNanoseconds: Int64
    public var durationNanoseconds: Int64
    /// Wire frames.
    public var frames: Int64
    public var bytes: Int64
    public var notedNanoseconds: Int64
    /// By which offset from the steady clock a clock that was not set has stamped it, and in which boot; nil when it was set.
    public var unset: UnsetClock?
    /// Where its recording began on the steady clock when the line was made. A run that was settled since takes the line along; it is
    /// not kept.
    public var recordingMonotonicNanoseconds: Int64?

    enum CodingKeys: String, CodingKey {
        case id, run, kind, reason, frames, bytes
        case listenerID = "listener_id"
        case sessionID = "session_id"
        case recordingName = "recording_name"
        case startNanoseconds = "start_ns"
        case durationNanoseconds = "duration_ns"
        case notedNanoseconds = "noted_ns"
    }

    public init(
        listenerID: String, sessionID: String?, run: Int?, recordingName: String?, kind: String, reason: String,
        startNanoseconds: Int64, durationNanoseconds: Int64, frames: Int64, bytes: Int64, notedNanoseconds: Int64
    ) {
        self.listenerID = listenerID
        self.sessionID = sessionID
        self.run = run
        self.recordingName = recordingName
        self.kind = kind
        self.reason = reason
        self.startNanoseconds = startNanoseconds
        self.durationNanoseconds = durationNanoseconds
        self.frames = frames
        self.bytes = bytes
        self.notedNanoseconds = notedNanoseconds
    }
}

extension LedgerEntry: FetchableRecord, TableRecord {
    public static let databaseTableName = "ledger"
}
