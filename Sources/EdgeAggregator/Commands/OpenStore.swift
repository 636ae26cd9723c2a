import Foundation
import Logging
import Sensors
import Store

/// The box's database for a command that writes to it; the daemon may have it open too.
enum OpenStore {
    static func open<Result>(_ settings: Settings, _ body: (Store) async throws -> Result) async throws -> Result {
        let path = "\(settings.box.baseFolder)/edge.db"
        let made = FilesOfRoot(settings)
        let isNew = !FileManager.default.fileExists(atPath: path)
        let store: Store
        do {
            try FileManager.default.createDirectory(
                atPath: settings.box.baseFolder, withIntermediateDirectories: true)
            var options = Store.Options()
            options.deliveries = DeliveryHouse.plan(settings, isClockHeld: false)
            store = try Store(path: path, options: options)
            // A daemon that starts now needs it.
            if isNew { try FileOwner(of: settings.box.baseFolder).take(databaseAt: path) }
        } catch {
            printError("\(path): \(error)")
            throw ExitCodes.inputOutput
        }
        defer { store.close() }
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body(store)) } catch { result = .failure(error) }
        do {
            try made.handOver()
        } catch {
            printError(
                "What was made in \(settings.box.baseFolder) could not be given to the daemon's user: \(error); give it with chown -R"
            )
            throw ExitCodes.inputOutput
        }
        return try result.get()
    }

    /// The same for a command that uses nothing but the daemon's files: it goes on as the daemon's user.
    static func openAsOwner<Result>(_ settings: Settings, _ body: (Store) async throws -> Result) async throws -> Result
    {
        do {
            try FileOwner(of: settings.box.baseFolder).become()
        } catch {
            printError("The user of \(settings.box.baseFolder) cannot be taken on: \(error)")
            throw ExitCodes.inputOutput
        }
        return try await open(settings, body)
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
