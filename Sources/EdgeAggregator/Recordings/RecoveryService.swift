import ServiceLifecycle

/// Says what the replaced receiver left here, and tries again what recovery could not read, decode or write at the start, after longer and
/// longer pauses, until nothing waits. It works on a thread of its own, and ends within a block of sound when the daemon stops.
struct RecoveryService: Service {
    let recovery: Recovery
    private let executor = IngestExecutor(threads: 1, name: "recovery")

    init(recovery: Recovery) { self.recovery = recovery }

    private static let firstPause = Duration.seconds(2)
    private static let longestPause = Duration.seconds(300)

    func run() async throws {
        defer { executor.stop() }
        await work { $0.lookThroughLegacyFiles() }
        var pause = Self.firstPause
        while recovery.waitingCount > 0, !Task.isShuttingDownGracefully, !Task.isCancelled {
            try? await cancelWhenGracefulShutdown { [pause] in try await Task.sleep(for: pause) }
            guard !Task.isShuttingDownGracefully, !Task.isCancelled else { return }
            await work { _ = $0.tryAgain() }
            pause = min(pause * 2, Self.longestPause)
        }
        // A service that ends takes the daemon with it.
        if !Task.isShuttingDownGracefully { try? await gracefulShutdown() }
    }

    private func work(_ body: @escaping @Sendable (Recovery) -> Void) async {
        await withGracefulShutdownHandler {
            await withTaskExecutorPreference(executor) { body(recovery) }
        } onGracefulShutdown: {
            recovery.stop()
        }
    }
}
