import CTensorFlowLite

/// One interpreter of one model, on one thread.
final class Interpreter {
    private let functions: EdgeTensorFlowLite
    private let path: String
    private let interpreter: OpaquePointer
    private let delegatePointer: OpaquePointer?
    private let message: UnsafeMutablePointer<EdgeTfLiteMessage>

    /// - Parameter weights: packed weights shared by all interpreters of a model; nil for none.
    init(
        library: TensorFlowLiteLibrary, model: OpaquePointer, path: String, weights: OpaquePointer?
    ) throws(ClassifierError) {
        let functions = library.functions
        self.functions = functions
        self.path = path
        let message = UnsafeMutablePointer<EdgeTfLiteMessage>.allocate(capacity: 1)
        message.initialize(to: EdgeTfLiteMessage())
        self.message = message
        guard let options = functions.options_create() else {
            message.deallocate()
            throw ClassifierError(.interpreter, path: path, reason: "out of memory")
        }
        defer { functions.options_delete(options) }
        var table = functions
        edge_tflite_set_message_buffer(&table, options, message)
        functions.options_set_num_threads(options, 1)
        // The C library does not apply XNNPACK by itself.
        var created: OpaquePointer?
        if library.hasKnownOptions {
            var delegateOptions = EdgeXNNPackOptions()
            edge_tflite_default_options(&table, &delegateOptions)
            delegateOptions.num_threads = 1
            delegateOptions.weights_cache = weights
            created = functions.xnnpack_create(&delegateOptions)
        } else {
            created = functions.xnnpack_create(nil)
        }
        delegatePointer = created
        if let created { functions.options_add_delegate(options, created) }
        guard let interpreter = functions.interpreter_create(model, options) else {
            if let created { functions.xnnpack_delete(created) }
            let reason = Self.text(message)
            message.deallocate()
            throw ClassifierError(.interpreter, path: path, reason: reason)
        }
        self.interpreter = interpreter
        guard functions.allocate_tensors(interpreter) == 0 else {
            throw ClassifierError(.interpreter, path: path, reason: Self.text(message))
        }
    }

    deinit {
        // The interpreter uses its delegate, so it goes first.
        functions.interpreter_delete(interpreter)
        if let delegatePointer { functions.xnnpack_delete(delegatePointer) }
        message.deallocate()
    }

    private static func text(_ message: UnsafeMutablePointer<EdgeTfLiteMessage>) -> String {
        withUnsafeBytes(of: message.pointee) { bytes in
            let text = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            return text.isEmpty ? "no reason given" : text
        }
    }

    /// Checks that the single input is floating point of this many values.
    func checkInput(values: Int) throws(ClassifierError) {
        _ = try input(values: values)
    }

    /// Copies values to the single input.
    ///
    /// TensorFlow Lite may move tensors between invocations, so the address is looked up before each one.
    func setInput(_ values: Span<Float>) throws(ClassifierError) {
        let input = try input(values: values.count)
        values.withUnsafeBufferPointer { values in
            guard let source = values.baseAddress else { return }
            input.update(from: source, count: values.count)
        }
    }

    /// Where the single input is until the next invocation.
    private func input(values: Int) throws(ClassifierError) -> UnsafeMutablePointer<Float> {
        guard functions.input_count(interpreter) == 1, let tensor = functions.input(interpreter, 0),
            functions.tensor_type(tensor) == Int32(EdgeTfLiteFloat32),
            functions.tensor_byte_size(tensor) == values * MemoryLayout<Float>.size,
            let data = functions.tensor_data(tensor)
        else {
            throw ClassifierError(.modelUnfit, path: path, reason: "its input is not \(values) floating point values")
        }
        return data.assumingMemoryBound(to: Float.self)
    }

    /// How many floating point values the single output has.
    func outputCount() throws(ClassifierError) -> Int {
        guard functions.output_count(interpreter) == 1, let tensor = functions.output(interpreter, 0),
            functions.tensor_type(tensor) == Int32(EdgeTfLiteFloat32)
        else {
            throw ClassifierError(.modelUnfit, path: path, reason: "its output is not one floating point tensor")
        }
        return functions.tensor_byte_size(tensor) / MemoryLayout<Float>.size
    }

    /// Runs the model and copies its output.
    func invoke(into output: inout MutableSpan<Float>) throws(ClassifierError) {
        guard functions.invoke(interpreter) == 0 else {
            throw ClassifierError(.invoke, path: path, reason: Self.text(message))
        }
        guard let tensor = functions.output(interpreter, 0), let data = functions.tensor_data(tensor),
            functions.tensor_byte_size(tensor) == output.count * MemoryLayout<Float>.size
        else {
            throw ClassifierError(.modelUnfit, path: path, reason: "its output has another size than it had")
        }
        // The tensor belongs to the interpreter and stays until the next invocation.
        output.withUnsafeMutableBufferPointer { output in
            output.baseAddress?.update(from: data.assumingMemoryBound(to: Float.self), count: output.count)
        }
    }
}
