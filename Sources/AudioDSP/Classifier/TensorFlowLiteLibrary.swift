import CTensorFlowLite

/// The loaded TensorFlow Lite library.
///
/// Memory: the library is never unloaded, so its functions and the text of its version stay valid until the process ends.
@safe public final class TensorFlowLiteLibrary: @unchecked Sendable {
    // Written once, before the object is shared; the functions themselves may be called from any thread.
    let functions: EdgeTensorFlowLite
    public let path: String
    public let version: String

    /// - Throws: ``ClassifierError`` with ``ClassifierError/Code/libraryMissing``.
    public init(path: String) throws(ClassifierError) {
        var table = unsafe EdgeTensorFlowLite()
        var message = [CChar](repeating: 0, count: 512)
        // Memory: the path, the table and the message are borrowed for the call.
        guard unsafe edge_tflite_load(path, &table, &message, message.count) == 0, let version = unsafe table.version()
        else {
            let reason = String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            throw ClassifierError(.libraryMissing, path: path, reason: reason)
        }
        unsafe functions = table
        self.path = path
        self.version = unsafe String(cString: version)
    }

    /// Whether the layout of the delegate's options is known.
    var hasKnownOptions: Bool { version == BirdNET.libraryVersion }
}
