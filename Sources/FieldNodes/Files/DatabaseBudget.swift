#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What reading a database of somebody else's may cost.
///
/// Steps alone are no limit: a damaged file can have a million rows in the same few pages, each of which takes a megabyte to
/// read and some steps. Used on one thread.
final class DatabaseBudget {
    /// Why no more is read.
    enum End: String {
        case steps = "it takes too many steps"
        case processorTime = "it takes too much processor time"
        case cancelled = "reading was ended"
    }

    /// Steps of SQLite's machine between two checks; with rows of a megabyte this is a tenth of a second.
    static let stepsPerCheck = 1000

    private(set) var end: End?
    private var checks: Int
    private let maximumProcessorSeconds: Double
    private let isCancelled: () -> Bool
    private let startSeconds: Double

    /// - Parameters:
    ///   - bytes: size of the file.
    ///   - maximumProcessorSeconds: of the calling thread; nil for 10 s and a second for each megabyte.
    ///   - isCancelled: asked at each check.
    init(bytes: Int64, maximumProcessorSeconds: Double? = nil, isCancelled: @escaping () -> Bool = { false }) {
        // Some 20 steps a row, rows of 20 bytes at least.
        checks = Int(bytes / 200) + 1000
        self.maximumProcessorSeconds = maximumProcessorSeconds ?? 10 + Double(bytes) / 1e6
        self.isCancelled = isCancelled
        startSeconds = Self.processorSeconds()
    }

    /// Counts ``stepsPerCheck`` steps.
    func mayGoOn() -> Bool {
        guard end == nil else { return false }
        checks -= 1
        if isCancelled() {
            end = .cancelled
        } else if checks < 0 {
            end = .steps
        } else if Self.processorSeconds() - startSeconds > maximumProcessorSeconds {
            end = .processorTime
        }
        return end == nil
    }

    /// Of the calling thread (clock_gettime(2), CLOCK_THREAD_CPUTIME_ID).
    ///
    /// Memory: the time is this function's and borrowed for the call.
    private static func processorSeconds() -> Double {
        var time = timespec()
        guard unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0 else { return 0 }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
