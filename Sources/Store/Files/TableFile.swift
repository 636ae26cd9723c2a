import CEdgeSystem
import Foundation
import GRDB

/// A new SQLite file of plain tables, for readers that use SQL. It is written under a temporary name in the same folder, and gets its
/// name when it is complete and synced.
///
/// Memory: paths are borrowed for the system calls.
public final class TableFile {
    /// The file could not be made.
    public struct Failure: Error, CustomStringConvertible {
        /// What failed, on which file, and what to do.
        public let description: String

        init(_ text: String) { description = text }

        init(_ path: String, _ error: any Error) { description = "\(path) could not be written: \(error)" }
    }

    public enum Value: Sendable, Hashable {
        case null
        /// SQLite makes a number of it where the column is one and the text is one.
        case text(String)
        case integer(Int64)
    }

    private let path: String
    private let temporary: String
    private let replaces: Bool
    private let queue: DatabaseQueue
    private var isFinished = false

    /// Of SQLite's cache, KiB.
    private static let cacheKilobytes = 2048

    /// Makes the temporary file with its tables.
    ///
    /// - Parameters:
    ///   - path: The name that it gets.
    ///   - replaces: Whether a file of that name is replaced. Without it, one that is there is an error.
    ///   - schema: SQL.
    public init(path: String, replaces: Bool, schema: String) throws(Failure) {
        self.path = path
        self.replaces = replaces
        try Self.check(path, replaces: replaces)
        do {
            temporary = try Self.makeTemporary(beside: path)
        } catch {
            throw Failure("\(path): no file can be made there: \(error)")
        }
        do {
            var configuration = Configuration()
            configuration.prepareDatabase { database in
                // It is removed if it does not become complete, and synced once at the end.
                try database.execute(
                    sql:
                        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -\(Self.cacheKilobytes)"
                )
            }
            queue = try DatabaseQueue(path: temporary, configuration: configuration)
            try queue.write { try $0.execute(sql: schema) }
        } catch {
            unsafe unlink(temporary)
            throw Failure(path, error)
        }
    }

    deinit {
        if !isFinished {
            try? queue.close()
            unsafe unlink(temporary)
        }
    }

    /// Adds rows to a table, in one transaction.
    ///
    /// - Parameters:
    ///   - table: A name of the schema.
    ///   - rows: As many values each as the table has columns.
    public func insert(_ rows: [[Value]], into table: String) throws(Failure) {
        guard let width = rows.first?.count else { return }
        do {
            try queue.write { database in
                let marks = Array(repeating: "?", count: width).joined(separator: ", ")
                let statement = try database.cachedStatement(sql: "INSERT INTO \(table) VALUES (\(marks))")
                for row in rows {
                    try statement.execute(arguments: StatementArguments(row.map(Self.databaseValue)))
                }
            }
        } catch {
            throw error as? Failure ?? Failure(path, error)
        }
    }

    private static func databaseValue(_ value: Value) -> DatabaseValue {
        switch value {
        case .null: .null
        case .text(let text): text.databaseValue
        case .integer(let number): number.databaseValue
        }
    }

    /// Makes what the schema has not, such as indexes, syncs the file and gives it its name.
    ///
    /// - Returns: Its size in bytes.
    public func finish(_ sql: String) throws(Failure) -> Int64 {
        do {
            try queue.write { try $0.execute(sql: sql) }
            try queue.close()
            try DatabaseBackup.sync(temporary)
            try Self.check(path, replaces: replaces)
            // Another program may have made the file meanwhile.
            let result = unsafe replaces ? rename(temporary, path) : edge_rename_new(temporary, path)
            guard result == 0 else {
                if errno == EEXIST { throw Self.isThere(path) }
                throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
            }
            isFinished = true
            try DatabaseBackup.sync((path as NSString).deletingLastPathComponent)
            let facts = try FileManager.default.attributesOfItem(atPath: path)
            return (facts[.size] as? NSNumber)?.int64Value ?? 0
        } catch {
            throw error as? Failure ?? Failure(path, error)
        }
    }

    /// A journal of another database would be applied to the new file.
    private static func check(_ path: String, replaces: Bool) throws(Failure) {
        var status = EdgeFileStatus()
        if unsafe edge_lstat(path, &status) == 0 {
            guard replaces else { throw isThere(path) }
            guard status.kind == CChar(UInt8(ascii: "f")) else {
                throw Failure("\(path) is not a plain file; choose another name")
            }
        }
        for suffix in ["-wal", "-journal"] where unsafe edge_lstat(path + suffix, &status) == 0 {
            throw Failure(
                "\(path + suffix) exists: a program uses \(path), or did; end it, or choose another name"
            )
        }
    }

    private static func isThere(_ path: String) -> Failure {
        Failure("\(path) exists; choose another name, or replace it with --force")
    }

    /// Readable for whoever may read what the caller makes; the name is hidden.
    private static func makeTemporary(beside path: String) throws -> String {
        let folder = (path as NSString).deletingLastPathComponent
        let name = (path as NSString).lastPathComponent
        var template = Array("\(folder.isEmpty ? "." : folder)/.\(name).exporting-XXXXXX".utf8CString)
        let descriptor = unsafe template.withUnsafeMutableBufferPointer { unsafe edge_make_temporary($0.baseAddress) }
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        defer { close(descriptor) }
        _ = fchmod(descriptor, 0o644)
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
