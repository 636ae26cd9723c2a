import Foundation
import GRDB

/// A copy of the database as it was at one moment, made while it is in use (SQLite's Online Backup API).
///
/// Memory: the paths are borrowed for the system calls.
public enum DatabaseBackup {
    /// What a copy is, by its own word.
    public struct Facts: Sendable, Hashable {
        public let bytes: Int64
        /// Steps of the schema that it has.
        public let schema: [String]
        public let recordings: Int
        public let detections: Int
        public let observations: Int
    }

    /// Copies the database at `source` to the new file `target`, synced and looked through.
    ///
    /// - Throws: ``StoreError``; nothing is left at `target` then.
    ///
    /// - Parameter prepare: what is done with the copy before it gets its name.
    public static func copy(
        from source: String, to target: String, prepare: (String) throws -> Void = { _ in }
    ) throws(StoreError) -> Facts {
        do {
            try JournalRescue(path: source).check()
            guard FileManager.default.fileExists(atPath: source) else {
                throw StoreError(.open, reason: "\(source): there is no database")
            }
            var configuration = Configuration()
            configuration.busyMode = .timeout(30)
            configuration.readonly = true
            let from = try DatabaseQueue(path: source, configuration: configuration)
            let partial = "\(target).partial"
            removePartial(of: target)
            do {
                var target = Configuration()
                // One file, without a journal beside it.
                target.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
                let to = try DatabaseQueue(path: partial, configuration: target)
                // All at once: a copy in pieces begins anew with each write of the daemon.
                try from.backup(to: to)
                try to.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
                try to.close()
            }
            try from.close()
            let facts = try look(at: partial)
            try prepare(partial)
            try sync(partial)
            guard unsafe rename(partial, target) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
            try sync((target as NSString).deletingLastPathComponent)
            return facts
        } catch {
            removePartial(of: target)
            throw StoreError(error, code: .open)
        }
    }

    /// With what SQLite has beside it: the journal of an earlier copy must not be applied to the next one.
    private static func removePartial(of target: String) {
        for suffix in [""] + DatabaseSwap.companions {
            try? FileManager.default.removeItem(atPath: "\(target).partial\(suffix)")
        }
    }

    /// What a copy holds.
    ///
    /// - Throws: when it is damaged, or no database of ours.
    public static func look(at path: String) throws -> Facts {
        try JournalRescue(path: path).check()
        var configuration = Configuration()
        configuration.readonly = true
        let database = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? database.close() }
        return try database.read { database in
            guard try String.fetchOne(database, sql: "PRAGMA integrity_check(1)") == "ok" else {
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "\(path) is damaged")
            }
            func count(_ table: String) throws -> Int {
                try database.tableExists(table) ? Int.fetchOne(database, sql: "SELECT count(*) FROM \(table)") ?? 0 : 0
            }
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber
            return Facts(
                bytes: size?.int64Value ?? 0,
                schema: try String.fetchAll(database, sql: "SELECT identifier FROM grdb_migrations ORDER BY rowid"),
                recordings: try count("recordings"), detections: try count("detections"),
                observations: try count("observations"))
        }
    }

    static func sync(_ path: String) throws {
        let descriptor = unsafe open(path.isEmpty ? "." : path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    }
}
