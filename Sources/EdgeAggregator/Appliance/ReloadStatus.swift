import Synchronization
import TextParts

/// How the last attempt to take over changed settings ended, for whoever asks for the daemon's status.
final class ReloadStatus: Sendable {
    struct Rejection: Sendable, Equatable {
        let nanoseconds: Int64
        let reason: String
    }

    struct Snapshot: Sendable {
        /// When the settings in force were read, UTC.
        var loadedNanoseconds: Int64
        /// The last attempt, if it was rejected.
        var rejection: Rejection?
    }

    /// A reason names files, lines and settings; the log has all of it.
    private static let maximumReasonCharacters = 1000

    private let state: Mutex<Snapshot>

    init(loadedNanoseconds: Int64) {
        state = Mutex(Snapshot(loadedNanoseconds: loadedNanoseconds, rejection: nil))
    }

    var snapshot: Snapshot { state.withLock { $0 } }

    func accepted(at nanoseconds: Int64) {
        state.withLock { $0 = Snapshot(loadedNanoseconds: nanoseconds, rejection: nil) }
    }

    func rejected(at nanoseconds: Int64, reason: String) {
        let reason = String(reason.prefix(Self.maximumReasonCharacters))
        state.withLock { $0.rejection = Rejection(nanoseconds: nanoseconds, reason: reason) }
    }
}
