import Store
import Synchronization

/// The changes of one session on their way to the store, and the first of them that the disk refused: what is acknowledged at the
/// session's end stands on all of them. The store tells in the order of the calls.
final class WrittenChanges: Sendable {
    private let store: Store
    private let failure = Mutex<StoreError?>(nil)
    /// Calls whose outcome is not known yet.
    private let waiting = Atomic<Int>(0)

    /// Calls of one session that may wait before it is read more slowly.
    private static let maximumWaiting = 16
    /// How long such a session is not read.
    static let patience = Duration.milliseconds(20)

    /// Whether so much waits to be written, of this session or of all, that no more sound is to be read.
    var isBehind: Bool { waiting.load(ordering: .relaxed) > Self.maximumWaiting || store.isCrowded }

    init(store: Store) { self.store = store }

    func note(_ error: StoreError) { failure.withLock { $0 = $0 ?? error } }

    /// Soon; nobody waits for it.
    ///
    /// - Parameter whenWritten: called on the store's thread once the changes are synced.
    func enqueue(_ changes: [StoreChange], whenWritten: (@Sendable () -> Void)? = nil) {
        waiting.add(1, ordering: .relaxed)
        store.enqueue(changes) { [self] result in
            waiting.subtract(1, ordering: .relaxed)
            switch result {
            case .success: whenWritten?()
            case .failure(let error): note(error)
            }
        }
    }

    /// Tells when these and all before are synced, or that one of them is not.
    func commit(_ changes: [StoreChange], completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        store.commit(changes) { [self] result in
            if case .success = result, let error = failure.withLock({ $0 }) {
                completion(.failure(error))
            } else {
                completion(result)
            }
        }
    }
}
