import CTensorFlowLite

/// One interpreter of one model, on one thread.
///
/// Memory: `interpreter`, its `delegatePointer` and the buffer `message` are created in `init` and deleted in `deinit`; they do not
/// leave the class. `model` and `weights`, which they use, are released after that. Tensors belong to the interpreter and stay in
/// place until its next invocation.
@safe final class Interpreter {
    private let model: MappedModel
    private let weights: PackedWeights?
    private let functions: EdgeTensorFlowLite
    private let interpreter: OpaquePointer
    private let delegatePointer: OpaquePointer?
    private let message: UnsafeMutablePointer<EdgeTfLiteMessage>

    /// - Parameter weights: packed weights shared by all interpreters of a model; nil for none.
    init(model: MappedModel, weights: PackedWeights?) throws(ClassifierError) {
        self.model = model
        self.weights = weights
        let path = model.path
        let functions = unsafe model.library.functions
        unsafe self.functions = functions
        let message = UnsafeMutablePointer<EdgeTfLiteMessage>.allocate(capacity: 1)
        unsafe message.initialize(to: EdgeTfLiteMessage())
        unsafe self.message = message
        guard let options = unsafe functions.options_create() else {
            unsafe message.deallocate()
            throw ClassifierError(.interpreter, path: path, reason: "out of memory")
        }
        // The interpreter takes what it needs from the options while it is created: also the address of `message`, which it
        // writes to until it is deleted.
        defer { unsafe functions.options_delete(options) }
        var table = unsafe functions
        unsafe edge_tflite_set_message_buffer(&table, options, message)
        unsafe functions.options_set_num_threads(options, 1)
        // The C library does not apply XNNPACK by itself.
        var created: OpaquePointer?
        if model.library.hasKnownOptions {
            var delegateOptions = unsafe EdgeXNNPackOptions()
            unsafe edge_tflite_default_options(&table, &delegateOptions)
            unsafe delegateOptions.num_threads = 1
            unsafe delegateOptions.weights_cache = weights?.cache
            unsafe created = functions.xnnpack_create(&delegateOptions)
        } else {
            unsafe created = functions.xnnpack_create(nil)
        }
        unsafe delegatePointer = created
        if let created = unsafe created { unsafe functions.options_add_delegate(options, created) }
        guard let interpreter = unsafe functions.interpreter_create(model.handle, options) else {
            if let created = unsafe created { unsafe functions.xnnpack_delete(created) }
            let reason = unsafe Self.text(message)
            unsafe message.deallocate()
            throw ClassifierError(.interpreter, path: path, reason: reason)
        }
        unsafe self.interpreter = interpreter
        guard unsafe functions.allocate_tensors(interpreter) == 0 else {
            throw unsafe ClassifierError(.interpreter, path: path, reason: Self.text(message))
        }
    }

    deinit {
        // The interpreter uses its delegate and the message, so it is deleted first.
        unsafe functions.interpreter_delete(interpreter)
        if let delegatePointer = unsafe delegatePointer { unsafe functions.xnnpack_delete(delegatePointer) }
        unsafe message.deallocate()
    }

    private static func text(_ message: UnsafeMutablePointer<EdgeTfLiteMessage>) -> String {
        unsafe withUnsafeBytes(of: message.pointee) { bytes in
            let text = unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            return text.isEmpty ? "no reason given" : text
        }
    }

    /// Checks that the single input is floating point of this many values.
    func checkInput(values: Int) throws(ClassifierError) {
        _ = try unsafe input(values: values)
    }

    /// Copies values to the single input.
    ///
    /// TensorFlow Lite may move tensors between invocations, so the address is looked up before each one.
    func setInput(_ values: Span<Float>) throws(ClassifierError) {
        let input = try unsafe input(values: values.count)
        unsafe values.withUnsafeBufferPointer { values in
            guard let source = values.baseAddress else { return }
            unsafe input.update(from: source, count: values.count)
        }
    }

    /// Memory: the interpreter owns what the result points to, until its next invocation.
    private func input(values: Int) throws(ClassifierError) -> UnsafeMutablePointer<Float> {
        guard unsafe functions.input_count(interpreter) == 1, let tensor = unsafe functions.input(interpreter, 0),
            unsafe functions.tensor_type(tensor) == Int32(EdgeTfLiteFloat32),
            unsafe functions.tensor_byte_size(tensor) == values * MemoryLayout<Float>.size,
            let data = unsafe functions.tensor_data(tensor)
        else {
            throw ClassifierError(
                .modelUnfit, path: model.path, reason: "its input is not \(values) floating point values")
        }
        return unsafe data.assumingMemoryBound(to: Float.self)
    }

    /// How many floating point values the single output has.
    func outputCount() throws(ClassifierError) -> Int {
        guard unsafe functions.output_count(interpreter) == 1, let tensor = unsafe functions.output(interpreter, 0),
            unsafe functions.tensor_type(tensor) == Int32(EdgeTfLiteFloat32)
        else {
            throw ClassifierError(.modelUnfit, path: model.path, reason: "its output is not one floating point tensor")
        }
        return unsafe functions.tensor_byte_size(tensor) / MemoryLayout<Float>.size
    }

    /// Runs the model and copies its output.
    func invoke(into output: inout MutableSpan<Float>) throws(ClassifierError) {
        guard unsafe functions.invoke(interpreter) == 0 else {
            throw unsafe ClassifierError(.invoke, path: model.path, reason: Self.text(message))
        }
        guard let tensor = unsafe functions.output(interpreter, 0), let data = unsafe functions.tensor_data(tensor),
            unsafe functions.tensor_byte_size(tensor) == output.count * MemoryLayout<Float>.size
        else {
            throw ClassifierError(.modelUnfit, path: model.path, reason: "its output has another size than it had")
        }
        unsafe output.withUnsafeMutableBufferPointer { output in
            unsafe output.baseAddress?.update(from: data.assumingMemoryBound(to: Float.self), count: output.count)
        }
    }
}
