import AudioDSP
import CEdgeSystem
import Foundation
import Logging
import Sensors
import Store
import Synchronization

/// Runs BirdNET over the windows of all listeners, on one thread an interpreter.
///
/// Windows come from the feeds of live sessions, or from recordings on disk: those whose windows found no room,
/// uploads, and what a former run of the daemon left undone.
final class AnalysisService: Sendable {
    struct Configuration: Sendable {
        var workers: Int
        var windowsPerListener: Int
        var channel: MonoConverter.Channel
        var overlapSeconds: Double
        /// 1 and above: the privacy rule is off.
        var privacyThreshold: Float
        var recordingsFolder: String
        /// The processors that the workers may use; nil for all.
        var processors: ProcessorSet?
        /// How nice they are to everything else, 0...19.
        var niceness = 0
    }

    /// A window of live sound that waits for a worker.
    struct LiveWindow: Sendable {
        let window: AnalysisWindow
        let progress: RecordingProgress
        /// Steady clock.
        let completeNanoseconds: Int64
    }

    private struct State: ~Copyable {
        var scheduler: AnalysisScheduler<LiveWindow, BacklogReader>
        /// Recordings that a live feed or the backlog is at work on, so that the store's list does not start them again.
        var tracked: Set<String> = []
        /// Listeners of the recordings that are open for reading, one for each.
        var readers: [String: String] = [:]
        /// Whether the last list of recordings that wait had more than may be open.
        var isMoreWaiting = false
        /// Windows that were left to the file, by recording; a recording that is not here is analysed whole.
        var spilled: [String: SpilledWindows] = [:]
        /// Recordings that the system did not let be read, or silenced: they are tried again later.
        var postponed = Postponements()
        var isStopping = false
        var readyWorkers = 0
        var nextBacklogCheck: ContinuousClock.Instant = .now
        /// Of each listener's last live window.
        var lagSeconds: [String: Double] = [:]
    }

    let configuration: Configuration
    /// Of live windows.
    let pool: WindowBufferPool
    private let backlogPool: WindowBufferPool
    private let maximumReaders: Int
    let engine: DetectionEngine
    let metrics: AnalysisMetrics
    let pace: AnalysisPace
    private let store: Store
    private let redactor: Redactor
    private let events: EventHub
    private let time: any TimeSource
    private let logger: Logger
    private let state: Mutex<State>
    private let condition = SteadyCondition()

    /// How often the store is asked for recordings that wait.
    private static let backlogCheckInterval = Duration.seconds(2)
    private static let eagerBacklogCheckInterval = Duration.milliseconds(200)
    private static let mostSpilledRecordings = 10_000
    private static let mostListeners = 2000
    private static let rowsPerCheck = 64

    init(
        configuration: Configuration, engine: DetectionEngine, budget: WindowBudget, store: Store,
        redactor: Redactor, events: EventHub, time: any TimeSource, metrics: AnalysisMetrics,
        pace: AnalysisPace = AnalysisPace(),
        logger: Logger
    ) {
        self.configuration = configuration
        self.engine = engine
        pool = WindowBufferPool(limit: budget.live)
        backlogPool = WindowBufferPool(limit: budget.backlog)
        maximumReaders = budget.readers
        self.store = store
        self.redactor = redactor
        self.events = events
        self.time = time
        self.metrics = metrics
        self.pace = pace
        self.logger = logger
        state = Mutex(State(scheduler: AnalysisScheduler(windowsPerListener: configuration.windowsPerListener)))
    }

    /// Starts the workers; each makes its own interpreter.
    func start() {
        for number in 0..<configuration.workers {
            let thread = Thread { [self] in work(number) }
            thread.name = "analyzer-\(number)"
            thread.stackSize = 4 << 20
            thread.start()
        }
    }

    /// Ends the workers after the window that each is at. What waits is analysed after the next start.
    func stop() {
        condition.lock()
        state.withLock { $0.isStopping = true }
        redactor.stop()
        condition.broadcast()
        condition.unlock()
    }

    var isReady: Bool { state.withLock { $0.readyWorkers > 0 } }
    var queueLengths: (live: Int, backlog: Int) {
        state.withLock { ($0.scheduler.liveCount, $0.scheduler.backlogCount + $0.spilled.count) }
    }

    // MARK: - From the feeds

    /// Nil when audio of this rate cannot be resampled; its recordings are then left to the backlog, which says why.
    func makeFeed(run: Int, format: PCMFormat) -> AnalysisFeed? {
        do {
            return try AnalysisFeed(service: self, run: run, format: format)
        } catch {
            note(error)
            return nil
        }
    }

    func track(_ progress: RecordingProgress) {
        state.withLock { _ = $0.tracked.insert(progress.recording.name) }
    }

    func offer(_ window: AnalysisWindow, _ progress: RecordingProgress) {
        guard !progress.isDropped else {
            pool.give(window.buffer)
            return
        }
        progress.windowQueued()
        let live = LiveWindow(
            window: window, progress: progress, completeNanoseconds: time.now().monotonicNanoseconds)
        let isTaken = state.withLock { $0.scheduler.offer(live: live, listener: progress.recording.listener) }
        if isTaken {
            wakeOne()
        } else {
            pool.give(window.buffer)
            spill(window.startFrame48k, progress)
            progress.windowWithdrawn()
        }
    }

    func spill(_ startFrame48k: Int64, _ progress: RecordingProgress) {
        metrics.windowsSpilled.add(1)
        progress.windowSpilled(startFrame48k)
    }

    func completed(_ progress: RecordingProgress) {
        take(progress.complete(), progress)
    }

    func note(_ error: any Error) {
        metrics.failures.add(1)
        logger.error("Analysis failed", metadata: ["error": "\(error)"])
    }

    // MARK: - Workers

    /// Memory: the thread's name is borrowed for the call; the kernel keeps a copy.
    private func work(_ number: Int) {
        unsafe edge_name_thread("analyzer-\(number)")
        if let processors = configuration.processors, !processors.bind() {
            logger.error("The machine has none of the processors of analyzer_cpu_affinity; all are used")
        }
        if configuration.niceness > 0 { edge_be_nice(Int32(configuration.niceness)) }
        let worker: DetectionWorker
        do {
            worker = try engine.makeWorker()
        } catch {
            logger.critical("An analysis worker could not start", metadata: ["error": "\(error)"])
            metrics.failures.add(1)
            return
        }
        state.withLock { $0.readyWorkers += 1 }
        while let work = nextWork() {
            let started = ContinuousClock.now
            switch work {
            case .live(let live):
                analyse(live.window, of: live.progress, completeNanoseconds: live.completeNanoseconds, by: worker)
                pool.give(live.window.buffer)
            case .backlog(let reader):
                analyseNext(of: reader, by: worker)
            }
            rest(pace.rest(after: .now - started))
        }
    }

    /// Does nothing for a while, or until the end.
    private func rest(_ duration: Duration) {
        guard duration > .zero else { return }
        let end = ContinuousClock.now + duration
        condition.lock()
        while !state.withLock({ $0.isStopping }), end > .now { condition.wait(atMost: end - .now) }
        condition.unlock()
    }

    private func wakeOne() {
        condition.lock()
        condition.signal()
        condition.unlock()
    }

    private func nextWork() -> AnalysisScheduler<LiveWindow, BacklogReader>.Work? {
        while true {
            let (work, isStopping, isCheckDue) = state.withLock {
                state -> (AnalysisScheduler<LiveWindow, BacklogReader>.Work?, Bool, Bool) in
                if state.isStopping { return (nil, true, false) }
                let isCheckDue = state.readers.count < maximumReaders && state.nextBacklogCheck <= .now
                if isCheckDue {
                    // Windows that were left to the disk are waited for eagerly: their recordings close any moment.
                    let isEager = !state.spilled.isEmpty && state.readers.isEmpty
                    state.nextBacklogCheck =
                        .now + (isEager ? Self.eagerBacklogCheckInterval : Self.backlogCheckInterval)
                }
                return (state.scheduler.next(), false, isCheckDue)
            }
            if isStopping { return nil }
            if isCheckDue { loadBacklog() }
            if let work { return work }
            if isCheckDue { continue }
            condition.lock()
            if state.withLock({ $0.scheduler.liveCount == 0 && $0.scheduler.backlogCount == 0 && !$0.isStopping }) {
                condition.wait(atMost: .milliseconds(200))
            }
            condition.unlock()
        }
    }

    private func loadBacklog() {
        do {
            // What is being worked on now may be finished before the list is read, and be in it nevertheless: it is left to the
            // next list.
            let now = ContinuousClock.now
            let busy = state.withLock { state in
                state.tracked.union(state.postponed.waiting(at: now))
            }
            let rows = try store.pendingAnalysisBlocking(limit: busy.count + Self.rowsPerCheck)
                .filter { !busy.contains($0.name) }
            // Listeners of which no recording is open come first, so that long recordings of one do not hold up others.
            let open = state.withLock { Set($0.readers.values) }
            for row in rows.filter({ !open.contains($0.listenerID) }) + rows.filter({ open.contains($0.listenerID) }) {
                begin(row)
            }
            if !rows.isEmpty {
                condition.lock()
                condition.broadcast()
                condition.unlock()
            }
        } catch {
            logger.error("The recordings that wait could not be listed", metadata: ["error": "\(error)"])
        }
    }

    /// Opens a recording for reading, if one more may be open.
    private func begin(_ row: RecordingRecord) {
        state.withLock { state in
            guard state.readers.count < maximumReaders else {
                state.nextBacklogCheck = .now + Self.backlogCheckInterval
                state.isMoreWaiting = true
                return
            }
            guard state.tracked.insert(row.name).inserted else { return }
            state.readers[row.name] = row.listenerID
            let reader = BacklogReader(
                row: row, spilled: state.spilled.removeValue(forKey: row.name), configuration: configuration,
                store: store, pool: backlogPool, isLastAttempt: state.postponed.isLastAttempt(row.name))
            state.scheduler.add(backlog: reader, listener: row.listenerID)
        }
    }

    /// Closes a recording; another one that waits takes its place at once.
    private func close(_ reader: BacklogReader) {
        reader.close()
        state.withLock { state in
            state.readers[reader.row.name] = nil
            if state.isMoreWaiting { state.nextBacklogCheck = .now }
            state.isMoreWaiting = false
        }
    }

    private func analyseNext(of reader: BacklogReader, by worker: DetectionWorker) {
        do {
            if let window = try reader.nextWindow() {
                reader.progress.windowQueued()
                analyse(window, of: reader.progress, completeNanoseconds: nil, by: worker)
                reader.give(window)
                state.withLock { $0.scheduler.add(backlog: reader, listener: reader.row.listenerID) }
                wakeOne()
            } else {
                close(reader)
                take(reader.progress.complete(), reader.progress)
            }
        } catch {
            close(reader)
            metrics.failures.add(1)
            if error.isOfTheMoment, postpone(reader.progress, spilled: reader.spilled) {
                logger.error(
                    "A recording cannot be read now; its analysis is tried again later",
                    metadata: ["recording": "\(reader.row.name)", "error": "\(error)"])
                return
            }
            logger.error(
                "A recording could not be analysed", metadata: ["recording": "\(reader.row.name)", "error": "\(error)"])
            // What was analysed before stays counted, as its detections stay.
            finish(reader.progress, state: "failed", windows: reader.progress.analysed, error: "\(error)")
        }
    }

    /// Analyses one window; its recording counts it as analysed only once the detections are in the store.
    private func analyse(
        _ window: AnalysisWindow, of progress: RecordingProgress, completeNanoseconds: Int64?,
        by worker: DetectionWorker
    ) {
        let outcome: DetectionWorker.Outcome
        do {
            outcome = try worker.analyse(window, metrics: metrics)
        } catch {
            note(error)
            // The recording stays pending, and is tried again from its file after the next start.
            untrack(progress)
            return
        }
        metrics.windows.add(1)
        if outcome.humanScore >= configuration.privacyThreshold, configuration.privacyThreshold < 1 {
            metrics.privacyWindows.add(1)
            redactor.redact(window, of: progress, isLive: completeNanoseconds != nil)
        }
        guard !outcome.found.isEmpty else {
            noteLag(completeNanoseconds, progress)
            take(progress.windowAnalysed(), progress)
            return
        }
        let records = engine.records(of: outcome.found, window: window, progress: progress)
        store.enqueue([.detections(records)]) { [self] result in
            switch result {
            case .success:
                metrics.detections.add(Int64(records.count))
                noteLag(completeNanoseconds, progress)
                events.detections(records)
                take(progress.windowAnalysed(), progress)
            case .failure(let error):
                note(error)
                untrack(progress)
            }
        }
    }

    private func noteLag(_ completeNanoseconds: Int64?, _ progress: RecordingProgress) {
        guard let completeNanoseconds else { return }
        let lag = Double(time.now().monotonicNanoseconds - completeNanoseconds) / 1e9
        metrics.lagSeconds.observe(lag)
        state.withLock { state in
            if state.lagSeconds.count > Self.mostListeners { state.lagSeconds.removeAll() }
            state.lagSeconds[progress.recording.listener] = lag
        }
    }

    /// From the last sample of a listener's last live window to its detections in the store.
    var lagSeconds: [String: Double] { state.withLock { $0.lagSeconds } }

    // MARK: - Recordings

    private func take(_ step: RecordingProgress.Step, _ progress: RecordingProgress) {
        switch step {
        case .waiting: return
        case .dropped:
            redactor.forget(progress.recording.name)
            untrack(progress)
        case .done(let windows): finish(progress, state: "done", windows: windows, error: nil)
        case .spilled(let windows):
            if progress.recording.isOnDisk {
                state.withLock { state in
                    if state.spilled.count < Self.mostSpilledRecordings {
                        state.spilled[progress.recording.name] = windows
                    }
                    state.tracked.remove(progress.recording.name)
                }
            } else {
                loseWindows(windows.startFrames48k, of: progress)
                finish(
                    progress, state: "done", windows: windows.analysed,
                    error: "analysis lagged and the sound was not on disk")
            }
        }
    }

    /// Leaves a recording for a while; false when it has been tried often enough.
    private func postpone(_ progress: RecordingProgress, spilled: SpilledWindows? = nil) -> Bool {
        state.withLock { state in
            let name = progress.recording.name
            guard state.postponed.postpone(name, now: .now) else { return false }
            if let spilled { state.spilled[name] = spilled }
            state.tracked.remove(name)
            return true
        }
    }

    private func forgetPostponement(of name: String) {
        state.withLock { $0.postponed.forget(name) }
    }

    private func finish(_ progress: RecordingProgress, state: String, windows: Int, error: String?) {
        redactor.settle(progress) { [self] settlement in
            conclude(progress, settlement, state: state, windows: windows, error: error)
        }
    }

    private func conclude(
        _ progress: RecordingProgress, _ settlement: Redactor.Settlement, state: String, windows: Int, error: String?
    ) {
        switch settlement {
        case .settled: break
        case .waiting:
            // The file cannot be changed while it is being encoded: it is analysed, and silenced, once it is closed.
            return untrack(progress)
        case .refused(let culprit):
            if postpone(progress) { return }
            // Whatever is left of it is analysed once more.
            if redactor.remove(culprit) { forgetPostponement(of: progress.recording.name) }
            return untrack(progress)
        }
        forgetPostponement(of: progress.recording.name)
        store.enqueue([
            .analysed(
                recording: progress.recording.name, state: state, windows: windows, error: error,
                atNanoseconds: time.now().utcNanoseconds)
        ]) { [self] result in
            // What failed, or could not be written down, is no recording processed.
            if case .success = result, state == "done" { metrics.recordingsAnalysed.add(1) }
            untrack(progress)
        }
    }

    private func loseWindows(_ windows: [Int64], of progress: RecordingProgress) {
        let now = time.now()
        let recording = progress.recording
        let first = windows.first ?? progress.startFrame48k
        store.enqueue([
            .ledger(
                LedgerEntry(
                    recording: recording.name, startNanoseconds: recording.startNanoseconds,
                    placeNanoseconds: PCMFormat.nanoseconds(
                        frames: first - progress.startFrame48k, sampleRate: BirdNET.sampleRate),
                    durationNanoseconds: 0, listenerID: recording.listener, sessionID: recording.sessionID,
                    run: recording.run, kind: "loss", reason: "not analysed", frames: Int64(windows.count), bytes: 0,
                    notedNanoseconds: now.utcNanoseconds))
        ])
    }

    private func untrack(_ progress: RecordingProgress) {
        state.withLock { _ = $0.tracked.remove(progress.recording.name) }
    }
}
