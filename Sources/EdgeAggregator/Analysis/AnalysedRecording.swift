import AudioDSP

/// What the analysis must know of a recording.
struct AnalysedRecording: Sendable {
    let name: String
    let listener: String
    let sessionID: String?
    let run: Int
    /// UTC.
    let startNanoseconds: Int64
    let timeQuality: TimeQuality
    /// Whether windows that find no room can be read from its file later.
    let isOnDisk: Bool

    init(
        name: String, listener: String, sessionID: String?, run: Int, startNanoseconds: Int64,
        timeQuality: TimeQuality, isOnDisk: Bool
    ) {
        self.name = name
        self.listener = listener
        self.sessionID = sessionID
        self.run = run
        self.startNanoseconds = startNanoseconds
        self.timeQuality = timeQuality
        self.isOnDisk = isOnDisk
    }

    init(
        name: String, identity: SessionIdentity, run: Int, startNanoseconds: Int64, timeQuality: TimeQuality,
        isOnDisk: Bool
    ) {
        self.init(
            name: name, listener: identity.listener.text, sessionID: identity.text, run: run,
            startNanoseconds: startNanoseconds, timeQuality: timeQuality, isOnDisk: isOnDisk)
    }
}
