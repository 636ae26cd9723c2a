import Logging
import ServiceLifecycle

/// Says that a start has lasted; in safe mode, ends the daemon after a while so that it is started normally.
struct StartWatch: Service {
    /// A start that lasts so long was a good one.
    static let good = Duration.seconds(600)

    let start: StartGuard
    let mode: StartGuard.Mode
    /// How long safe mode is kept.
    let safeFor: Duration
    let logger: Logger
    /// Ends the daemon as a signal would.
    let end: @Sendable () async -> Void

    func run() async throws {
        await cancelWhenGracefulShutdown {
            switch mode {
            case .normal:
                try? await Task.sleep(for: Self.good)
                if !Task.isCancelled { start.lasted() }
            case .safe:
                try? await Task.sleep(for: safeFor)
                guard !Task.isCancelled else { return }
                logger.notice("Safe mode has held: the daemon ends, to be started normally")
                start.tryAgain()
                await end()
            }
        }
        try? await gracefulShutdown()
    }
}
