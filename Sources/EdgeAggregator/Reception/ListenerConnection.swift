import AudioDSP
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
        /// Until when the device itself does not read the connection.
        var pausedUntilMonotonicNanoseconds: Int64 = .min
        var recordingName: String?
        var filledGaps: Int64 = 0
        var gaps: Int64 = 0
        var gapSeconds: Double = 0
    }

    let listener: ListenerID
    let remoteAddress: String
    /// By which it is counted.
    let address: ClientAddress
    /// Whether the settings name the listener: its place is never given to another address.
    let isNamed: Bool
    /// Whether nothing of the listener was here before this connection.
    let isNew: Bool
    /// Why the box ended the connection, once it has.
    private let endReason = Mutex<String?>(nil)
    private let close: @Sendable () -> Void
    private let state: Mutex<Status>

    /// - Parameter close: closes the connection, from any thread.
    init(
        listener: ListenerID, remoteAddress: String, address: ClientAddress, isNamed: Bool,
        isNew: Bool = false, now: TimeStamp,
        close: @escaping @Sendable () -> Void
    ) {
        self.listener = listener
        self.remoteAddress = remoteAddress
        self.address = address
        self.isNamed = isNamed
        self.isNew = isNew
        self.close = close
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

    /// Nothing is read for so long: that is no silence of the listener.
    func notePause(_ pause: Duration, at now: TimeStamp) {
        let end = now.monotonicNanoseconds + Int64(pause.seconds * 1e9)
        state.withLock { $0.pausedUntilMonotonicNanoseconds = max($0.pausedUntilMonotonicNanoseconds, end) }
    }

    /// Since when the listener could have sent something and has not.
    var silentSinceMonotonicNanoseconds: Int64 {
        state.withLock { max($0.lastReceivedMonotonicNanoseconds, $0.pausedUntilMonotonicNanoseconds) }
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
        close()
    }
}
