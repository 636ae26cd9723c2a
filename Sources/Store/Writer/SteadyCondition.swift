import CEdgeSystem

/// A lock and a condition that waits by the steady clock.
///
/// Foundation's waits by the time of day: a box whose clock is set back by an hour would stand still for an hour.
///
/// Memory: `condition` is made in `init` and freed in `deinit`, when no thread can wait any more, since each holds this object.
@safe public final class SteadyCondition: @unchecked Sendable {
    private let condition = unsafe edge_condition_make()

    public init() {}

    deinit { unsafe edge_condition_free(condition) }

    public func lock() { unsafe edge_condition_lock(condition) }
    public func unlock() { unsafe edge_condition_unlock(condition) }
    public func signal() { unsafe edge_condition_signal(condition) }
    public func broadcast() { unsafe edge_condition_broadcast(condition) }
    public func wait() { _ = unsafe edge_condition_wait(condition, -1) }

    /// Returns at a signal, and at the latest after so long.
    public func wait(atMost duration: Duration) {
        let (seconds, attoseconds) = duration.components
        _ = unsafe edge_condition_wait(condition, max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000))
    }
}
