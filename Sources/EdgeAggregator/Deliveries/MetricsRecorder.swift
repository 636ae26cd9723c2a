import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store
import Uplink

/// Writes the metrics down at intervals, so that a server hears of the times without a link too.
struct MetricsRecorder: Service {
    let collector: MetricsCollector
    let store: Store
    let time: any TimeSource
    let interval: Duration
    let logger: Logger

    func run() async throws {
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            do {
                let now = time.now()
                let payload = Gzip.compress(try await collector.page().utf8)
                store.enqueue([
                    .metrics(
                        MetricBatch(
                            timeNanoseconds: now.utcNanoseconds, unset: now.unset, payload: Data(payload))
                    )
                ])
            } catch {
                logger.error("The metrics could not be written down", metadata: ["error": "\(error)"])
            }
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: interval) }
        }
    }
}
