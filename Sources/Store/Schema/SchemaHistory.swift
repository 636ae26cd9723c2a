import Foundation
import GRDB

/// Keeps a way back: a copy of the database before it is changed for a newer program, and the use of that copy when an older
/// program finds a database that it cannot work with.
struct SchemaHistory {
    let path: String
    /// The level of this program; another only in tests.
    var level = Schema.level

    private static let mostCopies = 2

    /// Before the database is opened in earnest. Nothing is written where nothing has to be changed.
    ///
    /// - Returns: what an operator should know; nothing when nothing was done.
    func makeUsable() throws -> [String] { try fit().map { [$0] } ?? [] }

    private func fit() throws -> String? {
        guard FileManager.default.fileExists(atPath: path), let found = try read() else { return nil }
        if found.steps.count > level { return found.leastReader <= level ? nil : try goBack() }
        guard found.steps.count < level, !found.steps.isEmpty else { return nil }
        return try copyBeforeChange(found.steps.count)
    }

    /// Nil for a file that is no database of ours: others deal with that.
    private func read() throws -> (steps: [String], leastReader: Int)? {
        do {
            // A connection that could write would move the journal into the database when it is closed.
            return try read(isReadOnly: true)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_READONLY {
            // A transaction that was cut off has to be rolled back first.
            return try read(isReadOnly: false)
        }
    }

    private func read(isReadOnly: Bool) throws -> (steps: [String], leastReader: Int)? {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        configuration.readonly = isReadOnly
        let database = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? database.close() }
        return try database.read { database in
            guard try database.tableExists("grdb_migrations") else { return nil }
            return (
                try String.fetchAll(database, sql: "SELECT identifier FROM grdb_migrations ORDER BY rowid"),
                try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            )
        }
    }

    private func copyBeforeChange(_ steps: Int) throws -> String {
        let size = (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.int64Value ?? 0
        // Memory: the path and `room` are borrowed for the call.
        var room = statvfs()
        unsafe statvfs(path, &room)
        let free = Int64(room.f_bavail) * Int64(room.f_frsize)
        guard free > size * 2 + (16 << 20) else {
            return "there is no room for a copy of the database before it is changed for this version"
        }
        let copy = "\(path).level-\(steps)"
        _ = try DatabaseBackup.copy(from: path, to: copy)
        forgetOldCopies()
        return "the database was copied to \(copy) before it was changed for this version"
    }

    /// Copies by level, the lowest first.
    private var copies: [(level: Int, path: String)] {
        let folder = (path as NSString).deletingLastPathComponent
        let prefix = (path as NSString).lastPathComponent + ".level-"
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)) ?? [])
            .filter { $0.hasPrefix(prefix) }
            .compactMap { name in
                Int(name.dropFirst(prefix.count)).map { ($0, folder.isEmpty ? name : "\(folder)/\(name)") }
            }.sorted { $0.0 < $1.0 }
    }

    private func forgetOldCopies() {
        for copy in copies.dropLast(Self.mostCopies) { try? FileManager.default.removeItem(atPath: copy.path) }
    }

    private func goBack() throws -> String {
        let swap = DatabaseSwap(path: path, reason: .goBack)
        guard let copy = copies.last(where: { $0.level <= level }) else {
            // There was no room for one: a box that receives is worth more than one whose database is whole.
            swap.beginEmpty()
            let aside = try swap.finish() ?? ""
            return
                "the database of a newer version was put aside as \(aside) and a new one is begun, since there is no copy of before; recordings on disk are taken up again, what was not delivered waits in that file for the newer version"
        }
        do {
            try swap.begin(from: copy.path)
        } catch {
            // No room for both: the copy itself then.
            try swap.begin(with: copy.path)
        }
        let aside = try swap.finish()
        return
            "the database of a newer version was put aside as \(aside ?? ""), and the copy of before its change is used; recordings on disk are taken up again"
    }
}
