import Foundation
import GRDB

extension Store {
    /// What became of the store's work, and what fails now.
    public var outcomes: StoreOutcomes { statistics.outcomes }

    /// A sign of life: a transaction that changes nothing, and a row of each table.
    ///
    /// What comes of it is found in ``outcomes``.
    public func showLife() async {
        do throws(StoreError) {
            // A commit also makes readers forget the pages that they have in memory.
            try await commit([.beat])
        } catch {
            // The writer has noted it.
        }
        do throws(StoreError) {
            try await read { try SchemaCheck.touch($0) }
            outcomes.succeeded(at: .reading)
        } catch {
            outcomes.failed(at: .reading, error)
        }
    }

    /// What is wrong with the database, looked at as a whole and through a connection that has nothing of it in memory; nil when it is
    /// whole. It takes long for a large database, and blocks the thread.
    public func damageBlocking() throws(StoreError) -> String? {
        do {
            // SQLite takes a file that has no page for a new database, and deletes the journal beside it.
            let bytes = (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.int64Value ?? 0
            guard bytes >= 512 else { return "\(path) has only \(bytes) bytes" }
            var configuration = Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(10)
            let database = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? database.close() }
            return try database.read { database in
                try SchemaCheck.lost(in: database).first ?? SchemaCheck.damage(in: database)
            }
        } catch let error as DatabaseError where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode) {
            return "\(error)"
        } catch {
            throw StoreError(error)
        }
    }

    /// Which files the database is in now, by their names.
    public var places: [String: FileIdentity] {
        [path, "\(path)-wal", "\(path)-shm"].reduce(into: [:]) { $0[$1] = FileIdentity(path: $1) }
    }

    /// Lets the next start look closely at the database, since this run ends for its damage.
    public func suspect(_ reason: String) { Suspicion(path: path).raise(reason) }

    /// This run has lasted: the next start checks as usual.
    public func trust() { Suspicion(path: path).clear() }

    /// Copies the database beside its path, from which its file was removed, for the next start to put it there. For the end, when
    /// nobody hands in changes any more.
    ///
    /// - Returns: false when there is something at the path, which stays.
    public func rescueBlocking() throws(StoreError) -> Bool {
        // Whatever was handed in before is part of the copy.
        try commitBlocking([.beat])
        guard FileIdentity(path: path) == nil else { return false }
        do {
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            let copy = "\(path).rescued"
            try? FileManager.default.removeItem(atPath: copy)
            var configuration = Configuration()
            configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            let target = try DatabaseQueue(path: copy, configuration: configuration)
            // Through the connection that writes: those that read are opened by path, at which there is nothing.
            try pool.writeWithoutTransaction { from in
                try target.writeWithoutTransaction { try from.backup(to: $0) }
            }
            // One file, without a journal beside it.
            try target.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
            try target.close()
            try DatabaseBackup.sync(copy)
            try DatabaseSwap(path: path, reason: .restore).begin(with: copy)
            return true
        } catch {
            throw StoreError(error)
        }
    }
}
