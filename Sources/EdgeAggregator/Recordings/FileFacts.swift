import AudioDSP
import CEdgeSystem
import Foundation
import Store

/// What a sound file tells of which there is no row.
struct FileFacts {
    let format: (sampleRate: Int, encoding: String, channels: Int)
    /// Sample frames.
    let frames: Int64
    let fileBytes: Int64
    let modifiedNanoseconds: Int64

    var durationNanoseconds: Int64 { PCMFormat.nanoseconds(frames: frames, sampleRate: format.sampleRate) }

    /// Reads a file, up to the first place that cannot be decoded. One that this program was writing is repaired; others, such as uploads of
    /// which the database was lost, stay as they are, byte for byte.
    ///
    /// Nil where there is no file.
    /// - Throws: ``UploadRefusal/unreadable(reason:)`` for a file without sound; ``SoundFileError``, ``WAVFileError`` or
    ///   ``RecordingRemains/Obstacle`` when the system does not let it be read now; ``SoundFileError`` where the limit ends the work.
    init?(path: String, container: RecordingContainer, limit: DecodingLimit) throws {
        guard let before = try RecordingRemains.status(path) else { return nil }
        guard before.isFile else { throw RecordingRemains.Obstacle(description: "it is no plain file") }
        modifiedNanoseconds = before.modified_ns
        if container == .wav {
            if let repaired = try WAVFile.repairIfOpen(path: path) {
                format = (repaired.format.sampleRate, repaired.format.encoding.rawValue, repaired.format.channels)
                frames = repaired.frames
                fileBytes = try RecordingRemains.status(path)?.size_bytes ?? before.size_bytes
                return
            }
            // A WAV file with plain samples says by its header and its size what it holds.
            if let layout = try? WAVFile.layout(path: path), layout.dataBytes >= Int64(layout.format.bytesPerFrame) {
                format = (layout.format.sampleRate, layout.format.encoding.rawValue, layout.format.channels)
                frames = layout.dataBytes / Int64(layout.format.bytesPerFrame)
                fileBytes = before.size_bytes
                return
            }
        }
        // One that was cut off while it was recorded ends in the middle of a block.
        let audio = try AudioFacts(beginningOf: path, expected: container, limit: limit)
        format = (audio.sampleRate, audio.encoding, audio.channels)
        frames = audio.frames
        fileBytes = before.size_bytes
    }

    /// Where a file without a row comes from.
    struct Origin {
        let name: String
        let listener: ListenerID
        /// Below the folder of recordings.
        let relativePath: String
        /// UTC.
        let startNanoseconds: Int64
        /// When it had come in, UTC.
        let closedNanoseconds: Int64
        let container: RecordingContainer
        /// `stream` or `import`.
        let source: String
        let bootID: String
        let isAnalysisOn: Bool
    }

    /// The row of a file, in one transaction: open and closed.
    func row(_ origin: Origin) -> [StoreChange] {
        [
            .openRecording(
                RecordingRecord(
                    name: origin.name, listenerID: origin.listener.text, sessionID: nil, run: 0, runOffsetFrames: 0,
                    relativePath: origin.relativePath, state: "open", startNanoseconds: origin.startNanoseconds,
                    timeQuality: TimeQuality.inferred.rawValue, bootID: origin.bootID, monotonicNanoseconds: 0,
                    source: origin.source, container: origin.container.rawValue, encoding: format.encoding,
                    channels: format.channels, sampleRate: format.sampleRate,
                    analysis: origin.isAnalysisOn ? "pending" : "skipped")),
            .closeRecording(
                RecordingClose(
                    name: origin.name, frames: frames, durationNanoseconds: durationNanoseconds, filledNanoseconds: 0,
                    bytes: fileBytes, timeQuality: nil, closedNanoseconds: origin.closedNanoseconds)),
        ]
    }
}
