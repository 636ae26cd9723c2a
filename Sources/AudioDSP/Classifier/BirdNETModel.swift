import CTensorFlowLite
import Synchronization

/// The BirdNET model: its file mapped once, its packed weights shared by all interpreters.
@safe public final class BirdNETModel: @unchecked Sendable {
    public let library: TensorFlowLiteLibrary
    public let path: String
    /// How many classes it scores.
    public let outputs: Int
    private let model: OpaquePointer
    private let weights: OpaquePointer?
    /// Interpreters are made one after the other: the first packs the weights, the others find them.
    private let making = Mutex(())

    /// - Throws: ``ClassifierError`` when the file is no such model.
    public init(library: TensorFlowLiteLibrary, path: String) throws(ClassifierError) {
        guard let model = unsafe library.functions.model_create_from_file(path) else {
            throw ClassifierError(.modelUnreadable, path: path, reason: "it is missing or no TensorFlow Lite model")
        }
        self.library = library
        self.path = path
        unsafe self.model = unsafe model
        unsafe weights = unsafe library.hasKnownOptions ? library.functions.weights_cache_create() : nil
        // The first interpreter tells the model's shape, and its packed weights are what all others share.
        do throws(ClassifierError) {
            let first = try unsafe Interpreter(library: library, model: model, path: path, weights: weights)
            try first.checkInput(values: BirdNET.windowSamples)
            outputs = try first.outputCount()
            spare = Mutex(nil)
            if let weights = unsafe weights { _ = unsafe library.functions.weights_cache_finalize_soft(weights) }
            keep(first)
            unsafe edge_tflite_drop_mapped_pages(path)
        } catch {
            unsafe library.functions.model_delete(model)
            throw error
        }
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
            unsafe SendableInterpreter(
                interpreter: try Interpreter(library: library, model: model, path: path, weights: weights))
        }
        unsafe edge_tflite_drop_mapped_pages(path)
        return made.interpreter
    }

    deinit {
        spare.withLock { $0 = nil }
        if let weights = unsafe weights { unsafe library.functions.weights_cache_delete(weights) }
        unsafe library.functions.model_delete(model)
    }
}

/// Scores windows of sound. One interpreter; used on one thread at a time.
public final class BirdNETClassifier {
    /// Keeps the mapped file and the packed weights alive.
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
