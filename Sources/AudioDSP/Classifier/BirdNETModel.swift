import Synchronization

/// The BirdNET model: its file mapped once, its packed weights shared by all interpreters.
public final class BirdNETModel: Sendable {
    public let library: TensorFlowLiteLibrary
    public let path: String
    /// How many classes it scores.
    public let outputs: Int
    private let model: MappedModel
    private let weights: PackedWeights?
    /// Interpreters are made one after the other: the first packs the weights, the others find them.
    private let making = Mutex(())

    /// - Throws: ``ClassifierError`` when the file is no such model.
    public init(library: TensorFlowLiteLibrary, path: String) throws(ClassifierError) {
        self.library = library
        self.path = path
        model = try MappedModel(library: library, path: path)
        weights = PackedWeights(library: library)
        // The first interpreter tells the model's shape, and its packed weights are what all others share.
        let first = try Interpreter(model: model, weights: weights)
        try first.checkInput(values: BirdNET.windowSamples)
        outputs = try first.outputCount()
        spare = Mutex(nil)
        weights?.finalize()
        keep(first)
        model.dropMappedPages()
    }

    /// The interpreter that was made to look at the model, for the first classifier.
    private let spare: Mutex<SendableInterpreter?>

    private struct SendableInterpreter: @unchecked Sendable {
        // Handed from the thread that made it to the one that uses it, never shared.
        let interpreter: Interpreter
    }

    private func keep(_ interpreter: Interpreter) {
        let wrapped = SendableInterpreter(interpreter: interpreter)
        spare.withLock { $0 = wrapped }
    }

    func makeInterpreter() throws(ClassifierError) -> Interpreter {
        let first = spare.withLock { spare -> SendableInterpreter? in
            defer { spare = nil }
            return spare
        }
        if let first { return first.interpreter }
        let made = try making.withLock { (_) throws(ClassifierError) -> SendableInterpreter in
            SendableInterpreter(interpreter: try Interpreter(model: model, weights: weights))
        }
        model.dropMappedPages()
        return made.interpreter
    }
}

/// Scores windows of sound. One interpreter; used on one thread at a time.
public final class BirdNETClassifier {
    private let model: BirdNETModel
    private let interpreter: Interpreter

    /// - Throws: ``ClassifierError``.
    public init(model: BirdNETModel) throws(ClassifierError) {
        self.model = model
        interpreter = try model.makeInterpreter()
    }

    /// Scores one window.
    ///
    /// - Parameters:
    ///   - window: 144,000 samples of 48 kHz, full scale ±1.
    ///   - output: one raw score (logit) a label.
    @_lifetime(output: copy output)
    public func logits(
        _ window: Span<Float>, into output: inout MutableSpan<Float>
    ) throws(ClassifierError) {
        guard window.count == BirdNET.windowSamples, output.count == model.outputs else {
            throw ClassifierError(
                .invoke, path: model.path,
                reason: "a window of \(window.count) samples for \(output.count) scores")
        }
        try interpreter.setInput(window)
        try interpreter.invoke(into: &output)
    }
}
