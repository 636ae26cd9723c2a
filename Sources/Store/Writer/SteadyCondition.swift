import CEdgeSystem

/// A lock and a condition that waits by the steady clock.
///
/// Foundation's waits by the time of day: a box whose clock is set back by an hour would stand still for an hour.
public final class SteadyCondition: @unchecked Sendable {
    // Made in `init`, gone in `deinit`; it locks for itself.
    private let condition = edge_condition_make()

    public init() {}

    deinit { edge_condition_free(condition) }

    public func lock() { edge_condition_lock(condition) }
    public func unlock() { edge_condition_unlock(condition) }
    public func signal() { edge_condition_signal(condition) }
    public func broadcast() { edge_condition_broadcast(condition) }
    public func wait() { _ = edge_condition_wait(condition, -1) }

    /// Returns at a signal, and at the latest after so long.
    public func wait(atMost duration: Duration) {
        let (seconds, attoseconds) = duration.components
        _ = edge_condition_wait(condition, max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000))
    }
}
