import Logging
import Sensors
import ServiceLifecycle
import Store

/// Corrects what the box has stamped while it did not know the time, once it does, and lets go what was held for it.
///
/// When the clock was waited for long enough, what is held goes as it is.
struct ClockWatch: Service {
    let store: Store
    let time: any TimeSource
    /// Zero: nothing is held, so nothing can be corrected that may have been sent.
    let wait: Duration
    let hasSinks: Bool
    let logger: Logger

    func run() async throws {
        let started = ContinuousClock.now
        var hasTold = false
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            do {
                try await pass(isWaitOver: hasSinks && ContinuousClock.now - started >= wait, &hasTold)
            } catch {
                logger.error("Times could not be corrected", metadata: ["error": "\(error)"])
            }
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(1)) }
        }
    }

    private func pass(isWaitOver: Bool, _ hasTold: inout Bool) async throws(StoreError) {
        let now = time.now()
        if now.isSynchronised, !hasSinks || wait > .zero {
            let isUnset = try await store.hasUnsetTimes(bootID: now.bootID)
            let isHeld = isUnset ? true : try await store.hasClockHeldDeliveries()
            guard isHeld else { return }
            try await store.commit([
                .clockIsSet(
                    bootID: now.bootID, offsetNanoseconds: now.utcOffsetNanoseconds, atNanoseconds: now.utcNanoseconds)
            ])
            if isUnset { logger.notice("The clock is set: what was stamped before is corrected") }
        } else if isWaitOver, try await store.hasClockHeldDeliveries() {
            if !hasTold {
                hasTold = true
                logger.warning(
                    "The clock is still not set: what was stamped by it is sent all the same (clock_wait_sec)")
            }
            try await store.commit([.clockIsAssumed])
        }
    }
}
