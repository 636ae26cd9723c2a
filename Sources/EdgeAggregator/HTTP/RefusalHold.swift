import NIOCore
import ServiceLifecycle
import Synchronization

/// Refuses a stock client without driving it into its reconnect storm.
///
/// A stock listener takes any answer, and a closed connection even more, as a reason to connect again at once. So a
/// refused stream gets no answer: its body is left unread, which fills its socket and sends it to its card, and the
/// connection is closed after a while.
final class RefusalHold: Sendable {
    private let duration: Duration
    private let most: Int
    private let held = Mutex(0)

    /// - Parameters:
    ///   - seconds: how long a refused connection is held.
    ///   - most: how many are held at a time; beyond that they are closed at once.
    init(seconds: Int, most: Int) {
        duration = .seconds(seconds)
        self.most = most
    }

    var count: Int { held.withLock { $0 } }

    /// Holds the connection, then closes it.
    func hold(_ channel: any Channel) async {
        let isHeld = held.withLock { held in
            guard held < most else { return false }
            held += 1
            return true
        }
        if isHeld {
            try? await cancelWhenGracefulShutdown { [duration] in try await Task.sleep(for: duration) }
            held.withLock { $0 -= 1 }
        }
        try? await channel.close()
    }
}
