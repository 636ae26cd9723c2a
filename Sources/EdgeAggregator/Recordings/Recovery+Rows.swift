import AudioDSP
import Foundation
import Logging
import Sensors
import Store
import Synchronization

/// Recordings that were open when the program stopped.
extension Recovery {
    func close(_ row: RecordingRecord, _ limit: DecodingLimit, _ summary: inout Summary) {
        let path = path(row)
        limit.resume()
        do {
            let verdict = try RecordingRemains(path: path).repair(row, salvagePermit, limit)
            switch verdict {
            case .kept(let sound): try keep(row, sound, path, &summary)
            case .nothing(let fileBytes): try lose(row, Self.lostReason, fileBytes ?? 0, path, verdict, &summary)
            case .another: try lose(row, Self.lostReason, 0, path, verdict, &summary)
            case .unreadable(let bytes, _): try lose(row, Self.damagedReason, bytes, path, verdict, &summary)
            }
            waiting.withLock { _ = $0.rows.removeValue(forKey: row.name) }
        } catch let error as SoundFileError where error.code == .tooCostly || error.code == .cancelled {
            waiting.withLock { _ = $0.rows.updateValue(row.sessionID, forKey: row.name) }
        } catch {
            let isNew = waiting.withLock { $0.rows.updateValue(row.sessionID, forKey: row.name) == nil }
            if isNew { tellOfWaiting("An open recording", path, error) }
        }
    }

    private func keep(
        _ row: RecordingRecord, _ sound: RecordingRemains.Sound, _ path: String, _ summary: inout Summary
    ) throws {
        let duration = PCMFormat.nanoseconds(frames: sound.frames, sampleRate: row.sampleRate)
        if sound.wasDamaged {
            logger.error(
                "A recording was damaged; its sound is kept, with silence where it is lost",
                metadata: [
                    "recording": "\(row.name)", "lost_frames": "\(sound.missing.reduce(0) { $0 + $1.count })",
                ])
        }
        if duration < minimumNanoseconds {
            // As when it ends while the program runs: the row counts no seconds, the ledger does.
            try store.commitBlocking([
                .deleteRecording(
                    name: row.name, reason: Self.tooShortReason, atNanoseconds: time.now().utcNanoseconds),
                .ledger(loss(of: row, Self.tooShortReason, 0..<sound.frames)),
            ])
            summary.closed += 1
            return remove(row, path)
        }
        var entries = sound.missing.map { loss(of: row, Self.damagedReason, $0) }
        // What the run goes on after was there once.
        if let next = try store.nextOffsetBlocking(after: row), next - row.runOffsetFrames > sound.frames {
            entries.append(loss(of: row, Self.lostReason, sound.frames..<(next - row.runOffsetFrames)))
        }
        let silent = sound.missing.reduce(0) {
            $0 + PCMFormat.nanoseconds(frames: Int64($1.count), sampleRate: row.sampleRate)
        }
        let close = RecordingClose(
            name: row.name, frames: sound.frames, durationNanoseconds: duration, filledNanoseconds: silent,
            bytes: sound.fileBytes, timeQuality: nil,
            closedNanoseconds: row.lastWrittenNanoseconds(modifiedNanoseconds: sound.modifiedNanoseconds))
        try store.commitBlocking([.closeRecording(close)] + entries.map { .ledger($0) })
        summary.closed += 1
    }

    /// Gives a recording up. Its line in the ledger is as long as is known: up to the recording that follows in its run; else to
    /// when the last of it was written. Where nothing is known the end of the session accounts for the time.
    private func lose(
        _ row: RecordingRecord, _ reason: String, _ bytes: Int64, _ path: String, _ verdict: RecordingRemains.Verdict,
        _ summary: inout Summary
    ) throws {
        let rate = Int64(max(row.sampleRate, 1))
        var frames: Int64 = 0
        if let next = try store.nextOffsetBlocking(after: row) {
            frames = next - row.runOffsetFrames
        } else if case .unreadable(_, let modified) = verdict {
            let age = row.lastWrittenNanoseconds(modifiedNanoseconds: modified) - row.startNanoseconds
            frames = (0..<Self.maximumGuessNanoseconds).contains(age) ? age / 1_000_000_000 * rate : 0
        }
        var entry = loss(of: row, reason, 0..<frames)
        entry.bytes = bytes
        try store.commitBlocking([
            .deleteRecording(name: row.name, reason: reason, atNanoseconds: time.now().utcNanoseconds),
            .ledger(entry),
        ])
        logger.error(
            "A recording is lost", metadata: ["recording": "\(row.name)", "reason": "\(reason)", "bytes": "\(bytes)"])
        metrics.lost.add(1)
        summary.lost += 1
        if verdict != .another { clear(row, path, reason: reason) }
    }

    /// A day.
    private static let maximumGuessNanoseconds: Int64 = 86_400_000_000_000

    private func loss(of row: RecordingRecord, _ reason: String, _ frames: Range<Int64>) -> LedgerEntry {
        let width = (PCMFormat.Encoding(rawValue: row.encoding)?.bytesPerSample ?? 2) * row.channels
        return LedgerEntry(
            recording: row,
            placeNanoseconds: PCMFormat.nanoseconds(frames: frames.lowerBound, sampleRate: row.sampleRate),
            durationNanoseconds: PCMFormat.nanoseconds(frames: Int64(frames.count), sampleRate: row.sampleRate),
            kind: "loss", reason: reason, bytes: Int64(frames.count * width),
            notedNanoseconds: time.now().utcNanoseconds)
    }
}
