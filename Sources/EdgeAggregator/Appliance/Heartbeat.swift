import Foundation
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Store

/// Feeds the watchdog of the service manager from progress, never from a timer: each time every event loop has answered, every
/// receiving thread has, and the store has committed since the last time. Whoever is wedged is killed, and started anew. Without a
/// service manager the process ends itself.
struct Heartbeat: Service {
    let manager: ServiceManager
    let store: Store
    let ingest: IngestLoop
    let logger: Logger

    /// After so long without progress the process ends itself.
    private static let hangSeconds = 300

    func run() async throws {
        // Three chances within the time.
        let pause = min((manager.watchdog ?? .seconds(90)) / 3, .seconds(30))
        let hangWatch = HangWatch(limitSeconds: Self.hangSeconds, logger: logger)
        hangWatch.start()
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await beat()
                    manager.alive()
                } catch {
                    logger.error("No sign of life for the watchdog", metadata: ["reason": "\(error)"])
                }
                // An error is an answer: whether the daemon can go on with it is for ``StoreHealth`` to say.
                hangWatch.alive()
                try? await Task.sleep(for: pause)
            }
        }
        hangWatch.stop()
    }

    /// Returns when everything has moved on; whatever hangs keeps it from doing so.
    private func beat() async throws {
        for loop in MultiThreadedEventLoopGroup.singleton.makeIterator() {
            try await loop.submit {}.get()
        }
        await ingest.answer()
        do throws(StoreError) {
            try await store.beat()
        } catch {
            // A full disk is no hang, and a new start would not mend it: the writer has tried and said so.
            guard error.code == .diskFull else { throw error }
        }
    }
}
