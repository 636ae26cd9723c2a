import Synchronization

/// Bounds how many answers of fields are made and held at a time: each may have megabytes. Others wait, and beyond so many
/// are sent away.
final class QueryGate: Sendable {
    /// The right to one answer; it ends with the answer.
    final class Slot: Sendable {
        private let gate: QueryGate

        fileprivate init(_ gate: QueryGate) { self.gate = gate }

        deinit { gate.leave() }
    }

    private struct State {
        var inside = 0
        var waiting: [CheckedContinuation<Bool, Never>] = []
    }

    private let most: Int
    private let mostWaiting: Int
    private let state = Mutex(State())
    /// Questions that were sent away.
    let refused = Counter()

    init(most: Int, mostWaiting: Int) {
        self.most = most
        self.mostWaiting = mostWaiting
    }

    var counts: (inside: Int, waiting: Int) { state.withLock { ($0.inside, $0.waiting.count) } }

    /// Nil when too many wait already.
    func enter() async -> Slot? {
        let isIn = await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if state.inside < most {
                    state.inside += 1
                    return true
                }
                guard state.waiting.count < mostWaiting else { return false }
                state.waiting.append(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
        if !isIn { refused.add(1) }
        return isIn ? Slot(self) : nil
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard !state.waiting.isEmpty else {
                state.inside -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume(returning: true)
    }
}
