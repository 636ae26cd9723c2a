import CSQLite
import EdgeTesting
import Foundation
import GRDB
import Testing

@testable import Store

/// What the store says of its own work, and what a start makes of a database that another program has spoiled.
@Suite struct StoreHealthTests {
    private let folder: String
    private var path: String { "\(folder)/edge.db" }

    init() throws { folder = try TestFolders.temporary("store-health") }

    private func session(_ id: String) -> StoreChange {
        .openSession(
            SessionRecord(
                id: id, listenerID: "a", bootID: "boot", counter: 1, openedNanoseconds: 1, monotonicNanoseconds: 1,
                remoteAddress: "", source: "stream"))
    }

    /// Runs a statement as another program does.
    private func spoil(_ sql: String) throws {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        let database = try DatabaseQueue(path: path, configuration: configuration)
        try database.writeWithoutTransaction { try $0.execute(sql: sql) }
        try database.close()
    }

    private func names(_ type: String) throws -> [String] {
        let database = try DatabaseQueue()
        try Schema.migrator.migrate(database)
        return try database.read {
            try String.fetchAll(
                $0,
                sql: """
                    SELECT name FROM sqlite_master WHERE type = ? AND sql IS NOT NULL
                        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                    """, arguments: [type])
        }
    }

    // MARK: - Outcomes

    @Test func saysWhyEachErrorCounts() {
        func cause(_ code: Int32) -> StoreOutcomes.Cause? {
            StoreOutcomes.Cause(StoreError(.failed, reason: "", resultCode: code))
        }
        for code in [
            SQLITE_CONSTRAINT, SQLITE_CONSTRAINT | 8 << 8, SQLITE_MISMATCH, SQLITE_TOOBIG, SQLITE_INTERRUPT,
            SQLITE_ABORT,
        ] { #expect(cause(code) == nil) }
        #expect(cause(SQLITE_FULL) == .noRoom)
        #expect(cause(SQLITE_BUSY) == .locked)
        #expect(cause(SQLITE_CORRUPT) == .damage)
        #expect(cause(SQLITE_CORRUPT | 3 << 8) == .damage)
        #expect(cause(SQLITE_NOTADB) == .damage)
        #expect(cause(SQLITE_IOERR | 1 << 8) == .disk)
        #expect(cause(SQLITE_IOERR | 33 << 8) == .damage)
        #expect(cause(SQLITE_READONLY) == .disk)
        #expect(cause(SQLITE_READONLY | 4 << 8) == .moved)
        #expect(cause(SQLITE_CANTOPEN) == .disk)
        #expect(cause(SQLITE_ERROR) == .unclear)
        // Every code that SQLite may still get counts: there is no list of those that do.
        #expect(cause(99) == .unclear)
        #expect(StoreOutcomes.Cause(StoreError(.closed, reason: "")) == nil)
        #expect(StoreOutcomes.Cause(StoreError(.diskFull, reason: "")) == .noRoom)
    }

    @Test func aSuccessEndsOnlyWhatItProves() {
        let outcomes = StoreOutcomes()
        let full = StoreError(.diskFull, reason: "full", resultCode: SQLITE_FULL)
        let corrupt = StoreError(.failed, reason: "malformed", resultCode: SQLITE_CORRUPT)
        outcomes.failed(at: .transaction, full)
        outcomes.failed(at: .change("detections"), corrupt)
        outcomes.failed(at: .change("detections"), corrupt)
        #expect(outcomes.snapshot.reasons.count == 2)
        outcomes.committed { ["beat"] }
        #expect(outcomes.snapshot.troubles.map(\.work) == [.change("detections")])
        #expect(outcomes.snapshot.troubles.map(\.attempts) == [2])
        let before = ContinuousClock.now - .seconds(1)
        outcomes.foundWhole(since: before)
        #expect(outcomes.isTroubled)
        outcomes.foundWhole(since: .now)
        #expect(!outcomes.isTroubled)
        outcomes.failed(at: .change("detections"), corrupt)
        outcomes.committed { ["detections"] }
        #expect(!outcomes.isTroubled)
        outcomes.failed(at: .folder("/x"), .disk, reason: "gone")
        outcomes.committed { ["beat"] }
        #expect(outcomes.snapshot.reasons == ["/x cannot be written: gone"])
        outcomes.failed(at: .query, corrupt)
        outcomes.succeeded(at: .reading)
        #expect(outcomes.snapshot.troubles.contains { $0.work == .query })
        #expect(outcomes.snapshot.failures == 6)
    }

    @Test func aTableThatIsDroppedWhileItRunsIsNoticedByWhatFails() async throws {
        defer { TestFolders.remove(folder) }
        let store = try Store(path: path)
        defer { store.close() }
        try await store.commit([session("a/boot/1")])
        #expect(!store.outcomes.isTroubled)
        let commits = store.statistics.commits
        try spoil("DROP TABLE sessions")
        await #expect(throws: StoreError.self) { try await store.commit([session("a/boot/2")]) }
        // A failed attempt is no commit: it is no sign of life either.
        #expect(store.statistics.commits == commits)
        try await store.commit([.beat])
        #expect(store.outcomes.snapshot.reasons == ["the database refuses its work"])
        await store.showLife()
        #expect(store.outcomes.snapshot.troubles.contains { $0.work == .reading })
        #expect(try store.damageBlocking() == "the table sessions is missing")
    }

    @Test func aChangeThatIsRejectedIsNoTrouble() async throws {
        defer { TestFolders.remove(folder) }
        let store = try Store(path: path)
        defer { store.close() }
        let detection = DetectionRecord(
            listenerID: "a", recordingName: "r", startNanoseconds: 1, endNanoseconds: 2, offsetSeconds: 0,
            scientificName: "x", commonName: "x", label: "x", confidence: 1, modelID: 4711, timeQuality: "live",
            sessionID: nil, run: 0)
        await #expect(throws: StoreError.self) { try await store.commit([.detections([detection])]) }
        #expect(!store.outcomes.isTroubled)
        #expect(store.outcomes.snapshot.failures == 0)
    }

    // MARK: - The start

    @Test func aStartPutsADatabaseAsideThatHasLostAnyTable() throws {
        defer { TestFolders.remove(folder) }
        let tables = try names("table")
        #expect(tables.count > 25)
        for (number, table) in tables.enumerated() {
            let first = try Store(path: path)
            first.close()
            try spoil("DROP TABLE \(table)")
            let store = try Store(path: path)
            #expect(store.damagedCopy == "\(path).damaged-\(number + 1)", "\(table)")
            #expect(try store.damageBlocking() == nil, "\(table)")
            store.close()
        }
    }

    @Test func aStartPutsADatabaseAsideThatHasLostAColumn() throws {
        defer { TestFolders.remove(folder) }
        try Store(path: path).close()
        try spoil("ALTER TABLE recordings DROP COLUMN privacy_ns")
        let store = try Store(path: path)
        #expect(store.damagedCopy == "\(path).damaged-1")
        store.close()
    }

    @Test func aStartMakesIndexesAndTriggersAndTheRowOfRunsAgain() async throws {
        defer { TestFolders.remove(folder) }
        let first = try Store(path: path)
        try await first.commit([session("a/boot/1")])
        first.close()
        for index in try names("index") { try spoil("DROP INDEX \(index)") }
        for trigger in try names("trigger") { try spoil("DROP TRIGGER \(trigger)") }
        try spoil("DELETE FROM runs")
        try spoil(
            "INSERT INTO deliveries (sink, kind, rank, first_id, last_id, state, created_ns) VALUES ('s', 'ledger', 1, 3, 5, 'waiting', 1)"
        )
        let store = try Store(path: path)
        #expect(store.damagedCopy == nil)
        #expect(store.notices.contains { $0.contains("deliveries_added") && $0.contains("the row of runs") })
        #expect(try store.beginRunBlocking(bootID: "b").starts == 1)
        #expect(try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM sessions") } == 1)
        #expect(try await store.read { try Int.fetchOne($0, sql: "SELECT facts FROM delivery_counts") } == 3)
        store.close()
        let again = try Store(path: path)
        #expect(again.notices.isEmpty)
        again.close()
    }

    @Test func aStartPutsADatabaseAsideWhoseStepsAreForgotten() throws {
        defer { TestFolders.remove(folder) }
        try Store(path: path).close()
        try spoil("DELETE FROM grdb_migrations WHERE identifier LIKE '6%'")
        let store = try Store(path: path)
        #expect(store.damagedCopy != nil)
        store.close()
    }

    /// `quick_check` says `ok` of it; deleting the row says that the database is malformed.
    @Test func aStartAfterAnEndForDamageMakesIndexesAgainFromTheirTables() async throws {
        defer { TestFolders.remove(folder) }
        let first = try Store(path: path)
        try await first.commit([session("a/boot/1"), session("a/boot/2")])
        first.close()
        try spoil("PRAGMA journal_mode = DELETE")
        // The index's only leaf loses its cells.
        let database = try DatabaseQueue(path: path)
        let (page, size) = try await database.read { database in
            (
                try Int.fetchOne(
                    database, sql: "SELECT rootpage FROM sqlite_master WHERE name = 'sessions_by_listener'") ?? 0,
                try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 0
            )
        }
        try database.close()
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.seek(toOffset: UInt64((page - 1) * size))
        // A leaf of an index, no free block, no cell, the content begins at the end of the page.
        try file.write(contentsOf: [0x0A, 0, 0, 0, 0, UInt8(size >> 8 & 0xFF), UInt8(size & 0xFF), 0])
        try file.close()
        let usual = try Store(path: path)
        #expect(usual.damagedCopy == nil && usual.notices.isEmpty)
        #expect(try usual.damageBlocking() != nil)
        usual.suspect("the database is malformed")
        usual.close()
        let store = try Store(path: path)
        #expect(store.damagedCopy == nil)
        #expect(store.notices.contains { $0.contains("made again from their tables") })
        #expect(try store.damageBlocking() == nil)
        #expect(try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM sessions") } == 2)
        store.close()
    }

    @Test func damageThatNoCheckFindsEndsAfterThreeRuns() throws {
        defer { TestFolders.remove(folder) }
        for _ in 0..<3 {
            let store = try Store(path: path)
            #expect(store.damagedCopy == nil)
            store.suspect("malformed")
            store.close()
        }
        let store = try Store(path: path)
        #expect(store.damagedCopy == "\(path).damaged-1")
        store.close()
        // The note was about the file that was put aside.
        let next = try Store(path: path)
        #expect(next.damagedCopy == nil)
        next.suspect("malformed")
        next.trust()
        next.close()
        #expect(!FileManager.default.fileExists(atPath: "\(path).suspect"))
    }

    @Test func aDatabaseThatWasRemovedIsCopiedForTheNextStart() async throws {
        defer { TestFolders.remove(folder) }
        let store = try Store(path: path)
        try await store.commit([session("a/boot/1")])
        let places = store.places
        #expect(places.count == 3)
        for suffix in ["", "-wal", "-shm"] { try FileManager.default.removeItem(atPath: path + suffix) }
        #expect(store.places.isEmpty)
        // Acknowledged into a file that has no name any more.
        try await store.commit([session("a/boot/2")])
        #expect(try store.rescueBlocking())
        store.close()
        let next = try Store(path: path)
        #expect(next.damagedCopy == nil)
        #expect(try await next.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM sessions") } == 2)
        next.close()
    }

    /// SQLite takes such a file for a new database and deletes the journal beside it.
    @Test func looksAtATruncatedDatabaseWithoutTouchingItsJournal() async throws {
        defer { TestFolders.remove(folder) }
        let store = try Store(path: path)
        try await store.commit([session("a/boot/1")])
        #expect(truncate(path, 0) == 0)
        #expect(try store.damageBlocking() == "\(path) has only 0 bytes")
        #expect(FileManager.default.fileExists(atPath: "\(path)-wal"))
    }
}
