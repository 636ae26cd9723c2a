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
    /// The clock's offset from the steady clock by which ``startNanoseconds`` was made; nil for a line that no session has.
    public var offsetNanoseconds: Int64?
    /// The moment at which the line ends, if that lies in another boot whose clock is not set yet.
    public var unsetEnd: UnsetMoment?
    /// Of a line about a recording: its start as the line's maker knew it. The recording may have been moved since, by the end of a
    /// push or by a clock that was set: the line is written down where the recording is then, and with its clock. Not kept.
    public private(set) var recordingStartNanoseconds: Int64?

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
        startNanoseconds: Int64, durationNanoseconds: Int64, frames: Int64, bytes: Int64, notedNanoseconds: Int64,
        offsetNanoseconds: Int64? = nil
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
        self.offsetNanoseconds = offsetNanoseconds
    }
}

extension LedgerEntry {
    /// A line about a part of a recording.
    ///
    /// - Parameters:
    ///   - startNanoseconds: the recording's start as the maker of the line knows it; UTC.
    ///   - placeNanoseconds: where in the recording the part begins.
    public init(
        recording name: String, startNanoseconds: Int64, placeNanoseconds: Int64, durationNanoseconds: Int64,
        listenerID: String, sessionID: String?, run: Int, kind: String, reason: String, frames: Int64, bytes: Int64,
        notedNanoseconds: Int64
    ) {
        self.init(
            listenerID: listenerID, sessionID: sessionID, run: run, recordingName: name, kind: kind, reason: reason,
            startNanoseconds: startNanoseconds + placeNanoseconds, durationNanoseconds: durationNanoseconds,
            frames: frames, bytes: bytes, notedNanoseconds: notedNanoseconds)
        recordingStartNanoseconds = startNanoseconds
    }

    /// A line about a part of a recording that has a row.
    public init(
        recording row: RecordingRecord, placeNanoseconds: Int64, durationNanoseconds: Int64, kind: String,
        reason: String, bytes: Int64, notedNanoseconds: Int64
    ) {
        self.init(
            recording: row.name, startNanoseconds: row.startNanoseconds, placeNanoseconds: placeNanoseconds,
            durationNanoseconds: durationNanoseconds, listenerID: row.listenerID, sessionID: row.sessionID,
            run: row.run, kind: kind, reason: reason, frames: 0, bytes: bytes, notedNanoseconds: notedNanoseconds)
    }
}

extension LedgerEntry: FetchableRecord, TableRecord {
    public static let databaseTableName = "ledger"
}
