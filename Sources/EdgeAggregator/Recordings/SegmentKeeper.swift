import CEdgeSystem
import Foundation
import Logging
import Store
import Synchronization

/// Makes recordings durable: syncs the open ones at least every interval, and finishes those that have ended.
///
/// All files are first told to start writing, then waited for one after the other, so that many small files share
/// the disk's queue and the journal's commits. It works on threads of its own, since a sync can take seconds.
final class SegmentKeeper: Sendable {
    /// What became of a recording's file.
    enum Outcome: Sendable {
        /// Closed and synced, with so many sample frames.
        case kept(frames: Int64, fileBytes: Int64)
        /// Could not be finished; what was synced before is on the disk still and is taken up at the next start.
        case failed(SegmentError)
    }

    struct Statistics: Sendable {
        var syncs = 0
        var syncFailures = 0
        var lastSyncSeconds = 0.0
        var openSegments = 0
        var finishing = 0
        var bytesSynced: Int64 = 0
    }

    private struct FinishJob: Sendable {
        let segment: RecordingSegment
        let done: @Sendable (Outcome) -> Void
    }

    private struct State {
        var open: [ObjectIdentifier: RecordingSegment] = [:]
        var finishing: [FinishJob] = []
        var inFlight = 0
        var isStopping = false
        var statistics = Statistics()
    }

    private let interval: Duration
    private let longestQueue: Int
    private let logger: Logger
    private let metrics: StorageMetrics
    private let state = Mutex(State())
    private let condition = SteadyCondition()

    /// - Parameters:
    ///   - syncIntervalMilliseconds: the longest that received sound stays unsynced.
    ///   - longestQueue: ended recordings that may wait to be finished; beyond that ``finish(_:done:)`` waits.
    init(syncIntervalMilliseconds: Int, longestQueue: Int = 1024, metrics: StorageMetrics, logger: Logger) {
        interval = .milliseconds(syncIntervalMilliseconds)
        self.longestQueue = longestQueue
        self.metrics = metrics
        self.logger = logger
        let syncing = Thread { [self] in syncLoop() }
        syncing.name = "segment-sync"
        syncing.start()
        let finishing = Thread { [self] in finishLoop() }
        finishing.name = "segment-finish"
        finishing.start()
    }

    var statistics: Statistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.openSegments = state.open.count
            statistics.finishing = state.finishing.count + state.inFlight
            return statistics
        }
    }

    /// Takes a recording into care from its creation on.
    func watch(_ segment: RecordingSegment) {
        state.withLock { $0.open[ObjectIdentifier(segment)] = segment }
    }

    /// Ends a recording's file on another thread and tells the outcome there. Waits while too many are queued, so
    /// that a stalled disk stalls the sender.
    func finish(_ segment: RecordingSegment, done: @escaping @Sendable (Outcome) -> Void) {
        condition.lock()
        while state.withLock({ $0.finishing.count >= longestQueue && !$0.isStopping }) { condition.wait() }
        state.withLock { state in
            state.open[ObjectIdentifier(segment)] = nil
            state.finishing.append(FinishJob(segment: segment, done: done))
        }
        condition.broadcast()
        condition.unlock()
    }

    /// Syncs a recording no more, since it is not kept.
    func forget(_ segment: RecordingSegment) {
        state.withLock { $0.open[ObjectIdentifier(segment)] = nil }
    }

    /// Finishes what is queued, then ends the threads. Nothing may be appended to any recording after this.
    func stop() {
        condition.lock()
        state.withLock { $0.isStopping = true }
        condition.broadcast()
        while state.withLock({ !$0.finishing.isEmpty || $0.inFlight > 0 }) { condition.wait() }
        condition.unlock()
    }

    // MARK: - Threads

    private func finishLoop() {
        while true {
            condition.lock()
            while state.withLock({ $0.finishing.isEmpty && !$0.isStopping }) { condition.wait() }
            let jobs = state.withLock { state -> [FinishJob] in
                let jobs = state.finishing
                state.finishing = []
                state.inFlight = jobs.count
                return jobs
            }
            condition.broadcast()
            condition.unlock()
            if jobs.isEmpty { return }
            for job in jobs where job.segment.isDirty { job.segment.startWriteback() }
            for job in jobs {
                let outcome = finishNow(job.segment)
                job.done(outcome)
                condition.lock()
                state.withLock { $0.inFlight -= 1 }
                condition.broadcast()
                condition.unlock()
            }
        }
    }

    private func finishNow(_ segment: RecordingSegment) -> Outcome {
        let started = ContinuousClock.now
        let before = segment.syncedBytes
        do throws(SegmentError) {
            let frames = try segment.finish()
            note(syncSeconds: started.secondsToNow, bytes: segment.writtenBytes - before)
            var status = EdgeFileStatus()
            // Memory: the path and the status are borrowed for the call.
            let fileBytes = unsafe edge_stat(segment.path, &status) == 0 ? status.size_bytes : segment.writtenBytes
            return .kept(frames: frames, fileBytes: fileBytes)
        } catch {
            noteFailure(error)
            return .failed(error)
        }
    }

    private func syncLoop() {
        var deadline = ContinuousClock.now + interval
        while true {
            condition.lock()
            while ContinuousClock.now < deadline, !state.withLock({ $0.isStopping }) {
                condition.wait(atMost: deadline - .now)
            }
            let isStopping = state.withLock { $0.isStopping }
            condition.unlock()
            if isStopping { return }
            // The next pass is due an interval after this one began, so that the pass itself counts.
            deadline = .now + interval
            syncAll()
        }
    }

    private func syncAll() {
        let dirty = state.withLock { $0.open.values.filter(\.isDirty) }
        for segment in dirty { segment.startWriteback() }
        for segment in dirty {
            let started = ContinuousClock.now
            let before = segment.syncedBytes
            do throws(SegmentError) {
                try segment.sync()
                note(syncSeconds: started.secondsToNow, bytes: segment.syncedBytes - before)
            } catch {
                noteFailure(error)
            }
        }
    }

    private func note(syncSeconds: Double, bytes: Int64) {
        metrics.syncSeconds.observe(syncSeconds)
        metrics.syncedBytes.add(bytes)
        state.withLock { state in
            state.statistics.syncs += 1
            state.statistics.lastSyncSeconds = syncSeconds
            state.statistics.bytesSynced += bytes
        }
    }

    private func noteFailure(_ error: SegmentError) {
        metrics.syncFailures.add(1)
        state.withLock { $0.statistics.syncFailures += 1 }
        logger.error(
            "A recording could not be synced; what the disk has of it is taken up at the next start",
            metadata: ["error": "\(error)"])
    }
}

extension Duration {
    var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}

extension ContinuousClock.Instant {
    var secondsToNow: Double { (ContinuousClock.now - self).seconds }
}
