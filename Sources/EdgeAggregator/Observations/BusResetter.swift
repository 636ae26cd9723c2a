import Foundation
import Sensors
import Synchronization

/// Sets up buses anew, each at most once a minute, on a queue of its own: the kernel may keep the caller for long.
final class BusResetter: Sendable {
    static let leastInterval = Duration.seconds(60)

    private struct State {
        var last: [String: ContinuousClock.Instant] = [:]
        var counts: [String: Int64] = [:]
    }

    private let queue = DispatchQueue(label: "bus reset")
    private let state = Mutex(State())

    var counts: [String: Int64] { state.withLock { $0.counts } }

    /// Nil when it was tried too lately.
    func reset(_ adapter: I2CAdapter) async -> Result<Void, I2CAdapter.ResetError>? {
        let isDue = state.withLock { state in
            if let last = state.last[adapter.text], .now - last < Self.leastInterval { return false }
            state.last[adapter.text] = .now
            return true
        }
        guard isDue else { return nil }
        return await withCheckedContinuation { continuation in
            queue.async { [self] in
                do throws(I2CAdapter.ResetError) {
                    try adapter.reset()
                    state.withLock { $0.counts[adapter.text, default: 0] += 1 }
                    continuation.resume(returning: .success(()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
    }
}
