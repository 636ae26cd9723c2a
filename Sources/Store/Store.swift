import CSQLite
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
        /// Whether a database that cannot be read in many starts is put aside. For the daemon alone: a command is no start.
        public var mayGiveUpUnreadable = false
        /// What is known of the disk's free space.
        public var room = StoreRoom()

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
    private let isClosed = Mutex(false)
    /// Commits at the last sign of life.
    let beats = Mutex(-1)

    /// Opens the database, or makes it. A damaged file is put aside, never deleted, and a new one begun.
    ///
    /// So is one of a newer version that this one cannot work with, unless there is a copy of before. A file that is missing or too
    /// short beside a whole journal is rebuilt from it (``JournalRescue``). A start writes to the database only what has to change.
    ///
    /// - Throws: ``StoreError``. The files are as they were then, and the reason says what to do.
    public init(path: String, options: Options = Options()) throws(StoreError) {
        self.path = path
        do {
            let opened = try Self.openOrBeginAnew(path, options)
            pool = opened.pool
            notices = opened.notices
            damagedCopy = opened.aside
            writer = StoreWriter(
                database: pool, commitIntervalMilliseconds: options.commitIntervalMilliseconds,
                longestQueue: options.longestQueue, plan: options.deliveries, room: options.room,
                ring: { [doorbells] in doorbells.ring() })
        } catch {
            throw Self.explain(error, path)
        }
    }

    private struct Opened {
        var pool: DatabasePool
        var notices: [String]
        var aside: String?
    }

    /// Opens the database; for the daemon, one that the disk has not let be read for many starts is put aside like a damaged one.
    private static func openOrBeginAnew(_ path: String, _ options: Options) throws -> Opened {
        guard options.mayGiveUpUnreadable else { return try openIfReadable(path, options) }
        let unreadable = Suspicion(path: path, .unreadable)
        do {
            let opened = try openIfReadable(path, options)
            unreadable.clear()
            return opened
        } catch  where isUnreadable(path) || isUnreadable("\(path)-wal") {
            unreadable.raise("\(error)")
            guard let standing = unreadable.standing, standing.times >= Suspicion.maximumUnreadableStarts else {
                throw error
            }
            let aside = try DatabaseSwap.beginAnew(path)
            unreadable.clear()
            var opened = try openIfReadable(path, options)
            opened.aside = aside
            opened.notices.append(
                "the disk did not let \(path) be read in \(standing.times) starts: \(standing.reason)")
            return opened
        }
    }

    private static func openIfReadable(_ path: String, _ options: Options) throws -> Opened {
        var notices = try DatabaseSwap.finishAll(path)
        let rescue = try JournalRescue(path: path).run()
        notices += rescue.notices
        do {
            let pool = try open(path, options, &notices)
            return Opened(pool: pool, notices: notices, aside: rescue.aside)
        } catch let error as DatabaseError
            where error.resultCode == .SQLITE_NOTADB || error.resultCode == .SQLITE_CORRUPT
        {
            // A check also calls damaged what the disk does not give.
            guard !isUnreadable(path), !isUnreadable("\(path)-wal") else {
                throw DatabaseError(resultCode: .SQLITE_IOERR, message: "\(path) cannot be read: \(error)")
            }
            let aside = try DatabaseSwap.beginAnew(path)
            let pool = try open(path, options, &notices)
            return Opened(pool: pool, notices: notices, aside: aside)
        }
    }

    /// Whether the disk does not give a file, as with a sector that cannot be read. SQLite's codes do not always tell.
    ///
    /// Memory: the path and the buffer are borrowed for the calls.
    private static func isUnreadable(_ path: String) -> Bool {
        let file = unsafe Foundation.open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { Foundation.close(file) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = unsafe Foundation.read(file, &buffer, buffer.count)
            if count < 0, errno != EINTR { return errno == EIO }
            if count == 0 { return false }
        }
    }

    /// An open that failed, with what to do.
    private static func explain(_ error: any Error, _ path: String) -> StoreError {
        let folder = (path as NSString).deletingLastPathComponent
        var failure = StoreError(error, code: .open)
        let isFull =
            failure.code == .diskFull || (error as? POSIXError)?.code == .ENOSPC
            || (error as? CocoaError)?.code == .fileWriteOutOfSpace
        let advice: String? =
            switch (error as? DatabaseError)?.resultCode {
            case _ where isFull:
                "The disk of \(folder) is full. Make room there (a few megabytes, and some free inodes: `df -h`, `df -i`), for example by deleting recordings, and start again"
            case .SQLITE_IOERR?:
                "The disk of \(folder) failed or is full. Look at `df -h`, `df -i` and the kernel's log (`dmesg`), and start again; the database files were left as they are. After \(Suspicion.maximumUnreadableStarts) starts in which the database cannot be read, it is put aside and a new one begun"
            case .SQLITE_CANTOPEN?, .SQLITE_READONLY?, .SQLITE_PERM?, .SQLITE_AUTH?:
                "\(folder) and the database in it must be writable for this user, and there must be free inodes (`df -i`); mount it writable or correct its owner, and start again"
            case .SQLITE_BUSY?, .SQLITE_LOCKED?:
                "Another program has had the database locked for 10 s. End it (`fuser \(path)`), and start again"
            default: nil
            }
        if let advice {
            failure = StoreError(
                isFull ? .diskFull : .open, reason: "\(path): \(failure.reason). \(advice)",
                resultCode: failure.resultCode)
        }
        return failure
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
            // A database that turns out to be damaged is put aside as it was found. `close` writes the journal into it by itself.
            // Memory: the connection is open while this closure runs.
            if let connection = unsafe database.sqliteConnection {
                unsafe edge_sqlite_set_flag(connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            }
        }
        let pool = try DatabasePool(path: path, configuration: configuration)
        do {
            try prepare(pool, &notices)
        } catch {
            try? pool.close()
            throw error
        }
        return pool
    }

    private static func prepare(_ pool: DatabasePool, _ notices: inout [String]) throws {
        // The pool sets NORMAL for its writer when it turns the journal to WAL: too little for what is acknowledged.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        let migrator = Schema.migrator
        let (isNewer, isComplete, leastReader) = try pool.read { database in
            guard try String.fetchOne(database, sql: "PRAGMA quick_check(1)") == "ok" else {
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "quick_check found damage")
            }
            return (
                try migrator.hasBeenSuperseded(database), try migrator.hasCompletedMigrations(database),
                try Int.fetchOne(database, sql: "PRAGMA user_version")
            )
        }
        // On a full disk nothing can be written, and mostly there is nothing to change.
        if isNewer {
            notices.append("the database is of a newer version, which this one can work with")
        } else {
            if !isComplete { try Schema.migrate(pool) }
            if leastReader != Schema.leastReader {
                try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA user_version = \(Schema.leastReader)") }
            }
        }
        try SchemaCheck(path: pool.path).settle(pool, &notices)
    }

    /// Rings after each commit that may have made something to deliver. One for each who waits, for the store's life.
    public func doorbell() -> Doorbell { doorbells.make() }

    // MARK: - Writing

    /// Makes changes, all or none, and returns when they are synced to the disk.
    ///
    /// - Parameter freesRoom: Whether the changes are what makes room on a disk that is short. They are then written where others
    ///   are refused, and before those that wait.
    public func commit(_ changes: [StoreChange], freesRoom: Bool = false) async throws(StoreError) {
        let result = await withCheckedContinuation { continuation in
            writer.enqueue(changes, isPatient: false, freesRoom: freesRoom) { continuation.resume(returning: $0) }
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
    public func commitBlocking(_ changes: [StoreChange], freesRoom: Bool = false) throws(StoreError) {
        let done = DispatchSemaphore(value: 0)
        let box = ResultBox()
        writer.enqueue(changes, isPatient: false, freesRoom: freesRoom) { result in
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

    /// Writes what is queued and then the journal into the database file, which is complete by itself afterwards, and ends. Nothing can
    /// be written after.
    ///
    /// Neither a reader nor another process can hold it up for long, and an error (for example a full disk) does not either: then
    /// everything stays in the journal, from where the next start reads it.
    public func close() {
        writer.close()
        let isFirst = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
        guard isFirst else { return }
        let done = DispatchSemaphore(value: 0)
        let thread = Thread { [pool] in
            if !Self.emptyJournal(pool) {
                // Somebody reads: a reader of this process gets an error, one of another process keeps the journal.
                pool.interrupt()
                _ = Self.emptyJournal(pool)
            }
            try? pool.close()
            done.signal()
        }
        thread.name = "store-close"
        thread.start()
        _ = done.wait(timeout: .now() + Self.longestCloseSeconds)
    }

    private static let longestCloseSeconds = 30.0

    /// - Returns: False if a reader kept the journal in use.
    private static func emptyJournal(_ pool: DatabasePool) -> Bool {
        do {
            _ = try pool.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA busy_timeout = 1000")
                return try database.checkpoint(.truncate)
            }
            return true
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            return false
        } catch {
            // Not for want of patience.
            return true
        }
    }

    /// For how long changes have waited without an attempt to write that came to an end; zero when none waits.
    public var stuck: Duration { writer.stuck }

    /// Whether so much waits to be written that whoever can wait should not bring more.
    public var isCrowded: Bool { writer.isCrowded }

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
            throw writer.noted(StoreError(error))
        }
    }

    func readBlocking<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
        do {
            return try pool.read(body)
        } catch {
            throw writer.noted(StoreError(error))
        }
    }
}
