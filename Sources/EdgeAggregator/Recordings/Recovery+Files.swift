import AudioDSP
import CEdgeSystem
import Foundation
import Logging
import Sensors
import Store
import Synchronization

/// Files without a row.
extension Recovery {
    private struct Adopted {
        let format: (sampleRate: Int, encoding: String, channels: Int)
        let frames: Int64
        let fileBytes: Int64
        let modifiedNanoseconds: Int64
    }

    /// Only a file that this program was writing is repaired. Others, such as uploads of which the database was lost, stay as they
    /// are, byte for byte.
    private func facts(
        _ path: String, _ container: RecordingContainer, _ limit: DecodingLimit
    ) throws -> Adopted? {
        guard let before = try RecordingRemains.status(path) else { return nil }
        guard before.isFile else { throw RecordingRemains.Obstacle(description: "it is no plain file") }
        if container == .wav {
            if let repaired = try WAVFile.repairIfOpen(path: path) {
                let bytes = try RecordingRemains.status(path)?.size_bytes ?? before.size_bytes
                return Adopted(
                    format: (
                        repaired.format.sampleRate, repaired.format.encoding.rawValue, repaired.format.channels
                    ), frames: repaired.frames, fileBytes: bytes, modifiedNanoseconds: before.modified_ns)
            }
        }
        if container == .wav, let adopted = Self.byHeader(path, before) { return adopted }
        // One that was cut off while it was recorded ends in the middle of a block.
        let audio = try AudioFacts(beginningOf: path, expected: container, limit: limit)
        return Adopted(
            format: (audio.sampleRate, audio.encoding, audio.channels), frames: audio.frames,
            fileBytes: before.size_bytes, modifiedNanoseconds: before.modified_ns)
    }

    /// A WAV file with plain samples says by its header and its size what it holds. Nil for another one.
    private static func byHeader(_ path: String, _ status: EdgeFileStatus) -> Adopted? {
        guard let layout = try? WAVFile.layout(path: path) else { return nil }
        let frames = layout.dataBytes / Int64(layout.format.bytesPerFrame)
        guard frames > 0 else { return nil }
        return Adopted(
            format: (layout.format.sampleRate, layout.format.encoding.rawValue, layout.format.channels), frames: frames,
            fileBytes: status.size_bytes, modifiedNanoseconds: status.modified_ns)
    }

    /// In the order in which they are adopted, since what has no row is not removed for want of room: those that need no decoding
    /// first, then the oldest.
    func inOrder(_ orphans: [String: Orphan]) -> [(path: String, orphan: Orphan)] {
        orphans.map { path, orphan -> (isCostly: Bool, start: Int64, path: String, orphan: Orphan) in
            let modified = { (try? RecordingRemains.status(path))??.modified_ns ?? .max }
            return (
                orphan.container != .wav, UploadName(filename: orphan.name).startNanoseconds ?? modified(), path, orphan
            )
        }.sorted { ($0.isCostly ? 1 : 0, $0.start, $0.path) < ($1.isCostly ? 1 : 0, $1.start, $1.path) }
            .map { ($0.path, $0.orphan) }
    }

    /// A file without a row was made just before its row would have been written, or its row was lost with a database.
    func adopt(_ path: String, _ orphan: Orphan, _ limit: DecodingLimit, _ summary: inout Summary) {
        limit.resume()
        do {
            if let adopted = try facts(path, orphan.container, limit) {
                try adopt(adopted, orphan)
                summary.adopted += 1
            }
        } catch is UploadRefusal {
            logger.warning(
                "A file among the recordings holds no sound; it is left alone", metadata: ["path": "\(path)"])
        } catch let error as SoundFileError where error.code == .tooCostly || error.code == .cancelled {
            waiting.withLock { $0.orphans[path] = orphan }
            return
        } catch {
            let isNew = waiting.withLock { $0.orphans.updateValue(orphan, forKey: path) == nil }
            if isNew { tellOfWaiting("A file that has no row", path, error) }
            return
        }
        waiting.withLock { _ = $0.orphans.removeValue(forKey: path) }
    }

    /// Gives up a file that takes too long to decode. It is decoded again after the next start.
    func leaveAlone(_ path: String) {
        metrics.failures.add(1)
        logger.warning(
            "A file among the recordings takes too long to decode; it is left alone", metadata: ["path": "\(path)"])
        waiting.withLock { waiting in
            waiting.orphans[path] = nil
            waiting.files[path] = nil
        }
    }

    private func adopt(_ adopted: Adopted, _ orphan: Orphan) throws {
        let duration = PCMFormat.nanoseconds(frames: adopted.frames, sampleRate: adopted.format.sampleRate)
        let start = UploadName(filename: orphan.name).startNanoseconds ?? adopted.modifiedNanoseconds - duration
        try store.commitBlocking([
            .openRecording(
                RecordingRecord(
                    name: orphan.name, listenerID: orphan.listener.text, sessionID: nil, run: 0, runOffsetFrames: 0,
                    relativePath: "\(orphan.listener)/\(orphan.name)", state: "open", startNanoseconds: start,
                    timeQuality: TimeQuality.inferred.rawValue, bootID: time.now().bootID, monotonicNanoseconds: 0,
                    source: "stream", container: orphan.container.rawValue, encoding: adopted.format.encoding,
                    channels: adopted.format.channels, sampleRate: adopted.format.sampleRate,
                    analysis: isAnalysisOn ? "pending" : "skipped")),
            .closeRecording(
                RecordingClose(
                    name: orphan.name, frames: adopted.frames, durationNanoseconds: duration, filledNanoseconds: 0,
                    bytes: adopted.fileBytes, timeQuality: nil, closedNanoseconds: adopted.modifiedNanoseconds)),
            .touchListener(
                id: orphan.listener.text, seenNanoseconds: adopted.modifiedNanoseconds, remoteAddress: ""),
        ])
    }

    /// A name is given once, and its row says that it is deleted.
    ///
    /// Memory: the paths are borrowed for the call.
    func adoptUnderAnotherName(
        _ file: File, _ container: RecordingContainer, _ limit: DecodingLimit, _ summary: inout Summary
    ) throws {
        let stem = (file.name as NSString).deletingPathExtension
        var number = 2
        var name: String
        repeat {
            name = "\(stem)-\(number).\(container.rawValue)"
            number += 1
        } while RecordingNames.isTaken(name, store: store, folder: recordingsFolder)
        let path = "\(recordingsFolder)/\(file.listener)/\(name)"
        guard unsafe rename(file.path, path) == 0 else {
            metrics.failures.add(1)
            logger.error(
                "A file with the name of a deleted recording cannot be renamed; the next start tries again",
                metadata: ["path": "\(file.path)", "errno": "\(errno)"])
            return
        }
        try RecordingSegment.syncDirectory("\(recordingsFolder)/\(file.listener)")
        logger.warning(
            "A file has the name of a recording that is deleted, and is another: it is taken up under a new name",
            metadata: ["before": "\(file.name)", "now": "\(name)"])
        adopt(path, Orphan(name: name, listener: file.listener, container: container), limit, &summary)
    }
}
