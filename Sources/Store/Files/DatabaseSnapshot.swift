import CSQLite
import Foundation
import TextParts

/// A copy of somebody else's SQLite file as of one moment, with everything that its journal or write-ahead log holds, in one file.
///
/// The source is only read: nothing in its folder changes, the folder may be read-only, and another program may be writing. The files
/// are copied and SQLite applies the log to the copy. If a program begins its log again during each attempt, SQLite copies the
/// database together with that program's locks.
///
/// Memory: databases and statements of SQLite are opened and closed within one function each; SQLite copies what it is handed. Paths
/// and locks are borrowed for the calls.
public struct DatabaseSnapshot: Sendable, Equatable {
    /// The file could not be copied, or not as of one moment.
    public struct Failure: Error, CustomStringConvertible {
        /// What failed, why, and what to do.
        public let description: String
        /// Whether a file could not be read or written, and not that its content is wrong.
        public let isInputOutput: Bool
    }

    /// Size of the copy.
    public private(set) var bytes: Int64 = 0
    /// Frames of the write-ahead log that are in it.
    public private(set) var journalFrames = 0
    /// What could not be read and is not in the copy; nil if it has everything.
    public private(set) var problem: String?

    private static let attempts = 3
    private static let lockAttempts = 100

    /// Whether a file is a database in WAL mode: then what was written last may be in a `-wal` beside it.
    public static func isWriteAhead(_ path: String) -> Bool {
        guard let file = FileHandle(forReadingAtPath: path) else { return false }
        defer { try? file.close() }
        let head = (try? file.read(upToCount: 20)).map { Array($0) } ?? []
        return head.count == 20 && head.starts(with: Array("SQLite format 3\0".utf8)) && head[19] == 2
    }

    /// Size of a database with what lies beside it.
    public static func size(of source: String) -> Int64 {
        ["", "-wal", "-journal"].reduce(0) { $0 + (size(source + $1) ?? 0) }
    }

    /// Copies a database.
    ///
    /// - Parameters:
    ///   - source: The database; a `-wal` or `-journal` beside it is read too.
    ///   - target: The new file. If it exists, its content is replaced.
    ///   - copied: Is called between the copying of the files, in tests.
    /// - Returns: What the copy is.
    public static func take(
        _ source: String, to target: String, copied: () -> Void = {}
    ) throws(Failure) -> DatabaseSnapshot {
        let raw = "\(target)-copy"
        defer { remove(raw) }
        var snapshot = DatabaseSnapshot()
        do {
            var isStable = false
            for _ in 0..<attempts where !isStable { isStable = try copyFiles(source, to: raw, copied) }
            if isStable {
                try snapshot.apply(raw, of: source, to: target)
            } else {
                // SQLite would delete the log beside a file that it takes for an empty one.
                guard size(source) ?? 0 >= 512 else {
                    throw Failure(
                        description: "\(source) changes all the time; end the program that writes to it and try again",
                        isInputOutput: true)
                }
                try backUp(uri(source), isReadOnly: true, to: target, named: source)
            }
            try markAsPlain(target)
            snapshot.bytes = size(target) ?? 0
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(description: "\(source) could not be copied to \(target): \(error)", isInputOutput: true)
        }
        return snapshot
    }

    /// Makes the one file of the copied ones.
    private mutating func apply(_ raw: String, of source: String, to target: String) throws {
        let log = try WriteAheadLog(path: "\(raw)-wal")
        if log.isHeaderDamaged {
            problem = "\(source)-wal (\(log.bytes) bytes) cannot be read, its header is damaged"
        } else if log.lostFrames > 0 {
            problem =
                "\(source)-wal is damaged after \(log.committedFrames) frames; the \(log.lostFrames) that follow cannot be read"
        }
        guard log.hasCommits || Self.size("\(raw)-journal") ?? 0 > 0 else {
            try Self.copy(raw, to: target)
            return
        }
        journalFrames = log.committedFrames
        // SQLite would delete the log beside a file that it takes for an empty one. The first page is in the log, or there is none.
        let size = Self.size(raw) ?? 0
        if log.hasCommits, size < Int64(log.pageBytes) {
            if log.missingPages > 0, problem == nil {
                problem =
                    "\(source) has only \(size) bytes, and \(source)-wal has \(log.pages - log.missingPages) of its \(log.pages) pages; rows may be missing"
            }
            try Data(repeating: 0xFF, count: log.pageBytes).write(to: URL(fileURLWithPath: raw))
        }
        try Self.backUp(Self.uri(raw), isReadOnly: false, to: target, named: source)
    }

    // MARK: - Files

    private static func size(_ path: String) -> Int64? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.int64Value
    }

    private static func remove(_ raw: String) {
        for suffix in [""] + DatabaseSwap.companions { try? FileManager.default.removeItem(atPath: raw + suffix) }
    }

    /// What tells whether a file was written to.
    private struct State: Equatable {
        var size: Int64?
        var modified: Date?
        var inode: Int?

        init(_ path: String) {
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            size = (attributes?[.size] as? NSNumber)?.int64Value
            modified = attributes?[.modificationDate] as? Date
            inode = (attributes?[.systemFileNumber] as? NSNumber)?.intValue
        }
    }

    /// Copies the database first and its log second. While the log is not begun again, it has everything that was written to the
    /// database in the meantime, and the copies make a whole.
    ///
    /// - Returns: False if something changed that makes the copies unusable.
    private static func copyFiles(_ source: String, to raw: String, _ copied: () -> Void) throws -> Bool {
        remove(raw)
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: source))
        // The lock goes with the file.
        defer { try? file.close() }
        try lock(file.fileDescriptor, source)
        let before = (State(source), State("\(source)-journal"), try header(of: "\(source)-wal"))
        try copy(file, to: raw)
        copied()
        for suffix in ["-wal", "-journal"] where size(source + suffix) ?? 0 > 0 {
            try copy(source + suffix, to: raw + suffix)
        }
        let after = (State(source), State("\(source)-journal"), try header(of: "\(source)-wal"))
        guard before.0.inode == after.0.inode, before.1 == after.1, before.2 == after.2 else { return false }
        return !after.2.isEmpty || before.0 == after.0
    }

    /// Empty if there is no log, or nothing in it.
    private static func header(of log: String) throws -> [UInt8] {
        guard size(log) ?? 0 > 0 else { return [] }
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: log))
        defer { try? file.close() }
        return try file.read(upToCount: 32).map { Array($0) } ?? []
    }

    /// Keeps programs from writing to a database without WAL mode, and from removing the log: takes SQLite's SHARED lock
    /// (<https://www.sqlite.org/lockingv3.html>). Where the file system has no locks, the times of the files have to do.
    private static func lock(_ descriptor: Int32, _ source: String) throws {
        for _ in 0..<lockAttempts {
            var lock = flock()
            lock.l_type = Int16(F_RDLCK)
            lock.l_whence = Int16(SEEK_SET)
            lock.l_start = 0x4000_0002
            lock.l_len = 510
            // F_OFD_SETLK: of the open file, not of the process.
            if unsafe fcntl(descriptor, 37, &lock) == 0 { return }
            guard errno == EAGAIN || errno == EACCES else { return }
            usleep(50_000)
        }
        throw Failure(
            description: "\(source) is locked by another program that writes to it; end that program and try again",
            isInputOutput: true)
    }

    private static func copy(_ source: String, to target: String) throws {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: source))
        defer { try? file.close() }
        try copy(file, to: target)
    }

    private static func copy(_ file: FileHandle, to target: String) throws {
        if !FileManager.default.fileExists(atPath: target) {
            guard FileManager.default.createFile(atPath: target, contents: nil, attributes: [.posixPermissions: 0o600])
            else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        }
        let copy = try FileHandle(forWritingTo: URL(fileURLWithPath: target))
        defer { try? copy.close() }
        try copy.truncate(atOffset: 0)
        while let data = try file.read(upToCount: 1 << 20), !data.isEmpty { try copy.write(contentsOf: data) }
    }

    /// The copy is whole by itself: its header must not say that there is a log.
    private static func markAsPlain(_ path: String) throws {
        guard isWriteAhead(path) else { return }
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        defer { try? file.close() }
        try file.seek(toOffset: 18)
        try file.write(contentsOf: Data([1, 1]))
    }

    // MARK: - SQLite

    private static func uri(_ path: String) -> String {
        // `?`, `#` and `%` would be taken for parts of the address.
        "file:" + path.replacingText("%", with: "%25").replacingText("?", with: "%3f").replacingText("#", with: "%23")
    }

    /// Copies pages as they are, without a look at what they say.
    private static func backUp(_ uri: String, isReadOnly: Bool, to target: String, named source: String) throws {
        var from: OpaquePointer?
        var to: OpaquePointer?
        defer {
            unsafe sqlite3_close(from)
            unsafe sqlite3_close(to)
        }
        func check(_ result: Int32, _ database: OpaquePointer?) throws {
            guard result != SQLITE_OK else { return }
            let reason = unsafe database.map { unsafe String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            let isInputOutput = [SQLITE_FULL, SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_BUSY, SQLITE_READONLY].contains(
                result & 0xFF)
            throw Failure(
                description: "\(source) and what lies beside it could not be read as a database: \(reason)",
                isInputOutput: isInputOutput)
        }
        let flags = SQLITE_OPEN_URI | SQLITE_OPEN_PRIVATECACHE
        let access = isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE
        let opened = unsafe sqlite3_open_v2(uri, &from, flags | access, nil)
        try unsafe check(opened, from)
        if let from = unsafe from {
            // Of the copied files the log is of no use afterwards, and the source's must stay.
            unsafe edge_sqlite_set_flag(from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            unsafe sqlite3_busy_timeout(from, 10_000)
        }
        try empty(target)
        let made = unsafe sqlite3_open_v2(target, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nil)
        try unsafe check(made, to)
        // Whoever takes the copy syncs it.
        unsafe sqlite3_exec(to, "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF", nil, nil, nil)
        guard let backup = unsafe sqlite3_backup_init(to, "main", from, "main") else {
            let result = unsafe sqlite3_errcode(to)
            return try unsafe check(result, to)
        }
        let step = unsafe sqlite3_backup_step(backup, -1)
        let result = unsafe sqlite3_backup_finish(backup)
        try unsafe check(step == SQLITE_DONE ? result : max(step, result), to)
    }

    /// Keeps the file the same one: somebody may have it open to sync it.
    private static func empty(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        defer { try? file.close() }
        try file.truncate(atOffset: 0)
    }
}
