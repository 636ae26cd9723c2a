import Logging
import Sensors
import ServiceLifecycle
import Store

/// Keeps the database within its bounds: forgets what is old, never what waits to be sent.
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
    private static let day: Int64 = 86_400_000_000_000

    func run() async throws {
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: interval) }
            do {
                try await pass()
            } catch {
                logger.error("The history could not be kept within its bounds", metadata: ["error": "\(error)"])
            }
        }
    }

    func pass() async throws(StoreError) {
        let now = time.now()
        for _ in 0..<Self.mostBatches {
            guard let oldest = try await store.oldestHistoryNanoseconds() else { return }
            var before = Int64.min
            // A clock that is not set cannot say what is old; the bound of bytes needs none.
            if mostAgeNanoseconds > 0, now.isSynchronised { before = now.utcNanoseconds - mostAgeNanoseconds }
            if mostBytes > 0, try await store.usedBytes() > mostBytes { before = max(before, oldest + Self.day) }
            guard oldest < before else { return }
            try await store.commit([.forgetHistory(beforeNanoseconds: before, most: Self.batch)], freesRoom: true)
        }
    }
}
