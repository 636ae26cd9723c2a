import Logging
import ServiceLifecycle
import Store
import Synchronization

/// Measures how many bytes each table of the database has, in the background: a scrape only reads what was measured last.
///
/// All pages are read for it, so it takes at most a two-hundredth of the time, however large the database is. A table that takes longer than
/// ``longestTable`` is left out; its pages count as `other`.
final class TableSizes: Service {
    struct Sizes: Sendable, Equatable {
        /// Bytes with indexes, by the table's name.
        var tables: [String: Int64] = [:]
        /// Bytes of free pages, of SQLite's own tables and of tables that were left out.
        var other: Int64 = 0
    }

    private let store: Store
    private let logger: Logger
    private let latest = Mutex<Sizes?>(nil)

    /// The shortest time between two measurements.
    private static let interval: Duration = .seconds(600)
    /// Of the time that the last measurement took.
    private static let restFactor = 200
    private static let longestTable: Duration = .seconds(30)

    init(store: Store, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// Nil before the first measurement has ended.
    var sizes: Sizes? { latest.withLock(\.self) }

    func run() async throws {
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            let begin = ContinuousClock.now
            do {
                let measured = try await cancelWhenGracefulShutdown { [self] in try await measure() }
                latest.withLock { $0 = measured }
            } catch  where !Task.isShuttingDownGracefully && !Task.isCancelled {
                // What was measured before is no longer true.
                latest.withLock { $0 = nil }
                logger.warning(
                    "The tables of the database could not be measured; it is tried again",
                    metadata: ["error": "\(error)"])
            } catch {
                return
            }
            let rest = max(Self.interval, (ContinuousClock.now - begin) * Self.restFactor)
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: rest) }
        }
    }

    func measure() async throws -> Sizes {
        var sizes = Sizes()
        for table in Store.tables {
            try Task.checkCancellation()
            guard let bytes = try await store.bytes(ofTable: table, atMost: Self.longestTable) else { continue }
            sizes.tables[table] = bytes
        }
        // Tables may grow between two looks.
        sizes.other = max(0, try await store.pageBytes() - sizes.tables.values.reduce(0, +))
        return sizes
    }
}

extension MetricsCollector {
    func addTables(_ page: inout MetricsPage) {
        guard let sizes = tables.sizes else { return }
        let name = "edge_aggregator_database_table_bytes"
        page.family(
            name, "gauge",
            "Bytes of each table of the database with its indexes, measured at most every ten minutes; other has free pages and tables that took too long."
        )
        for (table, bytes) in sizes.tables.sorted(by: { $0.key < $1.key }) {
            page.sample(name, [("table", table)], Double(bytes))
        }
        page.sample(name, [("table", "other")], Double(sizes.other))
    }
}
