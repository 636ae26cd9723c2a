import Logging
import Sensors
import ServiceLifecycle
import Store

/// Keeps the database within its bounds: forgets what is old or empty, never what waits to be sent.
struct HistoryService: Service {
    let store: Store
    let time: any TimeSource
    /// 0 for no limit.
    let mostAgeNanoseconds: Int64
    /// 0 for no limit.
    let mostBytes: Int64
    let interval: Duration
    let logger: Logger

    private static let batch = 500
    /// Transactions in one pass, so that others have their turn.
    private static let mostBatches = 40
    /// Between two passes while more is left: history must not grow faster than it is forgotten.
    private static let pauseWhileOver = Duration.seconds(1)
    /// How long a listener is known of which no sound was ever kept.
    private static let emptyListenerAge = day
    private static let emptyListenersPerPass = 200
    private static let day: Int64 = 86_400_000_000_000

    func run() async throws {
        var pause = interval
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            try? await cancelWhenGracefulShutdown { [pause] in try await Task.sleep(for: pause) }
            do {
                pause = try await pass() ? interval : Self.pauseWhileOver
                try await forgetEmptyListeners()
            } catch {
                pause = interval
                logger.error("The history could not be kept within its bounds", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Whether the database is within its bounds, or nothing more may be forgotten.
    func pass() async throws(StoreError) -> Bool {
        let now = time.now()
        for _ in 0..<Self.mostBatches {
            guard let oldest = try await store.oldestHistoryNanoseconds() else { return true }
            var before = Int64.min
            // A clock that is not set cannot say what is old; the bound of bytes needs none.
            if mostAgeNanoseconds > 0, now.isSynchronised { before = now.utcNanoseconds - mostAgeNanoseconds }
            if mostBytes > 0, try await store.usedBytes() > mostBytes { before = max(before, oldest + Self.day) }
            guard oldest < before else { return true }
            try await store.commit([.forgetHistory(beforeNanoseconds: before, most: Self.batch)], freesRoom: true)
        }
        return false
    }

    func forgetEmptyListeners() async throws(StoreError) {
        let now = time.now()
        guard now.isSynchronised else { return }
        try await store.commit(
            [
                .forgetEmptyListeners(
                    beforeNanoseconds: now.utcNanoseconds - Self.emptyListenerAge, limit: Self.emptyListenersPerPass)
            ], freesRoom: true)
    }
}
