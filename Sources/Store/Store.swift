import Foundation
import GRDB
import Synchronization

/// What the box knows: sessions, recordings, detections and the loss ledger, in one SQLite file.
///
/// Every change goes through one writer that commits in groups; whoever acknowledges something awaits ``commit(_:)``,
/// which returns once the change is synced. Readers see snapshots and never wait for the writer.
public final class Store: Sendable {
    public struct Options: Sendable {
        /// How long changes may gather.
        public var commitIntervalMilliseconds = 20
        /// Beyond so many waiting changes, callers are refused.
        public var longestQueue = 20_000
        /// Pages the file may have; 0 for no limit. (A page has 4,096 bytes.)
        public var mostPages = 0
        /// Which sinks are to be sent what.
        public var deliveries = DeliveryPlan.nothing

        public init() {}
    }

    let pool: DatabasePool
    /// What happened to the database at the start that an operator should know; empty when nothing did.
    public let notices: [String]
    private let writer: StoreWriter
    public let path: String
    /// Where a damaged database was put aside at the start; nil if there was none.
    public let damagedCopy: String?
    private let doorbells = Doorbells()
    /// Commits at the last sign of life.
    let beats = Mutex(-1)

    /// Opens the database, or makes it. A damaged file is put aside, never deleted, and a new one begun.
    ///
    /// So is one of a newer version that this one cannot work with, unless there is a copy of before.
    ///
    /// - Throws: ``StoreError``.
    public init(path: String, options: Options = Options()) throws(StoreError) {
        self.path = path
        do {
            var aside: String?
            let pool: DatabasePool
            var notices: [String] = []
            do {
                pool = try Self.open(path, options, &notices)
            } catch let error as DatabaseError
                where error.resultCode == .SQLITE_NOTADB || error.resultCode == .SQLITE_CORRUPT
            {
                aside = try Self.putAside(path)
                pool = try Self.open(path, options, &notices)
            }
            self.pool = pool
            self.notices = notices
            damagedCopy = aside
            writer = StoreWriter(
                database: pool, commitIntervalMilliseconds: options.commitIntervalMilliseconds,
                longestQueue: options.longestQueue, plan: options.deliveries,
                ring: { [doorbells] in doorbells.ring() })
        } catch {
            throw StoreError(error, code: .open)
        }
    }

    private static func open(
        _ path: String, _ options: Options, _ notices: inout [String]
    ) throws -> DatabasePool {
        notices += try SchemaHistory(path: path).makeUsable()
        var configuration = Configuration()
        configuration.label = "edge.db"
        configuration.maximumReaderCount = 4
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA journal_size_limit = 4194304")
            // KiB of pages in memory. What readers look for twice is in the system's own cache.
            try database.execute(sql: "PRAGMA cache_size = \(database.configuration.readonly ? -512 : -2048)")
            if options.mostPages > 0 { try database.execute(sql: "PRAGMA max_page_count = \(options.mostPages)") }
        }
        let pool = try DatabasePool(path: path, configuration: configuration)
        // The pool sets NORMAL for its writer when it turns the journal to WAL: too little for what is acknowledged.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        try pool.read { database in
            guard try String.fetchOne(database, sql: "PRAGMA quick_check(1)") == "ok" else {
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "quick_check found damage")
            }
        }
        let migrator = Schema.migrator
        if try pool.read(migrator.hasBeenSuperseded) {
            notices.append("the database is of a newer version, which this one can work with")
        } else {
            try migrator.migrate(pool)
            try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA user_version = \(Schema.leastReader)") }
        }
        return pool
    }

    private static func putAside(_ path: String) throws -> String {
        var number = 1
        while FileManager.default.fileExists(atPath: "\(path).damaged-\(number)") { number += 1 }
        let aside = "\(path).damaged-\(number)"
        for suffix in ["", "-wal", "-shm"] where FileManager.default.fileExists(atPath: path + suffix) {
            try FileManager.default.moveItem(atPath: path + suffix, toPath: aside + suffix)
        }
        return aside
    }

    /// Rings after each commit that may have made something to deliver. One for each who waits, for the store's life.
    public func doorbell() -> Doorbell { doorbells.make() }

    // MARK: - Writing

    /// Makes changes, all or none, and returns when they are synced to the disk.
    public func commit(_ changes: [StoreChange]) async throws(StoreError) {
        let result = await withCheckedContinuation { continuation in
            writer.enqueue(changes, isPatient: false) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// Makes changes, all or none, and tells, on the writer's thread, when they are synced to the disk.
    public func commit(
        _ changes: [StoreChange], completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        writer.enqueue(changes, isPatient: false, completion)
    }

    /// Makes changes, all or none, soon; in the order of the calls. While the disk is full they wait for room.
    /// `completion` hears of it on the writer's thread.
    public func enqueue(
        _ changes: [StoreChange], completion: (@Sendable (Result<Void, StoreError>) -> Void)? = nil
    ) {
        writer.enqueue(changes, isPatient: true, completion)
    }

    /// Like ``commit(_:)``, for threads that may wait. Never call it from a task.
    public func commitBlocking(_ changes: [StoreChange]) throws(StoreError) {
        let done = DispatchSemaphore(value: 0)
        let box = ResultBox()
        writer.enqueue(changes, isPatient: false) { result in
            box.set(result)
            done.signal()
        }
        done.wait()
        try box.result.get()
    }

    private final class ResultBox: @unchecked Sendable {
        // Written before the semaphore is signalled, read after it was waited for.
        private(set) var result: Result<Void, StoreError> = .success(())
        func set(_ result: Result<Void, StoreError>) { self.result = result }
    }

    /// Writes what is queued, and ends. Nothing can be written after.
    public func close() {
        writer.close()
        try? pool.close()
    }

    /// For how long changes have waited without an attempt to write that came to an end; zero when none waits.
    public var stuck: Duration { writer.stuck }

    public var statistics: StoreStatistics {
        var statistics = writer.statistics
        statistics.databaseBytes = Self.size(path)
        statistics.journalBytes = Self.size(path + "-wal")
        return statistics
    }

    private static func size(_ path: String) -> Int64 {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.int64Value ?? 0
    }

    // MARK: - Reading

    func read<Value: Sendable>(_ body: @Sendable (Database) throws -> Value) async throws(StoreError) -> Value {
        do {
            return try await pool.read(body)
        } catch {
            throw StoreError(error)
        }
    }

    func readBlocking<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
        do {
            return try pool.read(body)
        } catch {
            throw StoreError(error)
        }
    }
}
