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

    struct State: ~Copyable {
        var scheduler: AnalysisScheduler<LiveWindow, BacklogReader>
        var isStopping = false
        var readyWorkers = 0
        /// Of each listener's last live window.
        var lagSeconds: [String: Double] = [:]
    }

    let configuration: Configuration
    /// Of live windows.
    let pool: WindowBufferPool
    let backlog: Backlog
    let engine: DetectionEngine
    let metrics: AnalysisMetrics
    let pace: AnalysisPace
    let store: Store
    let redactor: Redactor
    let events: EventHub
    let time: any TimeSource
    let logger: Logger
    let state: Mutex<State>
    private let condition = SteadyCondition()

    init(
        configuration: Configuration, engine: DetectionEngine, budget: WindowBudget, store: Store,
        redactor: Redactor, events: EventHub, time: any TimeSource, metrics: AnalysisMetrics,
        pace: AnalysisPace = AnalysisPace(),
        logger: Logger
    ) {
        self.configuration = configuration
        self.engine = engine
        pool = WindowBufferPool(limit: budget.live)
        backlog = Backlog(
            configuration: configuration, budget: budget, store: store, redactor: redactor, logger: logger)
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
        let (live, open) = state.withLock { ($0.scheduler.liveCount, $0.scheduler.backlogCount) }
        return (live, open + backlog.count)
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
        backlog.track(progress.recording.name)
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
        // At the end of the daemon the store closes before the last worker has seen it. What it was at is done at the next start.
        if (error as? StoreError)?.code == .closed {
            logger.debug("Analysis ended with the store", metadata: ["error": "\(error)"])
            return
        }
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

    func wakeOne() {
        condition.lock()
        condition.signal()
        condition.unlock()
    }

    private func nextWork() -> AnalysisScheduler<LiveWindow, BacklogReader>.Work? {
        while true {
            if state.withLock({ $0.isStopping }) { return nil }
            backlog.listIfDue()
            add(backlog.open())
            if let work = state.withLock({ $0.scheduler.next() }) { return work }
            condition.lock()
            if state.withLock({ $0.scheduler.liveCount == 0 && $0.scheduler.backlogCount == 0 && !$0.isStopping }) {
                condition.wait(atMost: .milliseconds(200))
            }
            condition.unlock()
        }
    }

    private func add(_ readers: [BacklogReader]) {
        guard !readers.isEmpty else { return }
        state.withLock { state in
            for reader in readers { state.scheduler.add(backlog: reader, listener: reader.row.listenerID) }
        }
        condition.lock()
        condition.broadcast()
        condition.unlock()
    }
}
