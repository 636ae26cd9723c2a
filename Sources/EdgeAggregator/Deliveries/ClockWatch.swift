import Logging
import Sensors
import ServiceLifecycle
import Store

/// Lets go what was held because the box did not know the time: once it does, or when it was waited for long enough.
struct ClockWatch: Service {
    let store: Store
    let time: any TimeSource
    let wait: Duration
    let logger: Logger

    func run() async throws {
        let started = ContinuousClock.now
        var hasTold = false
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            let isSet = time.now().isSynchronised
            if isSet || ContinuousClock.now - started >= wait, (try? await store.hasClockHeldDeliveries()) == true {
                if !isSet, !hasTold {
                    hasTold = true
                    logger.warning(
                        "The clock is still not set: what was stamped by it is sent all the same (clock_wait_sec)")
                }
                do {
                    try await store.commit([.clockIsTrusted])
                } catch {
                    logger.error("Held deliveries could not be let go", metadata: ["error": "\(error)"])
                }
            }
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(1)) }
        }
    }
}
