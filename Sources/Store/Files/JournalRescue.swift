import Foundation
import GRDB

/// Looks at the files of a database before SQLite opens it.
///
/// SQLite takes a file of 0 or 1 bytes, or a missing one, for a new database and deletes the write-ahead log beside it, even for a
/// connection that only reads. Of a damaged log it ignores what follows the damage. Neither is reported. So whatever opens a database
/// asks here first.
struct JournalRescue {
    /// What was done.
    struct Outcome {
        /// What an operator should know; empty if nothing was done.
        var notices: [String] = []
        /// Where files were put that could not be used; nil if the database could be rebuilt, or if nothing was wrong.
        var aside: String?
    }

    /// Copies of damaged logs that are kept.
    static let maximumCopies = 3
    /// What a copy leaves free: a start needs as much, and the start reserve was perhaps freed just before for it.
    private static let startBytes: Int64 = 16 << 20
    private static let startFiles: UInt64 = 32
    private static let pieceBytes = 1 << 20

    /// Of the database.
    let path: String

    private var journal: String { "\(path)-wal" }
    private var rebuilding: String { "\(path).rebuilding" }

    /// Rebuilds a database from its write-ahead log if the file itself is missing or too short to have one page. If the log does not have
    /// all of it, both files are put aside.
    ///
    /// - Throws: An error of the file system or of SQLite, for example for want of room. The files are as they were then.
    func run() throws -> Outcome {
        let size = Self.size(path)
        let log = try WriteAheadLog(path: journal)
        guard isShort(size, log) else { return try reportDamage(log) }
        let found = size.map { "has only \($0) bytes" } ?? "is missing"
        if log.hasCommits, !log.isDamaged, try rebuild(log) {
            let swap = DatabaseSwap(path: path, reason: .rebuild)
            do {
                try swap.begin(with: rebuilding)
            } catch {
                removeRebuilding()
                throw error
            }
            let aside = try swap.finish() ?? path
            return Outcome(notices: [
                "\(path) \(found). It was rebuilt whole from \(journal) (\(log.pages) pages); both files were moved to \(aside) and \(aside)-wal and can be deleted once the data was checked"
            ])
        }
        let aside = try DatabaseSwap.beginAnew(path)
        return Outcome(
            notices: [
                "\(path) \(found), and \(journal) (\(log.bytes) bytes) does not have all of its pages. Both files were moved to \(aside) and \(aside)-wal, and a new database was begun; recordings on disk are added to it again. Restore a backup to get the rest back (docs/operations.md)"
            ], aside: aside)
    }

    /// For who only reads a database and must not change a file.
    ///
    /// - Throws: ``StoreError`` if SQLite would delete the log.
    func check() throws {
        let size = Self.size(path)
        let log = try WriteAheadLog(path: journal)
        if isShort(size, log) {
            throw StoreError(
                .open,
                reason:
                    "\(path) \(size.map { "has only \($0) bytes" } ?? "is missing"), and the data is in \(journal) (\(log.bytes) bytes); start the daemon to have it rebuilt, or copy both files from where they come from again"
            )
        }
    }

    /// Whether SQLite would take the database for an empty one although there is a log.
    private func isShort(_ size: Int64?, _ log: WriteAheadLog) -> Bool {
        guard log.hasCommits || log.isDamaged else { return false }
        // No page of SQLite is smaller.
        return size ?? 0 < Int64(max(512, log.pageBytes))
    }

    private func damage(_ log: WriteAheadLog) -> String {
        log.isHeaderDamaged
            ? "its header cannot be read, so all of its \(log.bytes) bytes are ignored"
            : "\(log.lostFrames) frames after frame \(log.committedFrames) cannot be used"
    }

    /// The database goes on without what SQLite ignores. A copy of the log is kept, so that nothing is gone without a trace.
    private func reportDamage(_ log: WriteAheadLog) throws -> Outcome {
        guard log.isDamaged else { return Outcome() }
        return Outcome(notices: [
            "\(journal) was damaged: \(damage(log)). What was committed last is missing from the database. \(keepCopy(log)). Check the disk"
        ])
    }

    /// Copies a damaged log, unless a copy has the same damage already. Until SQLite overwrites the log, each start finds it again.
    ///
    /// - Returns: What became of the copy. A start does not fail for it.
    private func keepCopy(_ log: WriteAheadLog) -> String {
        var copies = copies
        if let same = copies.last(where: { hasIgnored(log, $0.path) }) { return "A copy of it is \(same.path)" }
        guard Self.hasRoom(log.bytes + Self.startBytes, beside: path) else {
            return "There was no room for a copy of its \(log.bytes) bytes"
        }
        let number = (copies.last?.number ?? 0) + 1
        let copy = (number: number, path: "\(journal).damaged-\(number)")
        let partial = "\(journal).copying"
        do {
            try? FileManager.default.removeItem(atPath: partial)
            try FileManager.default.copyItem(atPath: journal, toPath: partial)
            try DatabaseBackup.sync(partial)
            try FileManager.default.moveItem(atPath: partial, toPath: copy.path)
        } catch {
            try? FileManager.default.removeItem(atPath: partial)
            return "It could not be copied (\(error))"
        }
        copies.append(copy)
        for old in copies.dropLast(Self.maximumCopies) { try? FileManager.default.removeItem(atPath: old.path) }
        return "A copy of it is \(copy.path)"
    }

    /// Copies of damaged logs, the oldest first.
    private var copies: [(number: Int, path: String)] {
        let prefix = "\((journal as NSString).lastPathComponent).damaged-"
        let folder = (journal as NSString).deletingLastPathComponent
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)) ?? []
        return names.filter { $0.hasPrefix(prefix) }.compactMap { Int($0.dropFirst(prefix.count)) }.sorted()
            .map { ($0, "\(journal).damaged-\($0)") }
    }

    /// Whether a copy has everything that SQLite ignores of the log. What SQLite uses may differ: a program that was killed
    /// after an earlier start has written over a part of the ignored frames.
    private func hasIgnored(_ log: WriteAheadLog, _ copy: String) -> Bool {
        guard Self.size(copy) == log.bytes, let ours = FileHandle(forReadingAtPath: journal) else { return false }
        defer { try? ours.close() }
        guard let theirs = FileHandle(forReadingAtPath: copy) else { return false }
        defer { try? theirs.close() }
        // Behind the header of 32 bytes, each frame is a header of 24 bytes and a page.
        let start = log.isHeaderDamaged ? 0 : UInt64(32 + log.committedFrames * (24 + log.pageBytes))
        do {
            for file in [ours, theirs] { try file.seek(toOffset: start) }
            while true {
                let piece = try ours.read(upToCount: Self.pieceBytes) ?? Data()
                guard try theirs.read(upToCount: Self.pieceBytes) ?? Data() == piece else { return false }
                if piece.isEmpty { return true }
            }
        } catch {
            return false
        }
    }

    /// Whether so many bytes, and some inodes, are free. True where that cannot be told: the write then finds out.
    ///
    /// Memory: the path and the status are borrowed for the call.
    private static func hasRoom(_ bytes: Int64, beside path: String) -> Bool {
        let folder = (path as NSString).deletingLastPathComponent
        var status = statvfs()
        guard unsafe statvfs(folder.isEmpty ? "." : folder, &status) == 0 else { return true }
        if status.f_files > 0, UInt64(status.f_favail) < startFiles { return false }
        return Int64(status.f_bavail) * Int64(status.f_frsize) >= bytes
    }

    /// Lets SQLite apply the log to a file whose every page is invalid. If a page that is in use is not in the log, the check of the
    /// result finds it; pages that are free need not be in the log.
    ///
    /// - Returns: False if the log does not have the whole database. `rebuilding` is then removed.
    /// - Throws: ``StoreError`` with the code `diskFull` if there is no room, or another error. `rebuilding` is then removed, and the
    ///   database and its log are as they were.
    private func rebuild(_ log: WriteAheadLog) throws -> Bool {
        // Free pages are few in a log that has everything. This bounds what is written for nothing.
        guard log.missingPages <= log.committedFrames + 1024 else { return false }
        removeRebuilding()
        // The database, and a copy of the log that SQLite applies to it. Asked first, so that the last bytes are not used in vain.
        let needed = Int64(log.pages) * Int64(log.pageBytes) + log.bytes
        guard Self.hasRoom(needed, beside: path) else {
            throw StoreError(
                .diskFull,
                reason:
                    "it has to be rebuilt from \(journal), which needs \(needed) free bytes and some free inodes; both files were left as they are"
            )
        }
        do {
            guard FileManager.default.createFile(atPath: rebuilding, contents: nil) else {
                throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: rebuilding])
            }
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: rebuilding))
            let invalid = Data(repeating: 0xFF, count: log.pageBytes)
            for _ in 0..<log.pages { try file.write(contentsOf: invalid) }
            try file.close()
            try FileManager.default.copyItem(atPath: journal, toPath: "\(rebuilding)-wal")
            let database = try DatabaseQueue(path: rebuilding)
            let isWhole = try database.inDatabase { database in
                try String.fetchOne(database, sql: "PRAGMA integrity_check(1)") == "ok"
            }
            if isWhole {
                // Puts everything into the one file.
                try database.inDatabase { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
            }
            try database.close()
            guard isWhole, Self.size("\(rebuilding)-wal") ?? 0 == 0 else {
                removeRebuilding()
                return false
            }
            try DatabaseBackup.sync(rebuilding)
            return true
        } catch let error as DatabaseError
            where error.resultCode == .SQLITE_NOTADB || error.resultCode == .SQLITE_CORRUPT
        {
            removeRebuilding()
            return false
        } catch {
            removeRebuilding()
            throw error
        }
    }

    private func removeRebuilding() {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            try? FileManager.default.removeItem(atPath: rebuilding + suffix)
        }
    }

    /// Nil for a file that does not exist.
    private static func size(_ path: String) -> Int64? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.int64Value
    }
}
