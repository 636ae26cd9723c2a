import Foundation
import Logging
import Sensors
import Store

/// The box's database for a command that writes to it; the daemon may have it open too.
enum OpenStore {
    static func open<Result>(_ settings: Settings, _ body: (Store) async throws -> Result) async throws -> Result {
        let path = "\(settings.box.baseFolder)/edge.db"
        let store: Store
        do {
            try FileManager.default.createDirectory(
                atPath: settings.box.baseFolder, withIntermediateDirectories: true)
            var options = Store.Options()
            options.deliveries = DeliveryHouse.plan(settings, isClockHeld: false)
            store = try Store(path: path, options: options)
        } catch {
            printError("\(path): \(error)")
            throw ExitCodes.inputOutput
        }
        defer { store.close() }
        return try await body(store)
    }

    /// With what deals with nodes around it.
    static func use(_ settings: Settings, _ body: (NodeHouse) async throws -> Void) async throws {
        try await open(settings) { store in
            let executor = IngestExecutor(threads: 1, name: "files")
            defer { executor.stop() }
            try await body(
                NodeHouse(
                    store: store, time: TimeService(),
                    registry: try NodeRegistry(settings.nodes.admission, limits: settings.nodes.limits, store: store),
                    metrics: NodeMetrics(), events: EventHub(), executor: executor,
                    logger: Logger(label: "edge-aggregator")))
        }
    }
}
