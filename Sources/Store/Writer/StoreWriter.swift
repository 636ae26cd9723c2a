import Foundation
import GRDB
import Synchronization

/// The one writer: commits what many callers want in groups, and tells each when its own is on the disk.
///
/// One thread takes everything queued, makes all changes in one transaction, commits it with `synchronous=FULL`, and
/// only then tells the callers. When some change is refused, which is rare, the group is made once more with a savepoint
/// for each caller, so that each hears of its own. While one group is being synced the next one gathers, so the groups
/// grow with the load by themselves; at rest a change is written at once.
final class StoreWriter: @unchecked Sendable {
    typealias Completion = @Sendable (Result<Void, StoreError>) -> Void

    private struct Job {
        let changes: [StoreChange]
        /// Whether it is tried again until the disk has room: nobody waits for it, and it must not be lost.
        let isPatient: Bool
        /// Whether it is written where there is no room for others, and before them.
        let freesRoom: Bool
        let completion: Completion?
    }

    private struct State {
        var queue: [Job] = []
        var isClosing = false
        var isClosed = false
        var statistics: StoreStatistics
        var lastCommit: ContinuousClock.Instant?
        /// Since when changes wait, or since the last attempt.
        var pendingSince: ContinuousClock.Instant?
    }

    static let largestGroup = 500
    /// How long patient changes wait for room on the disk before they are tried again.
    private static let patience = Duration.seconds(1)

    private let database: any DatabaseWriter
    private let interval: Duration
    private let longestQueue: Int
    private let plan: DeliveryPlan
    private let room: StoreRoom
    /// Called after each group that may have made deliveries.
    private let ring: @Sendable () -> Void
    private let state: Mutex<State>
    private let condition = SteadyCondition()
    /// What became of the commits, and of whatever else is done with the database.
    let outcomes: StoreOutcomes

    init(
        database: any DatabaseWriter, commitIntervalMilliseconds: Int, longestQueue: Int, plan: DeliveryPlan,
        room: StoreRoom,
        ring: @escaping @Sendable () -> Void
    ) {
        self.database = database
        interval = .milliseconds(commitIntervalMilliseconds)
        self.longestQueue = longestQueue
        self.plan = plan
        self.room = room
        self.ring = ring
        outcomes = StoreOutcomes()
        state = Mutex(State(statistics: StoreStatistics(outcomes: outcomes)))
        let thread = Thread { [self] in work() }
        thread.name = "store-writer"
        thread.start()
    }

    var statistics: StoreStatistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.queuedChanges = state.queue.count
            statistics.isOverloaded = state.queue.count >= longestQueue
            return statistics
        }
    }

    /// Whether the queue is half full.
    var isCrowded: Bool { state.withLock { $0.queue.count >= longestQueue / 2 } }

    /// For how long changes have waited without an attempt to write that came to an end; zero when none waits.
    var stuck: Duration { state.withLock { state in state.pendingSince.map { ContinuousClock.now - $0 } ?? .zero } }

    func enqueue(
        _ changes: [StoreChange], isPatient: Bool, freesRoom: Bool = false, _ completion: Completion?
    ) {
        guard !changes.isEmpty else {
            completion?(.success(()))
            return
        }
        let refusal = state.withLock { state -> StoreError? in
            if state.isClosing { return StoreError(.closed, reason: "the store is shutting down") }
            if state.queue.count >= longestQueue {
                state.statistics.refusedChanges += 1
                return StoreError(.overloaded, reason: "\(longestQueue) changes wait: the disk is too slow or stalled")
            }
            state.queue.append(
                Job(changes: changes, isPatient: isPatient, freesRoom: freesRoom, completion: completion))
            state.pendingSince = state.pendingSince ?? .now
            return nil
        }
        if let refusal {
            completion?(.failure(refusal))
            return
        }
        condition.lock()
        condition.signal()
        condition.unlock()
    }

    /// Remembers that reading failed.
    func noted(_ error: StoreError) -> StoreError {
        outcomes.failed(at: .query, error)
        return error
    }

    /// Writes what is queued, then ends the thread.
    func close() {
        condition.lock()
        state.withLock { $0.isClosing = true }
        condition.broadcast()
        while !state.withLock({ $0.isClosed }) { condition.wait() }
        condition.unlock()
    }

    // MARK: - The thread

    private func work() {
        while let group = nextGroup() {
            let waiting = commit(group)
            if !waiting.isEmpty { putBack(waiting) }
        }
        condition.lock()
        state.withLock { $0.isClosed = true }
        condition.broadcast()
        condition.unlock()
    }

    private func nextGroup() -> [Job]? {
        condition.lock()
        defer { condition.unlock() }
        while true {
            let (count, isClosing, lastCommit) = state.withLock { ($0.queue.count, $0.isClosing, $0.lastCommit) }
            if count == 0 {
                if isClosing { return nil }
                condition.wait()
                continue
            }
            // Shortly after a commit, gather for the rest of the interval; after a rest, write at once.
            if !isClosing, count < Self.largestGroup, let lastCommit {
                let rest = interval - (ContinuousClock.now - lastCommit)
                if rest > .zero {
                    condition.wait(atMost: rest)
                    continue
                }
            }
            return state.withLock { state in
                // Without room, what frees some goes before everything that waits for it.
                if !room.mayGrow() {
                    let freeing = state.queue.indices.filter { state.queue[$0].freesRoom }.prefix(Self.largestGroup)
                    if !freeing.isEmpty {
                        let group = freeing.map { state.queue[$0] }
                        for index in freeing.reversed() { state.queue.remove(at: index) }
                        return group
                    }
                }
                let group = Array(state.queue.prefix(Self.largestGroup))
                state.queue.removeFirst(group.count)
                return group
            }
        }
    }

    /// Puts changes that found no room back to the front, and waits a little. At the end they are given up.
    private func putBack(_ jobs: [Job]) {
        let isClosing = state.withLock { state in
            if !state.isClosing { state.queue.insert(contentsOf: jobs, at: 0) }
            return state.isClosing
        }
        if isClosing {
            for job in jobs {
                job.completion?(.failure(StoreError(.diskFull, reason: "the store ended before there was room")))
            }
            return
        }
        condition.lock()
        condition.wait(atMost: Self.patience)
        condition.unlock()
    }

    /// Returns the jobs that found no room and are to be tried again.
    private func commit(_ group: [Job]) -> [Job] {
        let started = ContinuousClock.now
        var attempt: Attempt
        if group.allSatisfy(\.freesRoom) || room.mayGrow() {
            attempt = self.attempt(group)
            // A disk that is full to the last byte: what was set aside for this is freed bit by bit.
            while attempt.isDiskFull, room.free() { attempt = self.attempt(group) }
        } else {
            attempt = Attempt(refusing: group)
        }
        let elapsed = ContinuousClock.now - started
        note(attempt, of: group, seconds: elapsed)
        if plan != .nothing, group.contains(where: { $0.changes.contains(where: \.mayMakeDeliveries) }) { ring() }
        var waiting: [Job] = []
        for (job, result) in zip(group, attempt.results) {
            if case .failure(let error) = result, error.code == .diskFull, job.isPatient {
                waiting.append(job)
            } else {
                job.completion?(result)
            }
        }
        return waiting
    }

    private func attempt(_ group: [Job]) -> Attempt { commitTogether(group) ?? commitOneByOne(group) }

    /// What became of a group.
    private struct Attempt {
        var results: [Result<Void, StoreError>] = []
        /// The change that failed, for each job that failed alone; nil where the whole transaction did.
        var failedChanges: [String?] = []

        init() {}

        init(results: [Result<Void, StoreError>], failedChanges: [String?]) {
            self.results = results
            self.failedChanges = failedChanges
        }

        /// For changes that would take room which must be left.
        init(refusing group: [Job]) {
            let error = StoreError(
                .diskFull, reason: "the disk is nearly full: only what frees room is written (min_free_disk_bytes)")
            self.init(results: group.map { _ in .failure(error) }, failedChanges: group.map { _ in nil })
        }

        var isDiskFull: Bool {
            results.contains { if case .failure(let error) = $0 { error.code == .diskFull } else { false } }
        }
    }

    private func note(_ attempt: Attempt, of group: [Job], seconds: Duration) {
        var done: [Job] = []
        for ((job, result), change) in zip(zip(group, attempt.results), attempt.failedChanges) {
            switch result {
            case .success: done.append(job)
            case .failure(let error): outcomes.failed(at: change.map { .change($0) } ?? .transaction, error)
            }
        }
        if !done.isEmpty { outcomes.committed { done.flatMap { $0.changes.map(\.name) } } }
        let changes = done.reduce(0) { $0 + $1.changes.count }
        state.withLock { state in
            state.lastCommit = .now
            state.pendingSince = state.queue.isEmpty ? nil : .now
            state.statistics.note(seconds: seconds, changes: changes, isDone: !done.isEmpty)
        }
    }

    /// Nil when some change was refused: then nothing of the group is on the disk.
    private func commitTogether(_ group: [Job]) -> Attempt? {
        do {
            try database.writeWithoutTransaction { database in
                try database.inTransaction(.immediate) {
                    for job in group {
                        for change in job.changes { try change.apply(database, plan: plan) }
                    }
                    return .commit
                }
            }
            return Attempt(
                results: group.map { _ in .success(()) }, failedChanges: group.map { _ in nil })
        } catch {
            return nil
        }
    }

    private func commitOneByOne(_ group: [Job]) -> Attempt {
        var attempt = Attempt()
        do {
            try database.writeWithoutTransaction { database in
                try database.inTransaction(.immediate) {
                    for job in group {
                        var failed: String?
                        attempt.results.append(try run(job, database, &failed))
                        attempt.failedChanges.append(failed)
                    }
                    return .commit
                }
            }
            return attempt
        } catch {
            // Nothing of the group is on the disk.
            let failure = StoreError(error)
            return Attempt(
                results: group.map { _ in .failure(failure) }, failedChanges: group.map { _ in nil })
        }
    }

    /// A failure of one caller's changes; one that ended the whole transaction (a full disk does) is thrown.
    ///
    /// - Parameter failed: is set to the name of the change that failed.
    private func run(_ job: Job, _ database: Database, _ failed: inout String?) throws -> Result<Void, StoreError> {
        var cause: (any Error)?
        var current: StoreChange?
        do {
            try database.inSavepoint {
                do {
                    for change in job.changes {
                        current = change
                        try change.apply(database, plan: plan)
                    }
                } catch {
                    cause = error
                    throw error
                }
                return .commit
            }
            return .success(())
        } catch {
            let failure = StoreError(cause ?? error)
            guard database.isInsideTransaction, failure.code != .diskFull else { throw failure }
            failed = current?.name
            return .failure(failure)
        }
    }
}

/// What the store has done.
public struct StoreStatistics: Sendable {
    /// What became of the work, and what fails now.
    public let outcomes: StoreOutcomes
    public var queuedChanges = 0
    /// Transactions that are on the disk.
    public var commits = 0
    public var changes = 0
    public var refusedChanges = 0
    /// Whether so many changes wait that no more are taken.
    public var isOverloaded = false
    public var lastCommitSeconds = 0.0
    public var longestCommitSeconds = 0.0
    public var databaseBytes: Int64 = 0
    public var journalBytes: Int64 = 0

    init(outcomes: StoreOutcomes) { self.outcomes = outcomes }

    mutating func note(seconds duration: Duration, changes: Int, isDone: Bool) {
        let (whole, attoseconds) = duration.components
        lastCommitSeconds = Double(whole) + Double(attoseconds) / 1e18
        longestCommitSeconds = max(longestCommitSeconds, lastCommitSeconds)
        if isDone { commits += 1 }
        self.changes += changes
    }
}
