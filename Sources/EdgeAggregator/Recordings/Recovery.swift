import AudioDSP
import CEdgeSystem
import Foundation
import Logging
import Sensors
import Store
import Synchronization

/// Puts right, at the start, what a power cut or a kill left behind. No hand is needed.
///
/// What cannot be read or written at that moment stays as it is, with its row, and is tried again: by ``tryAgain()`` while the
/// program runs, and at the next start. What is given up has a line in the ledger, and its file is put aside, not removed. A file
/// without a row is changed only where the file itself shows that this program was writing it.
///
/// A row is committed first and a file is removed after, so that whatever is cut in between is finished at the next start.
final class Recovery: Sendable {
    let store: Store
    let recordingsFolder: String
    let spoolFolder: String
    let minimumNanoseconds: Int64
    let isAnalysisOn: Bool
    /// For a damaged recording that is written anew.
    let salvagePermit: DiskPermit
    let time: any TimeSource
    let logger: Logger
    let metrics = RecoveryMetrics()

    /// What waits to be tried again.
    struct Waiting {
        /// Open recordings by name, with their session.
        var rows: [String: String?] = [:]
        /// Files without a row, by path.
        var orphans: [String: Orphan] = [:]
        /// Files that are to be removed or put aside, by path.
        var leftovers: [String: String] = [:]
        var sessions: Set<OpenSession> = []
        /// When the program was started: until then it was down.
        var start: TimeStamp?

        var count: Int { rows.count + orphans.count + leftovers.count + sessions.count }
    }

    struct Orphan: Sendable {
        let name: String
        let listener: ListenerID
        let container: RecordingContainer
    }

    let waiting = Mutex(Waiting())
    private let isStopping = CancellationFlag()

    /// Processor time for files without a row at the start, all together, and for each open recording, in seconds: a start
    /// does not wait for files that take hours. The others are decoded by ``tryAgain()``.
    private static let maximumStartSeconds = 5.0
    /// Processor time for each file without a row later, in seconds. Then it is left alone.
    private static let maximumFileSeconds = 600.0

    struct Summary: Equatable {
        var closed = 0
        var adopted = 0
        var lost = 0
        var sessions = 0
        var waiting = 0
    }

    /// Why a row was deleted here. Files of such rows are never removed: what could not be found or understood may be again.
    static let lostReason = "lost in an unclean stop"
    static let damagedReason = "damaged on disk"
    static let tooShortReason = "too short"

    init(
        store: Store, recordingsFolder: String, spoolFolder: String, minimumNanoseconds: Int64, isAnalysisOn: Bool,
        salvagePermit: DiskPermit, time: any TimeSource, logger: Logger
    ) {
        self.store = store
        self.recordingsFolder = recordingsFolder
        self.spoolFolder = spoolFolder
        self.minimumNanoseconds = minimumNanoseconds
        self.isAnalysisOn = isAnalysisOn
        self.salvagePermit = salvagePermit
        self.time = time
        self.logger = logger
    }

    /// How many things wait to be tried again.
    var waitingCount: Int { waiting.withLock { $0.count } }

    /// Ends ``tryAgain()`` soon. What it was at waits for the next start.
    func stop() { isStopping.set() }

    private func limit(seconds: Double) -> DecodingLimit {
        DecodingLimit(maximumProcessorSeconds: seconds, isCancelled: { [isStopping] in isStopping.isSet })
    }

    /// For the start, before anything is received.
    func run() throws -> Summary {
        var summary = Summary()
        waiting.withLock { $0.start = time.now() }
        let files = recordingFiles()
        // Before the rows: the only copy of an open recording may have the name of a copy.
        for file in files where file.path.hasSuffix(RecordingRemains.copySuffix) { restore(file.path) }
        for row in try store.openRecordingsBlocking() {
            close(row, limit(seconds: Self.maximumStartSeconds), &summary)
        }
        let startLimit = limit(seconds: Self.maximumStartSeconds)
        for file in files {
            startLimit.resume()
            try examine(file, startLimit, &summary)
        }
        end(Set(try store.openSessionsBlocking()), &summary)
        clearSpool()
        summary.waiting = waitingCount
        metrics.waiting.set(Double(summary.waiting))
        if summary != Summary() {
            logger.notice(
                "The last run ended uncleanly; what it left was put right",
                metadata: [
                    "recordings_closed": "\(summary.closed)", "files_adopted": "\(summary.adopted)",
                    "recordings_lost": "\(summary.lost)", "sessions_ended": "\(summary.sessions)",
                    "waiting": "\(summary.waiting)",
                ])
        }
        return summary
    }

    /// Tries again what could not be done at the start; at other times than ``run()``, on a thread that may wait for the disk.
    ///
    /// - Returns: how many things still wait.
    @discardableResult
    func tryAgain() -> Int {
        var summary = Summary()
        let work = waiting.withLock { $0 }
        for name in work.rows.keys.sorted() where !isStopping.isSet {
            guard let row = try? store.recordingBlocking(name: name) else { continue }
            if row.state == "open" {
                close(row, limit(seconds: .infinity), &summary)
            } else {
                waiting.withLock { _ = $0.rows.removeValue(forKey: name) }
            }
        }
        for (path, orphan) in work.orphans.sorted(by: { $0.key < $1.key }) where !isStopping.isSet {
            guard store.isRecordedBlocking(name: orphan.name) == false else { continue }
            let limit = limit(seconds: Self.maximumFileSeconds)
            adopt(path, orphan, limit, &summary)
            if !limit.mayGoOn(), !isStopping.isSet { leaveAlone(path) }
        }
        for (path, name) in work.leftovers.sorted(by: { $0.key < $1.key }) {
            guard let row = try? store.recordingBlocking(name: name), row.state == "deleted" else { continue }
            clear(row, path)
        }
        end(work.sessions, &summary)
        let count = waitingCount
        metrics.waiting.set(Double(count))
        if summary.closed + summary.adopted + summary.lost + summary.sessions > 0 {
            logger.notice(
                "What could not be read at the start was put right",
                metadata: [
                    "recordings_closed": "\(summary.closed)", "files_adopted": "\(summary.adopted)",
                    "recordings_lost": "\(summary.lost)", "sessions_ended": "\(summary.sessions)",
                    "waiting": "\(count)",
                ])
        }
        return count
    }

    private func path(_ row: RecordingRecord) -> String { "\(recordingsFolder)/\(row.relativePath)" }

    // MARK: - Open recordings

    private func close(_ row: RecordingRecord, _ limit: DecodingLimit, _ summary: inout Summary) {
        let path = path(row)
        do {
            let verdict = try RecordingRemains(path: path).repair(row, salvagePermit, limit)
            switch verdict {
            case .kept(let sound): try keep(row, sound, path, &summary)
            case .nothing(let fileBytes): try lose(row, Self.lostReason, fileBytes ?? 0, path, verdict, &summary)
            case .another: try lose(row, Self.lostReason, 0, path, verdict, &summary)
            case .unreadable(let bytes, _): try lose(row, Self.damagedReason, bytes, path, verdict, &summary)
            }
            waiting.withLock { _ = $0.rows.removeValue(forKey: row.name) }
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
            frames = (0..<Self.longestGuess).contains(age) ? age / 1_000_000_000 * rate : 0
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
    private static let longestGuess: Int64 = 86_400_000_000_000

    private func loss(of row: RecordingRecord, _ reason: String, _ frames: Range<Int64>) -> LedgerEntry {
        let width = (PCMFormat.Encoding(rawValue: row.encoding)?.bytesPerSample ?? 2) * row.channels
        return LedgerEntry(
            recording: row,
            placeNanoseconds: PCMFormat.nanoseconds(frames: frames.lowerBound, sampleRate: row.sampleRate),
            durationNanoseconds: PCMFormat.nanoseconds(frames: Int64(frames.count), sampleRate: row.sampleRate),
            kind: "loss", reason: reason, bytes: Int64(frames.count * width),
            notedNanoseconds: time.now().utcNanoseconds)
    }

    // MARK: - Files

    struct File {
        let path: String
        let name: String
        let listener: ListenerID
    }

    /// What lies in the listeners' folders. A folder that cannot be listed now is looked through at the next start: while the program
    /// runs, recordings whose rows are still on their way lie there too.
    private func recordingFiles() -> [File] {
        names(in: recordingsFolder).compactMap { ListenerID($0) }.flatMap { listener in
            names(in: "\(recordingsFolder)/\(listener)").map {
                File(path: "\(recordingsFolder)/\(listener)/\($0)", name: $0, listener: listener)
            }
        }
    }

    private func names(in folder: String) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            // A plain file in the place of a listener's folder is no folder to look through.
            if let status = try? RecordingRemains.status(folder), status.isFile { return [] }
            metrics.failures.add(1)
            logger.error(
                "A folder of recordings cannot be listed; files there that have no row are looked for at the next start",
                metadata: ["folder": "\(folder)", "error": "\(error)"])
            return []
        }
    }

    private func restore(_ copy: String) {
        do {
            try RecordingRemains.restore(copy)
        } catch {
            metrics.failures.add(1)
            logger.error(
                "A copy that was being made when the program stopped cannot be dealt with; the next start tries again",
                metadata: ["path": "\(copy)", "error": "\(error)"])
        }
    }

    /// Decides about a file by its row, or takes it up when it has none.
    private func examine(_ file: File, _ limit: DecodingLimit, _ summary: inout Summary) throws {
        if file.name.hasSuffix(Self.silencedSuffix) { return removeCopy(file) }
        guard let container = RecordingContainer(rawValue: (file.name as NSString).pathExtension) else { return }
        guard let row = try store.recordingBlocking(name: file.name) else {
            return adopt(
                file.path, Orphan(name: file.name, listener: file.listener, container: container), limit, &summary)
        }
        guard row.state == "deleted", row.relativePath == "\(file.listener)/\(file.name)" else { return }
        do {
            guard let status = try RecordingRemains.status(file.path) else { return }
            if Self.isOf(row, status) { return clear(row, file.path) }
            // What holds no sound needs no row.
            try AudioFacts.requireSound(in: file.path, expected: container, limit: self.limit(seconds: 1))
            try adoptUnderAnotherName(file, container, limit, &summary)
        } catch {
            metrics.failures.add(1)
            logger.warning(
                "A file with the name of a deleted recording is left alone; the next start looks at it again",
                metadata: ["path": "\(file.path)", "error": "\(error)"])
        }
    }

    private static let silencedSuffix = ".silenced"

    /// A half-made copy without a voice. While the original is there, the voice is silenced again.
    ///
    /// Memory: the path is borrowed for the call.
    private func removeCopy(_ file: File) {
        let original = String(file.path.dropLast(Self.silencedSuffix.utf8.count))
        let name = String(file.name.dropLast(Self.silencedSuffix.utf8.count))
        let isOriginalThere = (try? RecordingRemains.status(original))?.isFile == true
        let isDeleted = (try? store.recordingBlocking(name: name))?.state == "deleted"
        guard isOriginalThere || isDeleted else {
            logger.warning("A copy has no original any more; it is left alone", metadata: ["path": "\(file.path)"])
            return
        }
        if unsafe unlink(file.path) != 0 { metrics.failures.add(1) }
    }

    /// Whether a file is the one whose row was deleted, so that it may go. It is not when the row was given up here and the file has
    /// come back with sound in it, nor when it is another file with the name: a database of before does not know what was
    /// received since.
    private static func isOf(_ row: RecordingRecord, _ status: EdgeFileStatus) -> Bool {
        switch row.deleteReason {
        case lostReason: return status.size_bytes < Int64(WAVHeader.canonicalBytes)
        case damagedReason: return true
        default:
            let isNewer = row.deletedNanoseconds.map { status.modified_ns > $0 } ?? false
            return !(isNewer && row.bytes > 0 && row.bytes != status.size_bytes)
        }
    }

    /// Removes the file of a row that is deleted, or puts it aside if it is damaged.
    private func clear(_ row: RecordingRecord, _ path: String, reason: String? = nil) {
        guard reason ?? row.deleteReason == Self.damagedReason else { return remove(row, path) }
        do {
            if try RecordingRemains.status(path) != nil { try RecordingRemains(path: path).putAside() }
            waiting.withLock { _ = $0.leftovers.removeValue(forKey: path) }
        } catch {
            let isNew = waiting.withLock { $0.leftovers.updateValue(row.name, forKey: path) == nil }
            if isNew { tellOfWaiting("A damaged recording", path, error) }
        }
    }

    /// Memory: the path is borrowed for the call.
    private func remove(_ row: RecordingRecord, _ path: String) {
        if unsafe unlink(path) == 0 || errno == ENOENT {
            waiting.withLock { _ = $0.leftovers.removeValue(forKey: path) }
            return
        }
        let error = RecordingRemains.Obstacle(errnoValue: errno)
        let isNew = waiting.withLock { $0.leftovers.updateValue(row.name, forKey: path) == nil }
        if isNew { tellOfWaiting("A recording that is deleted", path, error) }
    }

    // MARK: - Sessions

    /// Ends sessions, each once all its recordings are closed.
    private func end(_ sessions: Set<OpenSession>, _ summary: inout Summary) {
        let (start, rows) = waiting.withLock { ($0.start, $0.rows) }
        let ends = SessionRecovery(store: store, time: time, start: start ?? time.now(), open: sessions)
        for session in sessions.sorted(by: { $0.id < $1.id }) {
            var obstacle: (any Error)?
            if !rows.values.contains(session.id) {
                do {
                    try ends.end(session)
                    summary.sessions += 1
                    waiting.withLock { _ = $0.sessions.remove(session) }
                    continue
                } catch {
                    obstacle = error
                }
            }
            let isNew = waiting.withLock { $0.sessions.insert(session).inserted }
            if isNew, let obstacle { tellOfWaiting("The end of a session", session.id, obstacle) }
        }
    }

    // MARK: - Spool

    /// Uploads that were cut off were never acknowledged; their senders have them still. Only names that this program gives are
    /// removed: `upload-` and six characters.
    ///
    /// Memory: the path is borrowed for the call.
    private func clearSpool() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: spoolFolder)) ?? []
        where name.hasPrefix("upload-") && name.utf8.count == 13 {
            if unsafe unlink("\(spoolFolder)/\(name)") != 0 { metrics.failures.add(1) }
        }
    }

    func tellOfWaiting(_ what: String, _ path: String, _ error: any Error) {
        metrics.failures.add(1)
        logger.error(
            "\(what) cannot be dealt with now; nothing of it is changed, and it is tried again",
            metadata: ["path": "\(path)", "error": "\(error)"])
    }
}
