import AudioDSP
import CEdgeSystem
import Foundation
import Sensors
import Store
import Synchronization

/// How many windows a second BirdNET scores, by the number of workers that the daemon's analysis would have.
///
/// The workers are the daemon's own (``DetectionWorker``): spectral gate, model and rules. Each has its own windows of made-up sound;
/// the model takes as long for any other.
struct AnalysisBenchmark: Sendable {
    struct Report: Encodable, Sendable {
        struct Entry: Encodable, Sendable {
            let workers: Int
            let windows: Int
            let windowsPerSecond: Double
            /// By ``ListenerLoad/formula``.
            let listeners: Int
            /// Right after it.
            let board: BoardState
        }

        let model: String
        let libraryVersion: String
        let overlapSeconds: Double
        let stepSeconds: Double
        let windowsPerSecondPerListener: Double
        let formula: String
        /// As the daemon would have them.
        let configuredWorkers: Int
        let byWorkers: [Entry]
    }

    private struct Work: Sendable {
        let windows: Int
        let seconds: Double
    }

    let seconds: Double
    private let engine: DetectionEngine
    private let settings: AnalysisSettings
    private let libraryVersion: String
    private let load: ListenerLoad

    /// - Throws: ``ClassifierError`` when library, model or labels are missing or do not fit.
    init(settings: AnalysisSettings, seconds: Double) throws {
        self.settings = settings
        self.seconds = seconds
        let library = try TensorFlowLiteLibrary(path: settings.libraryPath)
        libraryVersion = library.version
        let labels = try LabelSet(path: settings.labelsPath, translation: settings.translationPath)
        let model = try BirdNETModel(library: library, path: settings.modelPath)
        guard model.outputs == labels.entries.count else {
            throw ClassifierError(
                .labelsUnfit, path: settings.labelsPath,
                reason: "\(labels.entries.count) labels, the model scores \(model.outputs) classes")
        }
        let policies = PolicyMaker(settings: settings, labels: labels, library: library)
        // A window below the level is not run at all, which would be a figure of the gate.
        var gate = settings.gate
        gate.leastLevelDBFS = -.infinity
        engine = DetectionEngine(
            model: model, labels: labels, gate: gate,
            policy: try policies.make(week: policies.week(at: TimeService().now())), modelID: 0)
        let assembler = WindowAssembler(
            overlapSeconds: settings.overlapSeconds, pool: WindowBufferPool(limit: 1))
        load = ListenerLoad(stepSamples: assembler.stepSamples)
    }

    /// The numbers of workers that are measured: each up to eight, then doubled.
    static func counts(cores: Int) -> [Int] {
        var counts = Array(1...max(1, min(cores, 8)))
        while let last = counts.last, last < cores { counts.append(min(last * 2, cores)) }
        return counts
    }

    func measure(counts: [Int], stop: BenchmarkStop) async throws -> Report {
        var entries: [Report.Entry] = []
        for count in counts {
            printError("Analysis, workers: \(count)")
            let works = try await measure(workers: count, stop: stop)
            // Each by its own end: the others are at a window still.
            let rate = works.reduce(0) { $0 + Double($1.windows) / $1.seconds }
            entries.append(
                Report.Entry(
                    workers: count, windows: works.reduce(0) { $0 + $1.windows }, windowsPerSecond: rate,
                    listeners: load.listeners(windowsPerSecond: rate), board: BoardState.now()))
        }
        return Report(
            model: (settings.modelPath as NSString).lastPathComponent, libraryVersion: libraryVersion,
            overlapSeconds: settings.overlapSeconds, stepSeconds: load.stepSeconds,
            windowsPerSecondPerListener: load.windowsPerSecond, formula: ListenerLoad.formula,
            configuredWorkers: settings.workers, byWorkers: entries)
    }

    private func measure(workers: Int, stop: BenchmarkStop) async throws -> [Work] {
        let start = CommonStart(of: workers)
        return try await withThrowingTaskGroup(of: Work.self) { group in
            for number in 0..<workers {
                group.addTask { [engine, seconds] in
                    try await BenchmarkThread.run("analyzer-\(number)") {
                        try Self.work(engine, seed: UInt64(number + 1), seconds: seconds, start: start, stop: stop)
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    private static func work(
        _ engine: DetectionEngine, seed: UInt64, seconds: Double, start: CommonStart, stop: BenchmarkStop
    ) throws -> Work {
        let worker: DetectionWorker
        let windows: [AnalysisWindow]
        let metrics = AnalysisMetrics()
        do {
            worker = try engine.makeWorker()
            windows = try madeUpWindows(seed: seed)
            // The first run makes its room in memory.
            _ = try worker.analyse(windows[0], metrics: metrics)
        } catch {
            // The others must not wait for it.
            start.leave()
            throw error
        }
        start.wait()
        let began = ContinuousClock.now
        let end = began + .seconds(seconds)
        var count = 0
        repeat {
            try stop.check()
            _ = try worker.analyse(windows[count % windows.count], metrics: metrics)
            count += 1
        } while .now < end
        return Work(windows: count, seconds: began.secondsToNow)
    }

    private static func madeUpWindows(seed: UInt64) throws -> [AnalysisWindow] {
        let preparation = try WindowPreparation(
            format: PCMFormat(encoding: .signed16, channels: 1, sampleRate: BirdNET.sampleRate), overlapSeconds: 0,
            pool: WindowBufferPool(limit: 8))
        var windows: [AnalysisWindow] = []
        try preparation.append(MockGenerator.sound(seconds: 12, seed: seed).span) { windows.append($0) }
        return windows
    }
}

/// Lets threads begin together.
final class CommonStart: Sendable {
    private let missing: Mutex<Int>
    private let condition = SteadyCondition()

    init(of count: Int) {
        missing = Mutex(count)
    }

    /// Returns when all others wait too, or have left.
    func wait() {
        condition.lock()
        missing.withLock { $0 -= 1 }
        condition.broadcast()
        while missing.withLock({ $0 > 0 }) { condition.wait() }
        condition.unlock()
    }

    func leave() {
        condition.lock()
        missing.withLock { $0 -= 1 }
        condition.broadcast()
        condition.unlock()
    }
}
