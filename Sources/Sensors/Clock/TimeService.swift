import CEdgeSystem
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The box's time: both clocks, the boot they belong to, and whether the time is known.
///
/// Cheap enough for every read of a socket: whether the clock is synchronised is asked of the kernel once a second.
public final class TimeService: TimeSource {
    private struct Synchronisation {
        var isSynchronised = false
        var askedNanoseconds: Int64 = .min
        var offsetNanoseconds: Int64 = 0
    }

    /// Linux: `/proc/sys/kernel/random/boot_id`.
    public let bootID: String
    private let synchronisation = Mutex(Synchronisation())

    public init() {
        bootID = Self.readBootID(path: "/proc/sys/kernel/random/boot_id") ?? "unknown-boot"
    }

    public func now() -> TimeStamp {
        let monotonic = edge_boottime_ns()
        let realtime = edge_realtime_ns()
        let isSynchronised = synchronisation.withLock { state in
            let isDue = state.askedNanoseconds == .min || monotonic - state.askedNanoseconds >= 1_000_000_000
            // A clock that was stepped by hand is not synchronised from that moment on.
            let isStepped = abs(realtime - monotonic - state.offsetNanoseconds) > 500_000_000
            if isDue || isStepped {
                state.isSynchronised = edge_clock_is_synchronised()
                state.askedNanoseconds = monotonic
                state.offsetNanoseconds = realtime - monotonic
            }
            return state.isSynchronised
        }
        return TimeStamp(
            utcNanoseconds: realtime, monotonicNanoseconds: monotonic, bootID: bootID, isSynchronised: isSynchronised)
    }

    static func readBootID(path: String) -> String? {
        // Memory: the path and the buffer are borrowed for the calls.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = unsafe read(file, &bytes, bytes.count)
        guard count >= 36 else { return nil }
        return String(decoding: bytes[..<36], as: UTF8.self)
    }
}
