import AudioDSP
import CEdgeSystem
import Foundation
import Logging
import Sensors
import Store

/// Puts right, at the start, what a power cut or a kill left behind. Nothing is ever wiped, and no hand is needed.
struct Recovery {
    let store: Store
    let recordingsFolder: String
    let spoolFolder: String
    let minimumNanoseconds: Int64
    let isAnalysisOn: Bool
    let time: any TimeSource
    let logger: Logger

    struct Summary: Equatable {
        var closed = 0
        var adopted = 0
        var lost = 0
        var sessions = 0
    }

    func run() throws -> Summary {
        var summary = Summary()
        for row in try store.openRecordingsBlocking() { try close(row, &summary) }
        try adoptOrphans(&summary)
        for session in try store.openSessionsBlocking() {
            try end(session.id, listener: session.listenerID)
            summary.sessions += 1
        }
        clearSpool()
        if summary != Summary() {
            logger.notice(
                "The last run ended uncleanly; what it left was put right",
                metadata: [
                    "recordings_closed": "\(summary.closed)", "files_adopted": "\(summary.adopted)",
                    "recordings_lost": "\(summary.lost)", "sessions_ended": "\(summary.sessions)",
                ])
        }
        return summary
    }

    // MARK: - Recordings

    private struct Mended {
        let format: (sampleRate: Int, encoding: String, channels: Int)
        let frames: Int64
        let fileBytes: Int64
        let modifiedNanoseconds: Int64
    }

    /// Memory: the path and the statuses are borrowed for the calls.
    private func mend(_ path: String) throws -> Mended {
        var before = EdgeFileStatus()
        guard unsafe edge_stat(path, &before) == 0 else { throw SegmentError(.write, path: path, errnoValue: errno) }
        let format: (Int, String, Int)
        let frames: Int64
        if path.hasSuffix(".flac") {
            frames = try FLACFile.repair(path: path)
            let reader = try SoundFileReader(path: path)
            format = (reader.sampleRate, reader.encoding, reader.channels)
        } else if path.hasSuffix(".wav") {
            let repaired = try WAVFile.repair(path: path)
            format = (repaired.format.sampleRate, repaired.format.encoding.rawValue, repaired.format.channels)
            frames = repaired.frames
        } else {
            let facts = try AudioFacts(path: path, expected: .mp3)
            format = (facts.sampleRate, facts.encoding, facts.channels)
            frames = facts.frames
        }
        var after = EdgeFileStatus()
        _ = unsafe edge_stat(path, &after)
        return Mended(
            format: format, frames: frames, fileBytes: after.size_bytes, modifiedNanoseconds: before.modified_ns)
    }

    private func close(_ row: RecordingRecord, _ summary: inout Summary) throws {
        let path = "\(recordingsFolder)/\(row.relativePath)"
        let now = time.now().utcNanoseconds
        let mended: Mended
        do {
            mended = try mend(path)
        } catch {
            // Nothing of it was synced, or it is damaged beyond reading: the file, if any, stays where it is.
            logger.error(
                "A recording could not be mended", metadata: ["recording": "\(row.name)", "error": "\(error)"])
            summary.lost += 1
            try store.commitBlocking([
                .deleteRecording(name: row.name, reason: "lost in an unclean stop", atNanoseconds: now)
            ])
            return
        }
        let duration = PCMFormat.nanoseconds(frames: mended.frames, sampleRate: mended.format.sampleRate)
        let close = RecordingClose(
            name: row.name, frames: mended.frames, durationNanoseconds: duration, filledNanoseconds: 0,
            bytes: mended.fileBytes, timeQuality: nil, closedNanoseconds: mended.modifiedNanoseconds)
        var changes: [StoreChange] = [.closeRecording(close)]
        if duration < minimumNanoseconds, row.source != "upload" {
            changes += [
                .deleteRecording(name: row.name, reason: "too short", atNanoseconds: now),
                .ledger(
                    LedgerEntry(
                        listenerID: row.listenerID, sessionID: row.sessionID, run: row.run, recordingName: row.name,
                        kind: "loss", reason: "too short", startNanoseconds: row.startNanoseconds,
                        durationNanoseconds: duration, frames: 0, bytes: mended.fileBytes, notedNanoseconds: now)),
            ]
        }
        try store.commitBlocking(changes)
        // Memory: the path is borrowed for the call.
        if duration < minimumNanoseconds, row.source != "upload" { unsafe unlink(path) }
        summary.closed += 1
    }

    /// A file without a row was made just before its row would have been written.
    ///
    /// Memory: the path is borrowed for the calls.
    private func adoptOrphans(_ summary: inout Summary) throws {
        let manager = FileManager.default
        for folder in (try? manager.contentsOfDirectory(atPath: recordingsFolder)) ?? [] {
            guard let listener = ListenerID(folder) else { continue }
            for name in (try? manager.contentsOfDirectory(atPath: "\(recordingsFolder)/\(folder)")) ?? [] {
                let path = "\(recordingsFolder)/\(folder)/\(name)"
                if name.hasSuffix(".silenced") {
                    // A half-made copy: the original is still there, and is silenced again.
                    unsafe unlink(path)
                    continue
                }
                guard let container = RecordingContainer(rawValue: (name as NSString).pathExtension) else { continue }
                if let row = try store.recordingBlocking(name: name) {
                    // Written down as deleted, and then the power went.
                    if row.state == "deleted" { unsafe unlink(path) }
                    continue
                }
                try adopt(path, name: name, listener: listener, container: container, &summary)
            }
        }
    }

    private func adopt(
        _ path: String, name: String, listener: ListenerID, container: RecordingContainer, _ summary: inout Summary
    ) throws {
        let now = time.now()
        guard let mended = try? mend(path) else {
            logger.warning("A file among the recordings is none; it is left alone", metadata: ["path": "\(path)"])
            return
        }
        let duration = PCMFormat.nanoseconds(frames: mended.frames, sampleRate: mended.format.sampleRate)
        let start = UploadName(filename: name).startNanoseconds ?? mended.modifiedNanoseconds - duration
        try store.commitBlocking([
            .openRecording(
                RecordingRecord(
                    name: name, listenerID: listener.text, sessionID: nil, run: 0, runOffsetFrames: 0,
                    relativePath: "\(listener)/\(name)", state: "open", startNanoseconds: start,
                    timeQuality: TimeQuality.inferred.rawValue, bootID: now.bootID, monotonicNanoseconds: 0,
                    source: "stream", container: container.rawValue, encoding: mended.format.encoding,
                    channels: mended.format.channels, sampleRate: mended.format.sampleRate,
                    analysis: isAnalysisOn ? "pending" : "skipped")),
            .closeRecording(
                RecordingClose(
                    name: name, frames: mended.frames, durationNanoseconds: duration, filledNanoseconds: 0,
                    bytes: mended.fileBytes, timeQuality: nil, closedNanoseconds: mended.modifiedNanoseconds)),
            .touchListener(id: listener.text, seenNanoseconds: mended.modifiedNanoseconds, remoteAddress: ""),
        ])
        summary.adopted += 1
    }

    // MARK: - Sessions

    /// Ends a session: settles the times of its sound by what is on disk, and accounts for the time from its last sound
    /// to now.
    private func end(_ session: String, listener: String) throws {
        let now = time.now().utcNanoseconds
        var changes: [StoreChange] = []
        var bytes: Int64 = 0
        let (recordings, runs) = try store.remainsOfSessionBlocking(session)
        if let last = runs.last {
            var unsettled = UnsettledStretches(runs.map(UnsettledStretches.Remains.init))
            let (settlements, shift) = unsettled.settle()
            for settlement in settlements {
                for run in settlement.runs {
                    changes.append(
                        .settleRun(
                            sessionID: session, run: run, byNanoseconds: settlement.byNanoseconds,
                            gapByNanoseconds: run == settlement.runs.lowerBound ? settlement.gapByNanoseconds : 0,
                            timeQuality: TimeQuality.inferred.rawValue))
                }
            }
            let end = last.endNanoseconds
            bytes = recordings.reduce(0) { sum, row in
                let width = PCMFormat.Encoding(rawValue: row.encoding)?.bytesPerSample ?? 2
                return sum + row.frames * Int64(width * row.channels)
            }
            if now > end + shift {
                changes.append(
                    .ledger(
                        LedgerEntry(
                            listenerID: listener, sessionID: session, run: nil, recordingName: nil, kind: "gap",
                            reason: "box was down", startNanoseconds: end + shift,
                            durationNanoseconds: now - end - shift,
                            frames: 0, bytes: 0, notedNanoseconds: now)))
            }
        }
        changes.append(
            .closeSession(
                SessionClose(id: session, closedNanoseconds: now, reason: "unclean stop", bytesReceived: bytes)))
        try store.commitBlocking(changes)
    }

    /// Uploads that were cut off were never acknowledged; their senders have them still.
    ///
    /// Memory: the path is borrowed for the call.
    private func clearSpool() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: spoolFolder)) ?? []
        where name.hasPrefix("upload-") {
            unsafe unlink("\(spoolFolder)/\(name)")
        }
    }
}

extension UnsettledStretches.Remains {
    init(_ run: RunRemains) {
        self.init(
            run: run.run, leadNanoseconds: run.leadNanoseconds, isSettled: run.isSettled,
            pauseNanoseconds: run.pauseNanoseconds)
    }
}
