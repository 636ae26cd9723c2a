import AudioDSP
import Logging
import Store
import Synchronization

/// Recordings on disk that are to be analysed: those whose windows found no room, uploads, and what a former run of the daemon
/// left undone.
///
/// The store is asked for some that wait only when none of another listener is known.
final class Backlog: Sendable {
    private struct State: ~Copyable {
        var schedule: BacklogSchedule<BacklogReader>
        /// Recordings that a live feed or the backlog is at work on, so that the store's list does not start them again.
        var tracked: Set<String> = []
        /// Windows that were left to the file, by recording; a recording that is not here is analysed whole.
        var spilled: [String: SpilledWindows] = [:]
        /// Recordings that the system did not let be read, or silenced: they are tried again later.
        var postponed = Postponements()
        var nextCheck: ContinuousClock.Instant = .now
        /// Where the last list ended.
        var continuation = ""
        /// Whether more may wait than were listed.
        var isMoreWaiting = false
        /// How many were listed since the first listener was asked.
        var listedInRound = 0
        var isListing = false
    }

    private let configuration: AnalysisService.Configuration
    private let store: Store
    private let redactor: Redactor
    private let pool: WindowBufferPool
    private let logger: Logger
    private let state: Mutex<State>

    /// How often the store is asked for recordings that wait.
    private static let checkInterval = Duration.seconds(2)
    private static let eagerCheckInterval = Duration.milliseconds(200)
    private static let maximumSpilled = 10_000
    private static let listenersPerList = 256
    private static let recordingsPerList = 32

    init(
        configuration: AnalysisService.Configuration, budget: WindowBudget, store: Store, redactor: Redactor,
        logger: Logger
    ) {
        self.configuration = configuration
        self.store = store
        self.redactor = redactor
        self.logger = logger
        pool = WindowBufferPool(limit: budget.backlog)
        state = Mutex(State(schedule: BacklogSchedule(maximumOpen: budget.readers)))
    }

    /// Recordings that wait and are known here.
    var count: Int { state.withLock { $0.schedule.waitingCount + $0.spilled.count } }

    // MARK: - Recordings at work

    func track(_ name: String) { state.withLock { _ = $0.tracked.insert(name) } }

    func untrack(_ name: String) { state.withLock { _ = $0.tracked.remove(name) } }

    /// Leaves windows of a recording to its file.
    func leave(_ windows: SpilledWindows, of name: String) {
        state.withLock { state in
            if state.spilled.count < Self.maximumSpilled { state.spilled[name] = windows }
            state.tracked.remove(name)
        }
    }

    /// Leaves a recording for a while; false when it has been tried often enough.
    func postpone(_ name: String, spilled: SpilledWindows? = nil) -> Bool {
        state.withLock { state in
            guard state.postponed.postpone(name, now: .now) else { return false }
            if let spilled { state.spilled[name] = spilled }
            state.tracked.remove(name)
            return true
        }
    }

    func forgetPostponement(of name: String) { state.withLock { $0.postponed.forget(name) } }

    // MARK: - Lists

    /// Asks the store for recordings that wait, when that is due.
    func listIfDue() {
        let order = state.withLock { state -> (busy: Set<String>, continuation: String)? in
            let now = ContinuousClock.now
            let isShort = state.isMoreWaiting && state.schedule.hasRoom && state.schedule.waitingCount == 0
            guard !state.isListing, !state.schedule.isOtherWaiting, isShort || state.nextCheck <= now else {
                return nil
            }
            // Windows that were left to the disk are waited for eagerly: their recordings close any moment.
            let isEager = !state.spilled.isEmpty && state.schedule.openCount == 0
            state.nextCheck = now + (isEager ? Self.eagerCheckInterval : Self.checkInterval)
            state.isListing = true
            // What is being worked on now may be finished before the list is read, and be in it nevertheless: it is left to the
            // next list.
            return (state.tracked.union(state.postponed.waiting(at: now)), state.continuation)
        }
        guard let order else { return }
        do {
            let found = try store.pendingAnalysisBlocking(
                listeners: Self.listenersPerList, limit: Self.recordingsPerList, after: order.continuation,
                except: order.busy)
            let isNothingLeft = state.withLock { state in
                state.isListing = false
                state.continuation = found.continuation
                state.isMoreWaiting = found.isPart && !found.recordings.isEmpty
                state.schedule.add(found.recordings.filter { !state.tracked.contains($0.name) })
                state.listedInRound += found.recordings.count
                guard found.continuation.isEmpty else { return false }
                defer { state.listedInRound = 0 }
                return state.listedInRound == 0
            }
            if isNothingLeft { try forgetWhatIsGone() }
        } catch {
            state.withLock { state in
                state.isListing = false
                state.isMoreWaiting = false
            }
            logger.error("The recordings that wait could not be listed", metadata: ["error": "\(error)"])
        }
    }

    /// Recordings that are deleted are never analysed, and nothing is kept for them. Called while few wait.
    private func forgetWhatIsGone() throws(StoreError) {
        let known = redactor.heldRecordings.union(state.withLock { Array($0.spilled.keys) })
        guard !known.isEmpty else { return }
        let unanalysed = try store.unanalysedNamesBlocking()
        let gone = state.withLock { state in
            let gone = known.subtracting(unanalysed).subtracting(state.tracked)
            for name in gone { state.spilled[name] = nil }
            return gone
        }
        for name in gone { redactor.forget(name) }
    }

    // MARK: - Readers

    /// Opens the recordings whose turn it is.
    func open() -> [BacklogReader] {
        var opened: [BacklogReader] = []
        while let entry = state.withLock({ state in
            let entry = state.schedule.next()
            if let entry { state.tracked.insert(entry.recording.name) }
            return entry
        }) {
            if let reader = reader(of: entry) {
                opened.append(reader)
            } else {
                state.withLock { state in
                    state.schedule.close(entry.recording)
                    state.tracked.remove(entry.recording.name)
                }
            }
        }
        return opened
    }

    /// Nil for a recording that is not to be analysed any more, or cannot be now.
    private func reader(of entry: BacklogSchedule<BacklogReader>.Entry) -> BacklogReader? {
        let name = entry.recording.name
        do {
            guard let row = try store.recordingBlocking(name: name), row.state == "closed", row.analysis == "pending"
            else {
                redactor.forget(name)
                return nil
            }
            if let reader = entry.reader { return reader }
            return state.withLock { state in
                BacklogReader(
                    row: row, spilled: state.spilled.removeValue(forKey: name), configuration: configuration,
                    store: store, pool: pool, isLastAttempt: state.postponed.isLastAttempt(name))
            }
        } catch {
            logger.error(
                "A recording that waits could not be looked up",
                metadata: ["recording": "\(name)", "error": "\(error)"])
            state.withLock { $0.isMoreWaiting = false }
            return nil
        }
    }

    /// Closes a recording that is read to its end, or cannot be; it stays tracked.
    func close(_ reader: BacklogReader) {
        reader.close()
        state.withLock { $0.schedule.close(reader.pending) }
    }

    /// Closes a recording for a while if others wait for its place.
    ///
    /// - Parameter hadVoice: whether a voice was in its last window. That is silent in the file by now, so an overlapping window
    ///   that is read from there would miss it: the turn is longer.
    func pauseIfTurnIsOver(_ reader: BacklogReader, hadVoice: Bool) -> Bool {
        let windows = hadVoice ? reader.windowsOfTurn / 4 : reader.windowsOfTurn
        guard reader.mayPause, state.withLock({ $0.schedule.isTurnOver(windows: windows) }) else { return false }
        reader.pause()
        state.withLock { $0.schedule.pause(reader.pending, reader) }
        return true
    }
}
