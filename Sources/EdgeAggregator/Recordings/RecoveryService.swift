import ServiceLifecycle

/// Tries again what recovery could not read or write at the start, after longer and longer pauses, until nothing waits.
struct RecoveryService: Service {
    let recovery: Recovery
    let executor: IngestExecutor

    private static let firstPause = Duration.seconds(2)
    private static let longestPause = Duration.seconds(300)

    func run() async throws {
        var pause = Self.firstPause
        while recovery.waitingCount > 0, !Task.isShuttingDownGracefully, !Task.isCancelled {
            try? await cancelWhenGracefulShutdown { [pause] in try await Task.sleep(for: pause) }
            guard !Task.isShuttingDownGracefully, !Task.isCancelled else { return }
            await withTaskExecutorPreference(executor) { _ = recovery.tryAgain() }
            pause = min(pause * 2, Self.longestPause)
        }
        // A service that ends takes the daemon with it.
        if !Task.isShuttingDownGracefully { try? await gracefulShutdown() }
    }
}
