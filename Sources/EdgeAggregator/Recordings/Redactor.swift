import AudioDSP
import Foundation
import Logging
import Sensors
import Store
import Synchronization

/// Carries out the privacy rule: sound in which a human voice was heard is replaced by silence, and that it was is
/// written down.
///
/// WAV is silenced in place, also while it is still being written, since sound is analysed only after it was handed to the
/// kernel. A FLAC file is encoded anew once it is closed, and once for all that was found in it, when its analysis ends: on a
/// thread of its own, since a small file may have hours of sound. A window may reach into the recording that follows: it is silenced in
/// both, or, as long as one of them cannot be, in none: then the recording in which it starts counts as not analysed, and is
/// analysed from its file once both are closed. Until then neither is handed out.
///
/// A file that can be neither (MP3) is removed, but not before its own analysis ends: until then the recording that follows waits
/// for it.
final class Redactor: Sendable {
    private let recordingsFolder: String
    private let store: Store
    private let time: any TimeSource
    private let permit: DiskPermit
    private let logger: Logger
    /// Recordings with a voice that cannot be silenced yet: they are analysed again.
    private let unsettled = Mutex<[String: Settlement]>([:])
    private let editing = Mutex(())
    /// Recordings that are removed when their analysis ends.
    private let condemned = Mutex<Set<String>>([])
    /// Sample frames of closed FLAC recordings in which a voice was heard, by the recording that is analyzed, then by the
    /// recording that has them.
    private let pending = Mutex<[String: [String: [Range<Int64>]]]>([:])
    private let silencing = SilencingQueue()
    private let isStopping = CancellationFlag()

    init(
        recordingsFolder: String, store: Store, time: any TimeSource, permit: DiskPermit, logger: Logger
    ) {
        self.recordingsFolder = recordingsFolder
        self.store = store
        self.time = time
        self.permit = permit
        self.logger = logger
    }

    /// What became of the voices in a recording.
    enum Settlement: Sendable {
        /// All of them are silent.
        case settled
        /// A recording that a window reaches into is not closed yet.
        case waiting
        /// The system refused what had to be done to this recording, which may be one that follows.
        case refused(recording: String)
    }

    /// Ends what is being encoded anew; its recording counts as not analyzed.
    func stop() {
        isStopping.set()
        silencing.stop()
    }

    // MARK: - The end of an analysis

    /// Silences what waits for the end of a recording's analysis, and says what became of the voices in it. Called once, when
    /// the analysis of the recording ends.
    ///
    /// - Parameter body: is called at once, perhaps on the store's thread, or on the redactor's thread, which may wait for the
    ///   store; always there for a recording that was refused. It is not called where the program ends before.
    func settle(_ progress: RecordingProgress, _ body: @escaping @Sendable (Settlement) -> Void) {
        let name = progress.recording.name
        if case .waiting? = unsettled.withLock({ $0[name] }) { return body(settlement(of: name)) }
        let isAtOnce =
            unsettled.withLock { $0[name] == nil } && pending.withLock { $0[name] == nil }
            && condemned.withLock { !$0.contains(name) }
        if isAtOnce { return body(.settled) }
        silencing.add(listener: progress.recording.listener) { [self] turn in
            // What could not be silenced is found again when all of it is analyzed again.
            if unsettled.withLock({ $0[name] == nil }), !silence(name, turn) { return false }
            if unsettled.withLock({ $0[name] == nil }), condemned.withLock({ $0.contains(name) }),
                !remove(name, by: name)
            {
                note(.refused(recording: name), of: name)
            }
            body(settlement(of: name))
            return true
        }
    }

    private func settlement(of name: String) -> Settlement {
        forgetSpans(of: name)
        return unsettled.withLock { $0.removeValue(forKey: name) } ?? .settled
    }

    private func forgetSpans(of name: String) {
        pending.withLock { _ = $0.removeValue(forKey: name) }
        condemned.withLock { _ = $0.remove(name) }
    }

    /// Forgets a recording whose analysis will not come to its end.
    func forget(_ recording: String) {
        forgetSpans(of: recording)
        unsettled.withLock { _ = $0.removeValue(forKey: recording) }
    }

    /// Recordings of which something is remembered here.
    var heldRecordings: Set<String> {
        Set(pending.withLock { Array($0.keys) }).union(unsettled.withLock { Array($0.keys) })
            .union(condemned.withLock { $0 })
    }

    /// Silences the FLAC files in which a recording's windows have a voice: the recording itself comes last.
    ///
    /// - Returns: false when the turn was over before.
    private func silence(_ name: String, _ turn: SilencingQueue.Turn) -> Bool {
        let spans = pending.withLock { $0[name] } ?? [:]
        for current in spans.keys.filter({ $0 != name }).sorted() + [name] {
            guard let frames = spans[current] else { continue }
            do {
                try withPatience(turn) { try silence(current, Self.merged(frames), turn) }
            } catch {
                if turn.isOver, !isStopping.isSet { return false }
                guard carryOn(after: error, of: current, in: name) else { return true }
            }
            pending.withLock { _ = $0[name]?.removeValue(forKey: current) }
        }
        return true
    }

    /// Silences a closed FLAC recording. One that is deleted meanwhile has no file after.
    ///
    /// Memory: the path is borrowed for the call.
    private func silence(_ name: String, _ frames: [Range<Int64>], _ turn: SilencingQueue.Turn) throws {
        guard let row = try store.recordingBlocking(name: name) else { return }
        let path = "\(recordingsFolder)/\(row.relativePath)"
        if row.state == "closed" {
            _ = try FLACRedaction.silence(
                path: path, frames: frames, permit: permit,
                limit: DecodingLimit(
                    maximumProcessorSeconds: Self.maximumProcessorSeconds, isCancelled: { !turn.mayGoOn() }))
        }
        // The copy takes the name of a file that may just have been removed. Whoever removes it does so after its row is deleted.
        if try store.recordingBlocking(name: name)?.state == "deleted" { unsafe unlink(path) }
    }

    /// For one FLAC file.
    private static let maximumProcessorSeconds = 3600.0

    /// In order, without overlaps.
    static func merged(_ ranges: [Range<Int64>]) -> [Range<Int64>] {
        var merged: [Range<Int64>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, range.lowerBound <= last.upperBound {
                merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        return merged
    }

    private func note(_ settlement: Settlement, of recording: String) {
        unsettled.withLock { $0[recording] = settlement }
    }

    /// Silences what a window covers of its recording, and of those that follow in its run.
    ///
    /// - Parameter isLive: whether the window came from a session that goes on: what it covers may not all be written down yet.
    func redact(_ window: AnalysisWindow, of progress: RecordingProgress, isLive: Bool) {
        let name = progress.recording.name
        // All of it is analysed again then: no window has to wait for the disk once more.
        if case .refused = unsettled.withLock({ $0[name] }) { return }
        let found: [Part]?
        do {
            found = try parts(of: window, progress, isLive: isLive)
        } catch {
            _ = carryOn(after: error, of: name, in: name)
            return
        }
        guard let found else { return note(.waiting, of: name) }
        // The last first: after a power cut between them the voice is still where it is looked for. The line first: where it
        // was written and the voice is still there, it is silenced when the recording is analysed again.
        for part in found.reversed() {
            let current = part.row.name
            if condemned.withLock({ $0.contains(current) }) { continue }
            do {
                try store.commitBlocking([.silenced(entry(part))])
                // A FLAC file is encoded anew once, for all its voices.
                if part.row.container == RecordingContainer.flac.rawValue {
                    pending.withLock { $0[name, default: [:]][current, default: []].append(part.frames) }
                } else {
                    try editing.withLock { _ in try withPatience { try silence(part) } }
                }
            } catch {
                guard carryOn(after: error, of: current, in: name) else { return }
            }
        }
    }

    /// Deals with a recording that could not be silenced.
    ///
    /// - Parameter name: the recording that is analyzed.
    /// - Returns: whether the others are to be silenced nevertheless. Else all of them are when it is analysed again.
    private func carryOn(after error: any Error, of current: String, in name: String) -> Bool {
        if isStopping.isSet {
            note(.waiting, of: name)
            return false
        }
        guard error.isOfTheMoment else {
            logger.error(
                "Sound with a human voice could not be silenced; its recording is removed",
                metadata: ["recording": "\(current)", "error": "\(error)"])
            if current == name {
                condemned.withLock { _ = $0.insert(name) }
            } else if !remove(current, by: name) {
                note(.refused(recording: current), of: name)
            }
            return true
        }
        logger.error(
            "Sound with a human voice cannot be silenced now; its recording is not handed out, and is analysed again",
            metadata: ["recording": "\(current)", "error": "\(error)"])
        note(.refused(recording: current), of: name)
        return false
    }

    private struct Part {
        let row: RecordingRecord
        /// Of the recording.
        let frames: Range<Int64>
    }

    /// So short a rest is what resampling and rounding leave over, not a part of its own.
    private static let toleratedFrames48k: Int64 = 480
    /// Recordings that a window can reach into: they are of a second or more, but for those that were too short to be kept.
    private static let mostParts = 16

    /// Nil while not all of what the window covers is there to be silenced.
    private func parts(of window: AnalysisWindow, _ progress: RecordingProgress, isLive: Bool) throws -> [Part]? {
        guard let first = try store.recordingBlocking(name: progress.recording.name) else { return nil }
        let rows =
            try first.sessionID.map {
                try store.runBlocking(
                    inSession: $0, run: first.run, fromOffsetFrames: first.runOffsetFrames, limit: Self.mostParts)
            } ?? [first]
        let end = window.startFrame48k + Int64(window.validSamples)
        var parts: [Part] = []
        var from = window.startFrame48k
        for (place, row) in rows.enumerated() where end - from > Self.toleratedFrames48k {
            let next = place + 1 < rows.count ? rows[place + 1].runOffsetFrames : nil
            // Nothing of it is kept, for want of room, and nothing comes after it: there is nothing more to silence.
            guard row.state == "open" || row.state == "closed" || next != nil else { return parts }
            let start48k = AnalysisFeed.frame48k(row.runOffsetFrames, sampleRate: row.sampleRate)
            let rate = Int64(row.sampleRate)
            let length = try next.map { $0 - row.runOffsetFrames } ?? frames(row)
            guard row.state != "open" || row.container == RecordingContainer.wav.rawValue else { return nil }
            let begin = max(0, (from - start48k) * rate / 48_000)
            let stop = min(length, ((end - start48k) * rate + 47_999) / 48_000)
            if begin < stop { parts.append(Part(row: row, frames: begin..<stop)) }
            from = max(from, AnalysisFeed.frame48k(row.runOffsetFrames + length, sampleRate: row.sampleRate))
        }
        let isWhole = end - from <= Self.toleratedFrames48k
        return isWhole || !isLive ? parts : nil
    }

    /// How long the last recording of a run is by now.
    private func frames(_ row: RecordingRecord) throws -> Int64 {
        guard row.state == "open", row.container == RecordingContainer.wav.rawValue else { return row.frames }
        let layout = try WAVFile.layout(path: "\(recordingsFolder)/\(row.relativePath)")
        return layout.dataBytes / Int64(layout.format.bytesPerFrame)
    }

    private func entry(_ part: Part) -> LedgerEntry {
        let row = part.row
        return LedgerEntry(
            recording: row,
            placeNanoseconds: PCMFormat.nanoseconds(frames: part.frames.lowerBound, sampleRate: row.sampleRate),
            durationNanoseconds: PCMFormat.nanoseconds(frames: Int64(part.frames.count), sampleRate: row.sampleRate),
            kind: "loss", reason: "human voice", bytes: 0, notedNanoseconds: time.now().utcNanoseconds)
    }

    private static let attempts = 5

    /// What the system refuses at this moment is tried again before the recording is given up.
    private func withPatience(_ turn: SilencingQueue.Turn? = nil, _ body: () throws -> Void) throws {
        for _ in 1..<Self.attempts {
            do {
                return try body()
            } catch {
                guard error.isOfTheMoment, !isStopping.isSet, turn?.isOver != true else { throw error }
                Thread.sleep(forTimeInterval: 1)
            }
        }
        try body()
    }

    private func silence(_ part: Part) throws {
        let row = part.row
        guard row.state == "open" || row.state == "closed" else { return }
        let path = "\(recordingsFolder)/\(row.relativePath)"
        switch RecordingContainer(rawValue: row.container) {
        case .wav: _ = try WAVRedaction.silence(path: path, frames: part.frames)
        case .flac, .mp3, nil: throw SegmentError(.write, path: path, errnoValue: ENOTSUP)
        }
    }

    /// Removes a recording whose voices cannot be silenced; first its row, then its file.
    ///
    /// - Parameter analyzed: the recording whose analysis ends. Another one whose own analysis has not ended stays until then: the
    ///   recording that follows it waits for it.
    /// - Returns: false for one that stays, is still being written, or whose row cannot be changed now.
    ///
    /// Memory: the path is borrowed for the call.
    func remove(_ name: String, by analyzed: String) -> Bool {
        do {
            guard let row = try store.recordingBlocking(name: name), row.state != "deleted" else { return true }
            guard row.state != "open", name == analyzed || row.analysis != "pending" else { return false }
            let now = time.now().utcNanoseconds
            let rest = row.durationNanoseconds - row.filledNanoseconds - row.privacyNanoseconds
            let loss = LedgerEntry(
                recording: row, placeNanoseconds: 0, durationNanoseconds: max(0, rest), kind: "loss",
                reason: "human voice, recording removed", bytes: row.bytes, notedNanoseconds: now)
            try store.commitBlocking(
                [.silenced(loss), .deleteRecording(name: row.name, reason: "human voice", atNanoseconds: now)],
                freesRoom: true)
            if unsafe unlink("\(recordingsFolder)/\(row.relativePath)") != 0, errno != ENOENT {
                logger.error(
                    "The file of a recording with a human voice cannot be removed; the next start tries again",
                    metadata: ["recording": "\(row.name)", "errno": "\(errno)"])
            }
            return true
        } catch {
            logger.error(
                "A recording with a human voice cannot be removed now; it is not handed out, and is tried again",
                metadata: ["recording": "\(name)", "error": "\(error)"])
            return false
        }
    }
}
