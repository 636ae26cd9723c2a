import Foundation
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Store

/// Feeds the watchdog of the service manager from progress, never from a timer: each time every event loop has answered, every
/// receiving thread has, and the store has brought a commit to its end since the last time. Whoever is wedged is killed, and
/// started anew.
struct Heartbeat: Service {
    let manager: ServiceManager
    let store: Store
    let ingest: IngestLoop
    let logger: Logger

    func run() async throws {
        guard let watchdog = manager.watchdog else {
            try? await gracefulShutdown()
            return
        }
        // Three chances within the time.
        let pause = min(watchdog / 3, .seconds(30))
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await beat()
                    manager.alive()
                } catch {
                    logger.error("No sign of life for the watchdog", metadata: ["reason": "\(error)"])
                }
                try? await Task.sleep(for: pause)
            }
        }
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
