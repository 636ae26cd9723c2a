import CTensorFlowLite

/// The loaded TensorFlow Lite library. It stays loaded for the life of the process.
@safe public final class TensorFlowLiteLibrary: @unchecked Sendable {
    // Written once, before the object is shared; the functions themselves may be called from any thread.
    let functions: EdgeTensorFlowLite
    public let path: String
    public let version: String

    /// - Throws: ``ClassifierError`` with ``ClassifierError/Code/libraryMissing``.
    public init(path: String) throws(ClassifierError) {
        var table = unsafe EdgeTensorFlowLite()
        var message = [CChar](repeating: 0, count: 512)
        guard unsafe edge_tflite_load(path, &table, &message, message.count) == 0, let version = unsafe table.version()
        else {
            let reason = String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            throw ClassifierError(.libraryMissing, path: path, reason: reason)
        }
        unsafe functions = unsafe table
        self.path = path
        self.version = unsafe String(cString: version)
    }

    /// Whether the layout of the delegate's options is known.
    var hasKnownOptions: Bool { version == BirdNET.libraryVersion }
}
