import CTensorFlowLite
import Synchronization

/// A model file that TensorFlow Lite has mapped. Interpreters keep it, so it is unmapped after the last of them is gone.
///
/// Memory: `handle` is created in `init` and deleted in `deinit`. An interpreter borrows it while it is created and holds this
/// object until it is deleted.
@safe final class MappedModel: @unchecked Sendable {
    let library: TensorFlowLiteLibrary
    let path: String
    let handle: OpaquePointer
    /// Held while a model is unmapped, and while pages of a mapping are dropped: the addresses of `dropMappedPages` would
    /// otherwise belong to another mapping by the time they are used.
    private static let unmapping = Mutex(())

    /// - Throws: ``ClassifierError`` when the file is no model.
    init(library: TensorFlowLiteLibrary, path: String) throws(ClassifierError) {
        guard let handle = unsafe library.functions.model_create_from_file(path) else {
            throw ClassifierError(.modelUnreadable, path: path, reason: "it is missing or no TensorFlow Lite model")
        }
        self.library = library
        self.path = path
        unsafe self.handle = handle
    }

    deinit {
        let (functions, handle) = unsafe (library.functions, handle)
        Self.unmapping.withLock { _ in unsafe functions.model_delete(handle) }
    }

    /// Gives the resident pages of the file back to the kernel, which reads them again if they are used.
    func dropMappedPages() {
        Self.unmapping.withLock { _ in unsafe edge_tflite_drop_mapped_pages(path) }
    }
}

/// The packed weights that all interpreters of a model share.
///
/// Memory: `cache` is created in `init` and deleted in `deinit`. The delegate of an interpreter uses it until it is deleted, so
/// the interpreter holds this object.
@safe final class PackedWeights: @unchecked Sendable {
    let cache: OpaquePointer
    private let library: TensorFlowLiteLibrary

    /// Nil when the library's options are not known, or there is no memory.
    init?(library: TensorFlowLiteLibrary) {
        guard library.hasKnownOptions, let cache = unsafe library.functions.weights_cache_create() else { return nil }
        unsafe self.cache = cache
        self.library = library
    }

    deinit { unsafe library.functions.weights_cache_delete(cache) }

    /// Ends packing by the first interpreter; others find its weights and may add theirs.
    func finalize() { _ = unsafe library.functions.weights_cache_finalize_soft(cache) }
}
