import AudioDSP
import Store
import Synchronization

/// What all analysis workers share: the model, the labels, the rules, and the names that stand on each detection.
final class DetectionEngine: Sendable {
    let labels: LabelSet
    private let model: BirdNETModel
    private let gate: SignalGate
    private let policy: PolicyBox
    private let modelID: Int64

    /// - Parameter modelID: the model's number in the store.
    init(model: BirdNETModel, labels: LabelSet, gate: SignalGate, policy: DetectionPolicy, modelID: Int64) {
        self.model = model
        self.labels = labels
        self.gate = gate
        self.policy = PolicyBox(policy)
        self.modelID = modelID
    }

    /// Takes new rules, when the season has changed.
    func use(_ policy: DetectionPolicy) {
        self.policy.policy = policy
    }

    /// Makes an interpreter. It must be used on one thread.
    func makeWorker() throws(ClassifierError) -> DetectionWorker {
        DetectionWorker(classifier: try BirdNETClassifier(model: model), gate: gate, outputs: labels.entries.count) {
            [policy] in policy.policy
        }
    }

    /// The rows of what was found in a window.
    func records(
        of found: [DetectionPolicy.Found], window: AnalysisWindow, progress: RecordingProgress
    ) -> [DetectionRecord] {
        let recording = progress.recording
        let offsetFrames = window.startFrame48k - progress.startFrame48k
        let start =
            recording.startNanoseconds + PCMFormat.nanoseconds(frames: offsetFrames, sampleRate: BirdNET.sampleRate)
        return found.map { found in
            let label = labels.entries[found.labelIndex]
            return DetectionRecord(
                listenerID: recording.listener, recordingName: recording.name, startNanoseconds: start,
                endNanoseconds: start + BirdNET.windowNanoseconds, offsetSeconds: Double(offsetFrames) / 48_000,
                scientificName: label.scientific, commonName: label.common,
                label: "\(label.scientific)_\(label.english)", confidence: Double(found.confidence), modelID: modelID,
                timeQuality: recording.timeQuality.rawValue, sessionID: recording.sessionID, run: recording.run)
        }
    }
}

/// The rules in force.
private final class PolicyBox: Sendable {
    private let value: Mutex<DetectionPolicy>

    init(_ policy: DetectionPolicy) {
        value = Mutex(policy)
    }

    var policy: DetectionPolicy {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }
}

/// One interpreter and what it needs to turn a window into detections. Used on one thread.
final class DetectionWorker {
    struct Outcome {
        var found: [DetectionPolicy.Found] = []
        var humanScore: Float = 0
    }

    private let classifier: BirdNETClassifier
    private let gate: SignalGate
    private let meter = SignalGate.Meter()
    private let policy: () -> DetectionPolicy
    private var logits: [Float]

    init(classifier: BirdNETClassifier, gate: SignalGate, outputs: Int, policy: @escaping () -> DetectionPolicy) {
        self.classifier = classifier
        self.gate = gate
        self.policy = policy
        logits = [Float](repeating: 0, count: outputs)
    }

    /// A silent window is not run at all; clipped sound and plain noise are, since a voice in them is a voice, but
    /// report no species.
    func analyse(_ window: AnalysisWindow, metrics: AnalysisMetrics) throws(ClassifierError) -> Outcome {
        let verdict = window.withSamples { gate.verdict(gate.measure($0, meter: meter)) }
        if verdict != .pass { metrics.windowsGated.add(1) }
        if verdict == .silent { return Outcome() }
        let started = ContinuousClock.now
        // Taken out while it is written to, so that it is not copied.
        var scores: [Float] = []
        swap(&scores, &logits)
        defer { swap(&scores, &logits) }
        try window.withSamples { (samples) throws(ClassifierError) in
            var output = scores.mutableSpan
            try classifier.logits(samples, into: &output)
        }
        metrics.inferenceSeconds.observe(started.secondsToNow)
        let judgement = policy().judge(scores)
        return Outcome(found: verdict == .pass ? judgement.found : [], humanScore: judgement.humanScore)
    }
}
