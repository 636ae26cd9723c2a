import AudioDSP
import NIOCore
import Sensors
import Store
import Synchronization

/// What is known of one connected listener now.
final class ListenerConnection: Sendable {
    struct Status: Sendable {
        var bytes: Int64 = 0
        var counters = SessionCounters()
        var format: PCMFormat?
        var openedNanoseconds: Int64
        var lastReceivedNanoseconds: Int64
        var lastReceivedMonotonicNanoseconds: Int64
        var recordingName: String?
        var filledGaps: Int64 = 0
        var gaps: Int64 = 0
        var gapSeconds: Double = 0
    }

    let listener: ListenerID
    let remoteAddress: String
    /// Why the box ended the connection, once it has.
    private let endReason = Mutex<String?>(nil)
    private let channel: (any Channel)?
    private let state: Mutex<Status>

    /// - Parameter channel: the connection, closed by ``end(reason:)``; nil for sessions without one.
    init(listener: ListenerID, remoteAddress: String, channel: (any Channel)?, now: TimeStamp) {
        self.listener = listener
        self.remoteAddress = remoteAddress
        self.channel = channel
        state = Mutex(
            Status(
                openedNanoseconds: now.utcNanoseconds, lastReceivedNanoseconds: now.utcNanoseconds,
                lastReceivedMonotonicNanoseconds: now.monotonicNanoseconds))
    }

    var status: Status { state.withLock { $0 } }
    var endedFor: String? { endReason.withLock { $0 } }

    func note(bytes: Int, counters: SessionCounters, format: PCMFormat?, at now: TimeStamp) {
        state.withLock { state in
            state.bytes += Int64(bytes)
            state.counters = counters
            state.format = format
            state.lastReceivedNanoseconds = now.utcNanoseconds
            state.lastReceivedMonotonicNanoseconds = now.monotonicNanoseconds
        }
    }

    func noteRecording(_ name: String?) {
        state.withLock { $0.recordingName = name }
    }

    func note(_ entry: LedgerEntry) {
        state.withLock { state in
            switch entry.kind {
            case SessionNote.Kind.filled.rawValue: state.filledGaps += 1
            case SessionNote.Kind.gap.rawValue: state.gaps += 1
            default: return
            }
            state.gapSeconds += Double(entry.durationNanoseconds) / 1e9
        }
    }

    /// Closes the connection; its session then ends with this reason.
    func end(reason: String) {
        endReason.withLock { $0 = $0 ?? reason }
        channel?.close(promise: nil)
    }
}
