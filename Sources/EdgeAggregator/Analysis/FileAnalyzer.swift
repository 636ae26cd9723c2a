import AudioDSP
import Foundation
import Sensors

/// Analyses whole files, one window after the other.
final class FileAnalyzer {
    struct Found {
        let startSeconds: Double
        let entry: LabelSet.Entry
        let confidence: Float
    }

    struct Outcome {
        var seconds = 0.0
        var windows = 0
        var found: [Found] = []
    }

    private let settings: AnalysisSettings
    private let labels: LabelSet
    private let worker: DetectionWorker
    private let metrics = AnalysisMetrics()

    init(settings: AnalysisSettings) throws {
        self.settings = settings
        let library = try TensorFlowLiteLibrary(path: settings.libraryPath)
        labels = try LabelSet(path: settings.labelsPath, translation: settings.translationPath)
        let model = try BirdNETModel(library: library, path: settings.modelPath)
        guard model.outputs == labels.entries.count else {
            throw ClassifierError(
                .labelsUnfit, path: settings.labelsPath,
                reason: "\(labels.entries.count) labels, the model scores \(model.outputs) classes")
        }
        let policies = PolicyMaker(settings: settings, labels: labels, library: library)
        let policy = try policies.make(week: policies.week(at: TimeService().now()))
        worker = DetectionWorker(
            classifier: try BirdNETClassifier(model: model), gate: settings.gate, outputs: labels.entries.count
        ) { policy }
    }

    /// - Parameter progress: hears the part done, 0...1, where the file tells its length.
    func analyze(_ path: String, progress: (Double) -> Void) throws -> Outcome {
        let reader = try SoundFileReader(path: path)
        let resampler = try Resampler(from: reader.sampleRate)
        let pool = WindowBufferPool(limit: 64)
        var assembler = WindowAssembler(overlapSeconds: settings.overlapSeconds, pool: pool)
        var outcome = Outcome()
        var ready: [AnalysisWindow] = []
        var frames: Int64 = 0
        var failure: ResamplerError?
        while true {
            let count = try reader.readMono(channel: settings.channel, maxFrames: 4096) { mono in
                do throws(ResamplerError) {
                    try resampler.process(mono) { assembler.append($0, emit: { ready.append($0) }, skipped: { _ in }) }
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            if count == 0 {
                try resampler.flush { assembler.append($0, emit: { ready.append($0) }, skipped: { _ in }) }
                assembler.finish(
                    minimumSeconds: BirdNET.shortestTailSeconds, emit: { ready.append($0) }, skipped: { _ in })
            }
            frames += Int64(count)
            for window in ready {
                try take(window, &outcome)
                pool.give(window.buffer)
                if reader.frames > 0 { progress(Double(frames) / Double(reader.frames)) }
            }
            ready.removeAll()
            if count == 0 { break }
        }
        outcome.seconds = Double(frames) / Double(reader.sampleRate)
        return outcome
    }

    private func take(_ window: AnalysisWindow, _ outcome: inout Outcome) throws {
        let result = try worker.analyse(window, metrics: metrics)
        outcome.windows += 1
        for found in result.found {
            outcome.found.append(
                Found(
                    startSeconds: Double(window.startFrame48k) / 48_000, entry: labels.entries[found.labelIndex],
                    confidence: found.confidence))
        }
    }
}
