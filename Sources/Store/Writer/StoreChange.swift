/// A change of the store. Each may be repeated: the second time changes nothing.
public enum StoreChange: Sendable {
    case openSession(SessionRecord)
    case closeSession(SessionClose)
    case openRecording(RecordingRecord)
    case closeRecording(RecordingClose)
    /// The row stays, so that the name is never given again and coverage adds up.
    case deleteRecording(name: String, reason: String, atNanoseconds: Int64)
    /// Moves a run's recordings, detections and ledger lines in time.
    case shiftRun(sessionID: String, run: Int, byNanoseconds: Int64, timeQuality: String?)
    case analysed(recording: String, state: String, windows: Int, error: String?)
    case detections([DetectionRecord])
    case privacy(recording: String, addNanoseconds: Int64)
    case ledger(LedgerEntry)
    case touchListener(id: String, seenNanoseconds: Int64, remoteAddress: String)
}
