// In C, `timespec` comes with the first header that names it.
import CAlsa

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Limits the processor time that decoding one file takes, and ends it when it is no longer wanted.
///
/// The size of a compressed file says nothing about its cost: 1.5 MB of FLAC can hold 38 hours of silence. Decoders ask
/// ``check()`` at least once for every block of sound and for every block that they read, which is far more often than once
/// a second of work.
///
/// Used on one thread at a time. Work that goes on later, or on another thread, begins with ``resume()``.
public final class DecodingLimit {
    private let maximumProcessorSeconds: Double
    private let processorSeconds: () -> Double
    private let isCancelled: () -> Bool
    private var lastSeconds: Double
    private var stop: SoundFileError.Code?

    /// Processor time that was used, in seconds.
    public private(set) var usedSeconds = 0.0

    /// - Parameters:
    ///   - maximumProcessorSeconds: above 0; infinity for no limit.
    ///   - processorSeconds: processor time of the calling thread, in seconds.
    ///   - isCancelled: asked at each check.
    public init(
        maximumProcessorSeconds: Double = .infinity,
        processorSeconds: @escaping () -> Double = DecodingLimit.threadProcessorSeconds,
        isCancelled: @escaping () -> Bool = { false }
    ) {
        self.maximumProcessorSeconds = maximumProcessorSeconds
        self.processorSeconds = processorSeconds
        self.isCancelled = isCancelled
        lastSeconds = processorSeconds()
    }

    /// Says that the calling thread does the work from now on; what it did before does not count.
    public func resume() { lastSeconds = processorSeconds() }

    /// Counts the processor time since the last call.
    ///
    /// - Returns: whether the work may go on. Once it may not, it never may.
    @discardableResult
    public func mayGoOn() -> Bool {
        guard stop == nil else { return false }
        let now = processorSeconds()
        usedSeconds += max(0, now - lastSeconds)
        lastSeconds = now
        if isCancelled() {
            stop = .cancelled
        } else if usedSeconds > maximumProcessorSeconds {
            stop = .tooCostly
        }
        return stop == nil
    }

    /// - Parameter path: of the file, for the error.
    /// - Throws: ``SoundFileError`` with the code `cancelled` or `tooCostly` when the work has to end. A cancelled one has
    ///   `ECANCELED` as its `errnoValue`: it says nothing about the file.
    public func check(_ path: String) throws(SoundFileError) {
        guard !mayGoOn(), let stop else { return }
        throw stop == .cancelled
            ? SoundFileError(code: .cancelled, path: path, errnoValue: ECANCELED)
            : SoundFileError(
                code: .tooCostly, path: path, reason: "more than \(maximumProcessorSeconds) s of processor time")
    }

    /// Processor time that the calling thread has used (clock_gettime(2), CLOCK_THREAD_CPUTIME_ID), in seconds.
    ///
    /// Memory: the time is this function's and borrowed for the call.
    @Sendable public static func threadProcessorSeconds() -> Double {
        var time = timespec()
        guard unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0 else { return 0 }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
