import Synchronization

/// Counts work that goes on elsewhere, and tells once when none is left.
final class PendingFinishes: Sendable {
    private struct State {
        var count = 0
        var whenDone: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    func begin() {
        state.withLock { $0.count += 1 }
    }

    func end() {
        let whenDone = state.withLock { state -> (@Sendable () -> Void)? in
            state.count -= 1
            guard state.count == 0 else { return nil }
            defer { state.whenDone = nil }
            return state.whenDone
        }
        whenDone?()
    }

    /// Calls `body` when everything begun has ended, at once or on the thread that ends the last. One at a time.
    func whenDone(_ body: @escaping @Sendable () -> Void) {
        let isDone = state.withLock { state -> Bool in
            if state.count == 0 { return true }
            state.whenDone = body
            return false
        }
        if isDone { body() }
    }
}
