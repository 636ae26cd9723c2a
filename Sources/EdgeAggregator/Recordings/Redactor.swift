import AudioDSP
import Foundation
import Logging
import Sensors
import Store
import Synchronization

/// Carries out the privacy rule: sound in which a human voice was heard is replaced by silence, and that it was is
/// written down.
///
/// WAV is silenced in place, also while it is still being written, since a window is analysed only after its sound
/// was handed to the kernel. A FLAC file is encoded anew once it is closed; until then its recording counts as not
/// analysed. A file that can be neither (MP3) is deleted.
final class Redactor: Sendable {
    private let recordingsFolder: String
    private let store: Store
    private let time: any TimeSource
    private let logger: Logger
    /// Recordings that wait to be closed before they can be silenced.
    private let waiting = Mutex<Set<String>>([])

    init(recordingsFolder: String, store: Store, time: any TimeSource, logger: Logger) {
        self.recordingsFolder = recordingsFolder
        self.store = store
        self.time = time
        self.logger = logger
    }

    /// Whether everything that had to be silenced in the recording is. Asked once, when its analysis ends.
    func isSettled(_ progress: RecordingProgress) -> Bool {
        waiting.withLock { $0.remove(progress.recording.name) == nil }
    }

    /// Silences a window's span of its recording, and of the one that follows if it runs on.
    func redact(_ window: AnalysisWindow, of progress: RecordingProgress, score: Float) {
        do {
            var changes: [StoreChange] = []
            var from = window.startFrame48k
            let end = window.startFrame48k + Int64(BirdNET.windowSamples)
            var row = try store.recordingBlocking(name: progress.recording.name)
            while let current = row, from < end {
                let start48k = AnalysisFeed.frame48k(current.runOffsetFrames, sampleRate: current.sampleRate)
                let first = max(0, (from - start48k) * Int64(current.sampleRate) / 48_000)
                let last = (end - start48k) * Int64(current.sampleRate) / 48_000
                let frames = try silence(current, frames: first..<max(first, last))
                changes += entries(current, firstFrame: first, frames: frames, score: score)
                let next48k = AnalysisFeed.frame48k(
                    current.runOffsetFrames + first + frames, sampleRate: current.sampleRate)
                guard next48k > from, let session = current.sessionID, next48k < end else { break }
                from = next48k
                row = try store.recordingBlocking(
                    inSession: session, run: current.run, atOffsetFrames: current.runOffsetFrames + first + frames)
            }
            store.enqueue(changes)
        } catch {
            logger.error(
                "Sound with a human voice could not be silenced; its recording is removed",
                metadata: ["recording": "\(progress.recording.name)", "error": "\(error)"])
            remove(progress.recording)
        }
    }

    private func entries(
        _ row: RecordingRecord, firstFrame: Int64, frames: Int64, score: Float
    ) -> [StoreChange] {
        guard frames > 0 else { return [] }
        let start = row.startNanoseconds + firstFrame * 1_000_000_000 / Int64(row.sampleRate)
        let duration = frames * 1_000_000_000 / Int64(row.sampleRate)
        return [
            .privacy(recording: row.name, addNanoseconds: duration),
            .ledger(
                LedgerEntry(
                    listenerID: row.listenerID, sessionID: row.sessionID, run: row.run, recordingName: row.name,
                    kind: "loss", reason: "human voice", startNanoseconds: start, durationNanoseconds: duration,
                    frames: 0, bytes: 0, notedNanoseconds: time.now().utcNanoseconds)),
        ]
    }

    /// Returns how many sample frames from the range's start were silenced.
    private func silence(_ row: RecordingRecord, frames: Range<Int64>) throws -> Int64 {
        guard row.state != "unkept", row.state != "deleted" else { return Int64(frames.count) }
        let path = "\(recordingsFolder)/\(row.relativePath)"
        switch RecordingContainer(rawValue: row.container) {
        case .wav:
            return try WAVRedaction.silence(path: path, frames: frames)
        case .flac where row.state == "open":
            waiting.withLock { _ = $0.insert(row.name) }
            return min(Int64(frames.count), max(0, row.frames - frames.lowerBound))
        case .flac:
            return try FLACRedaction.silence(path: path, frames: frames)
        case .mp3, nil:
            throw SegmentError(.write, path: path, errnoValue: ENOTSUP)
        }
    }

    private func remove(_ recording: AnalysedRecording) {
        do {
            guard let row = try store.recordingBlocking(name: recording.name) else { return }
            unlink("\(recordingsFolder)/\(row.relativePath)")
            store.enqueue([
                .deleteRecording(name: row.name, reason: "human voice", atNanoseconds: time.now().utcNanoseconds)
            ])
        } catch {
            logger.error("A recording could not be removed", metadata: ["error": "\(error)"])
        }
    }
}
