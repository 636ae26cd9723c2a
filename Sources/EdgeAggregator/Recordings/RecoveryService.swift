import ServiceLifecycle

/// Tries again what recovery could not read, decode or write at the start, after longer and longer pauses, until nothing waits.
/// It works on a thread of its own, and ends within a block of sound when the daemon stops.
struct RecoveryService: Service {
    let recovery: Recovery
    private let executor = IngestExecutor(threads: 1, name: "recovery")

    init(recovery: Recovery) { self.recovery = recovery }

    private static let firstPause = Duration.seconds(2)
    private static let longestPause = Duration.seconds(300)

    func run() async throws {
        defer { executor.stop() }
        var pause = Self.firstPause
        while recovery.waitingCount > 0, !Task.isShuttingDownGracefully, !Task.isCancelled {
            try? await cancelWhenGracefulShutdown { [pause] in try await Task.sleep(for: pause) }
            guard !Task.isShuttingDownGracefully, !Task.isCancelled else { return }
            await withGracefulShutdownHandler {
                await withTaskExecutorPreference(executor) { _ = recovery.tryAgain() }
            } onGracefulShutdown: {
                recovery.stop()
            }
            pause = min(pause * 2, Self.longestPause)
        }
        // A service that ends takes the daemon with it.
        if !Task.isShuttingDownGracefully { try? await gracefulShutdown() }
    }
}
