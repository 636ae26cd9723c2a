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
        /// Files that are still to be examined, by path.
        var files: [String: File] = [:]
        /// Files that are to be removed or put aside, by path.
        var leftovers: [String: String] = [:]
        var sessions: Set<OpenSession> = []
        /// When the program was started: until then it was down.
        var start: TimeStamp?

        var count: Int { rows.count + orphans.count + files.count + leftovers.count + sessions.count }
    }

    struct Orphan: Sendable {
        let name: String
        let listener: ListenerID
        let container: RecordingContainer
    }

    let waiting = Mutex(Waiting())
    private let maximumStartSeconds: Double
    private let isStopping = CancellationFlag()

    /// Processor time for all files together at the start, in seconds: a start does not wait for files that take hours. The
    /// others are decoded by ``tryAgain()``.
    private static let usualStartSeconds = 5.0
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

    /// - Parameter maximumStartSeconds: processor time that ``run()`` decodes for.
    init(
        store: Store, recordingsFolder: String, spoolFolder: String, minimumNanoseconds: Int64, isAnalysisOn: Bool,
        salvagePermit: DiskPermit, time: any TimeSource, logger: Logger,
        maximumStartSeconds: Double = usualStartSeconds
    ) {
        self.maximumStartSeconds = maximumStartSeconds
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

    var isStopped: Bool { isStopping.isSet }

    func limit(seconds: Double) -> DecodingLimit {
        DecodingLimit(maximumProcessorSeconds: seconds, isCancelled: { [isStopping] in isStopping.isSet })
    }

    /// For the start, before anything is received.
    func run() throws -> Summary {
        var summary = Summary()
        waiting.withLock { $0.start = time.now() }
        let files = recordingFiles()
        // Before the rows: the only copy of an open recording may have the name of a copy.
        for file in files where file.path.hasSuffix(RecordingRemains.copySuffix) { restore(file.path) }
        let limit = limit(seconds: maximumStartSeconds)
        for row in try store.openRecordingsBlocking() { close(row, limit, &summary) }
        var orphans: [String: Orphan] = [:]
        for file in files {
            if let orphan = try examine(file, limit, &summary) { orphans[file.path] = orphan }
        }
        for (path, orphan) in inOrder(orphans) { adopt(path, orphan, limit, &summary) }
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
        var orphans = work.orphans
        for (path, file) in work.files.sorted(by: { $0.key < $1.key }) where !isStopping.isSet {
            waiting.withLock { _ = $0.files.removeValue(forKey: path) }
            let limit = limit(seconds: Self.maximumFileSeconds)
            do {
                if let orphan = try examine(file, limit, &summary) { orphans[path] = orphan }
            } catch {
                waiting.withLock { $0.files[path] = file }
            }
            if !limit.mayGoOn(), !isStopping.isSet { leaveAlone(path) }
        }
        for (path, orphan) in inOrder(orphans) where !isStopping.isSet {
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

    func path(_ row: RecordingRecord) -> String { "\(recordingsFolder)/\(row.relativePath)" }

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
