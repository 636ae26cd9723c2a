import AudioDSP
import Sensors
import Store

/// A recording that a session is writing.
struct OpenRecording: Sendable {
    let name: String
    let identity: SessionIdentity
    let start: RecordingStart
    /// UTC.
    let startNanoseconds: Int64
    /// The clock when it began, if nothing had set it.
    let unset: UnsetClock?
    /// Nil when its sound is not kept.
    var segment: RecordingSegment?
    /// Why its sound, from the end of the file on, is not kept.
    var lossReason: String?
    /// By how much the clock that stamps the file is ahead of the steady clock, as far as the store knows.
    var fileOffsetNanoseconds: Int64
    /// Whether the store knows that its times are not final.
    var isKnownUnsettled = false
    /// Notes that are committed together with its end.
    var notes: [LedgerEntry] = []

    init(
        name: String, identity: SessionIdentity, start: RecordingStart, startNanoseconds: Int64, unset: UnsetClock?
    ) {
        self.name = name
        self.identity = identity
        self.start = start
        self.startNanoseconds = startNanoseconds
        self.unset = unset
        fileOffsetNanoseconds = startNanoseconds - start.startNanoseconds
    }

    func timeQuality(isInferred: Bool) -> TimeQuality {
        unset == nil ? (isInferred ? .inferred : .live) : .unsynchronised
    }
}

/// What is written down when a recording ends.
struct RecordingClosing: Sendable {
    let recording: OpenRecording
    let end: RecordingEnd
    let now: TimeStamp

    var durationNanoseconds: Int64 { recording.start.format.durationNanoseconds(frames: end.frames) }

    /// - Parameters:
    ///   - keptFrames: sample frames in the file; fewer than arrived when the disk refused the rest.
    ///   - fileBytes: the file's size.
    func changes(keptFrames: Int64, fileBytes: Int64) -> [StoreChange] {
        let format = recording.start.format
        var entries = recording.notes
        let lost = end.frames - keptFrames
        if lost > 0 {
            entries.append(
                loss(reason: recording.lossReason ?? "not written", firstFrame: keptFrames, lostFrames: lost))
        }
        let close = RecordingClose(
            name: recording.name, frames: keptFrames,
            durationNanoseconds: format.durationNanoseconds(frames: keptFrames),
            filledNanoseconds: min(
                format.durationNanoseconds(frames: end.filledFrames), format.durationNanoseconds(frames: keptFrames)),
            bytes: fileBytes, timeQuality: recording.timeQuality(isInferred: end.isInferred).rawValue,
            closedNanoseconds: now.utcNanoseconds, closedMonotonicNanoseconds: now.monotonicNanoseconds)
        return [.closeRecording(close)] + entries.map { .ledger($0) }
    }

    func changesWhenTooShort() -> [StoreChange] {
        let loss = loss(
            reason: "too short", firstFrame: 0, lostFrames: end.frames,
            arrivedFrames: end.frames - end.filledFrames)
        // The loss covers the silence in the place of frames that never came; their lines only count the frames.
        let notes = recording.notes.map { note in
            var note = note
            if note.kind == "filled" { note.durationNanoseconds = 0 }
            return note
        }
        return [.deleteRecording(name: recording.name, reason: "too short", atNanoseconds: now.utcNanoseconds)]
            + (notes + [loss]).map { .ledger($0) }
    }

    /// - Parameter arrivedFrames: those of the lost ones that arrived; nil for all.
    private func loss(
        reason: String, firstFrame: Int64, lostFrames: Int64, arrivedFrames: Int64? = nil
    ) -> LedgerEntry {
        let format = recording.start.format
        return LedgerEntry(
            recording: recording.name, startNanoseconds: recording.startNanoseconds,
            placeNanoseconds: format.durationNanoseconds(frames: firstFrame),
            durationNanoseconds: format.durationNanoseconds(frames: lostFrames),
            listenerID: recording.identity.listener.text, sessionID: recording.identity.text,
            run: recording.start.run, kind: "loss", reason: reason, frames: 0,
            bytes: (arrivedFrames ?? lostFrames) * Int64(format.bytesPerFrame), notedNanoseconds: now.utcNanoseconds)
    }
}
