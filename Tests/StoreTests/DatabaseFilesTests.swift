import EdgeTesting
import Foundation
import GRDB
import Testing

@testable import Store

/// What SQLite would delete or ignore without a word: journals beside files that are too short, and what follows damage in them.
struct DatabaseFilesTests {
    private static let second: Int64 = 1_000_000_000

    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = try TestFolders.temporary("store-files")
        defer { TestFolders.remove(folder) }
        try await body(folder)
    }

    private func entry(_ number: Int) -> StoreChange {
        .ledger(
            LedgerEntry(
                listenerID: "a", sessionID: "a/boot/1", run: 0, recordingName: nil, kind: "loss",
                reason: "reason \(number)", startNanoseconds: Int64(number) * Self.second,
                durationNanoseconds: Self.second, frames: 1, bytes: 1, notedNanoseconds: 0))
    }

    private func rows(_ store: Store) async throws -> [LedgerEntry] {
        try await store.ledger(listener: nil, kind: nil, beforeID: nil, limit: 10_000)
    }

    private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// The files that a power cut leaves after so many commits: copies of those of an open store.
    private func cutOff(_ commits: Int, in folder: String, as name: String = "edge.db") async throws -> [LedgerEntry] {
        let live = "\(folder)/live"
        try FileManager.default.createDirectory(atPath: live, withIntermediateDirectories: true)
        defer { TestFolders.remove(live) }
        let store = try Store(path: "\(live)/edge.db")
        defer { store.close() }
        for number in 0..<commits { try await store.commit([entry(number)]) }
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: "\(live)/edge.db\(suffix)", toPath: "\(folder)/\(name)\(suffix)")
        }
        return try await rows(store)
    }

    private func shorten(_ path: String, to size: Int?) throws {
        guard let size else { return try FileManager.default.removeItem(atPath: path) }
        try bytes(path).prefix(size).write(to: URL(fileURLWithPath: path))
    }

    // MARK: - The end of a run

    @Test func isCompleteInOneFileAfterItsEnd() async throws {
        try await withFolder { folder in
            let store = try Store(path: "\(folder)/edge.db")
            for number in 0..<50 { try await store.commit([entry(number)]) }
            // A connection that reads is the last to be closed.
            let before = try await rows(store)
            store.close()
            store.close()
            #expect(((try? bytes("\(folder)/edge.db-wal")) ?? Data()).isEmpty)
            try FileManager.default.copyItem(atPath: "\(folder)/edge.db", toPath: "\(folder)/alone.db")
            let alone = try Store(path: "\(folder)/alone.db")
            #expect(try await rows(alone) == before && before.count == 50)
            alone.close()
        }
    }

    @Test func endsWhileAnotherProgramReads() async throws {
        try await withFolder { folder in
            let store = try Store(path: "\(folder)/edge.db")
            try await store.commit([entry(0)])
            let other = try TestProgram(
                "/usr/bin/env",
                [
                    "python3", "-c",
                    """
                    import os, sqlite3, sys, time
                    db = sqlite3.connect(sys.argv[1], isolation_level=None)
                    db.execute('BEGIN')
                    db.execute('SELECT count(*) FROM ledger').fetchone()
                    open(sys.argv[1] + '.reads', 'w')
                    time.sleep(600)
                    """, "\(folder)/edge.db",
                ])
            while !exists("\(folder)/edge.db.reads") { try await Task.sleep(for: .milliseconds(10)) }
            try await store.commit([entry(1)])
            store.close()
            other.stop()
            let next = try Store(path: "\(folder)/edge.db")
            #expect(try await rows(next).count == 2)
            next.close()
        }
    }

    @Test func endsWhileAReaderOfItsOwnDoesNotEnd() async throws {
        try await withFolder { folder in
            let store = try Store(path: "\(folder)/edge.db")
            try await store.commit([entry(0)])
            let begun = AsyncStream.makeStream(of: Void.self)
            let reader = Task {
                _ = await #expect(throws: StoreError.self) {
                    try await store.read { database in
                        begun.continuation.finish()
                        _ = try Int.fetchOne(
                            database,
                            sql:
                                "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c, ledger"
                        )
                    }
                }
            }
            for await _ in begun.stream {}
            try await store.commit([entry(1)])
            store.close()
            await reader.value
            #expect(try bytes("\(folder)/edge.db-wal").isEmpty)
            let next = try Store(path: "\(folder)/edge.db")
            #expect(try await rows(next).count == 2)
            next.close()
        }
    }

    // MARK: - The start

    /// Nothing that is there already is written again: a disk may be full.
    @Test func changesNothingAtAStart() async throws {
        try await withFolder { folder in
            let before = try await cutOff(20, in: folder)
            let files = try (bytes("\(folder)/edge.db"), bytes("\(folder)/edge.db-wal"))
            let store = try Store(path: "\(folder)/edge.db")
            #expect(try bytes("\(folder)/edge.db") == files.0)
            #expect(try bytes("\(folder)/edge.db-wal") == files.1)
            #expect(store.notices.isEmpty && store.damagedCopy == nil)
            #expect(try await rows(store) == before)
            store.close()
        }
    }

    @Test func saysWhatToDoWhenThereIsNoRoomToStart() async throws {
        try await withFolder { folder in
            var options = Store.Options()
            options.mostPages = 2
            let path = "\(folder)/edge.db"
            #expect {
                _ = try Store(path: path, options: options)
            } throws: { error in
                let error = error as? StoreError
                return error?.code == .diskFull && error?.description.contains("df -i") == true
                    && error?.description.contains(path) == true
            }
            // A folder that is none.
            try Data().write(to: URL(fileURLWithPath: "\(folder)/file"))
            #expect {
                _ = try Store(path: "\(folder)/file/edge.db")
            } throws: { error in
                (error as? StoreError)?.code == .open
                    && (error as? StoreError)?.description.contains("writable") == true
            }
        }
    }

    @Test(arguments: [nil, 0, 1, 2, 100, 511, 4095])
    func rebuildsADatabaseThatIsWholeInItsJournal(size: Int?) async throws {
        try await withFolder { folder in
            let path = "\(folder)/edge.db"
            let before = try await cutOff(40, in: folder)
            let journal = try bytes("\(path)-wal")
            try shorten(path, to: size)
            let store = try Store(path: path)
            #expect(try await rows(store) == before && before.count == 40)
            #expect(store.damagedCopy == nil)
            #expect(store.notices.count == 1)
            #expect(store.notices.first?.contains("\(path).damaged-1") == true)
            #expect(try bytes("\(path).damaged-1-wal") == journal)
            #expect(try bytes("\(path).damaged-1").count == size ?? 0)
            try await store.commit([entry(100)])
            store.close()
            let next = try Store(path: path)
            #expect(next.notices.isEmpty)
            #expect(try await rows(next).count == 41)
            next.close()
            let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(!names.contains { $0.contains("rebuil") || $0.contains("beginning") }, "\(names)")
        }
    }

    /// The journal has only what was committed since it was begun again: a page that is missing is never taken for an empty one.
    @Test(arguments: [nil, 0, 1, 300])
    func putsAsideWhatItCannotRebuild(size: Int?) async throws {
        try await withFolder { folder in
            let path = "\(folder)/edge.db"
            let first = try Store(path: path)
            for number in 0..<20 { try await first.commit([entry(number)]) }
            first.close()
            let second = try Store(path: path)
            for number in 20..<40 { try await second.commit([entry(number)]) }
            let copy = "\(folder)/copy.db"
            for suffix in ["", "-wal"] {
                try FileManager.default.copyItem(atPath: path + suffix, toPath: copy + suffix)
            }
            second.close()
            let journal = try bytes("\(copy)-wal")
            // An earlier journal that was put aside is not overwritten.
            try Data("earlier".utf8).write(to: URL(fileURLWithPath: "\(copy).damaged-1-wal"))
            try shorten(copy, to: size)
            let store = try Store(path: copy)
            #expect(store.damagedCopy == "\(copy).damaged-2")
            #expect(store.notices.count == 1)
            #expect(store.notices.first?.contains("\(copy).damaged-2-wal") == true)
            #expect(try bytes("\(copy).damaged-2-wal") == journal)
            #expect(try bytes("\(copy).damaged-2").count == size ?? 0)
            #expect(try bytes("\(copy).damaged-1-wal") == Data("earlier".utf8))
            try await store.commit([entry(1)])
            #expect(try await rows(store).count == 1)
            store.close()
        }
    }

    @Test func keepsAJournalThatIsDamagedBeforeItsEnd() async throws {
        try await withFolder { folder in
            let path = "\(folder)/edge.db"
            let before = try await cutOff(100, in: folder)
            var journal = try bytes("\(path)-wal")
            let log = try WriteAheadLog(path: "\(path)-wal")
            #expect(log.committedFrames > 40 && !log.isDamaged && log.pageBytes == 4096)
            // In the last quarter, so that the tables are made before.
            let place = 32 + (log.committedFrames * 3 / 4) * (24 + log.pageBytes) + 24 + 100
            journal[place] ^= 0xFF
            try journal.write(to: URL(fileURLWithPath: "\(path)-wal"))
            let damaged = try WriteAheadLog(path: "\(path)-wal")
            #expect(damaged.committedFrames <= log.committedFrames * 3 / 4 && damaged.lostFrames > 1)
            let store = try Store(path: path)
            #expect(store.notices.count == 1)
            #expect(store.notices.first?.contains("\(path)-wal.damaged-1") == true)
            #expect(try bytes("\(path)-wal.damaged-1") == journal)
            let found = try await rows(store)
            #expect(!found.isEmpty && found.count < before.count)
            #expect(found.allSatisfy(before.contains))
            store.close()
        }
    }

    /// A daemon that is killed again and again finds the same damage at each start.
    @Test func keepsOneCopyOfTheSameDamage() async throws {
        try await withFolder { folder in
            let path = "\(folder)/edge.db"
            _ = try await cutOff(100, in: folder)
            let whole = try bytes("\(path)-wal")
            let log = try WriteAheadLog(path: "\(path)-wal")
            func damage(_ frame: Int) throws {
                var journal = whole
                journal[32 + frame * (24 + log.pageBytes) + 124] ^= 0xFF
                try journal.write(to: URL(fileURLWithPath: "\(path)-wal"))
            }
            func copies() throws -> [String] {
                try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.contains("damaged") }.sorted()
            }
            let place = log.committedFrames * 3 / 4
            try damage(place)
            for _ in 0..<3 {
                let notices = try JournalRescue(path: path).run().notices
                #expect(notices.count == 1 && notices.first?.contains("\(path)-wal.damaged-1.") == true, "\(notices)")
                let found = try copies()
                #expect(found == ["edge.db-wal.damaged-1"])
            }
            // What is committed after the damage takes the place of a part of the ignored frames.
            let store = try Store(path: path)
            try await store.commit([entry(1000)])
            let written = try bytes("\(path)-wal")
            store.close()
            try written.write(to: URL(fileURLWithPath: "\(path)-wal"))
            let kept = try bytes("\(path)-wal.damaged-1")
            let isStillDamaged = try WriteAheadLog(path: "\(path)-wal").isDamaged
            #expect(isStillDamaged && written != kept && written.count == kept.count)
            _ = try JournalRescue(path: path).run()
            let same = try copies()
            #expect(same == ["edge.db-wal.damaged-1"])
            // Other damage each time: the newest copies stay.
            for number in 1...4 {
                try damage(place - number)
                _ = try JournalRescue(path: path).run()
            }
            let last = try copies()
            #expect(last == (3...5).map { "edge.db-wal.damaged-\($0)" })
        }
    }

    @Test func doesNotCallAnUnfinishedCommitDamage() async throws {
        try await withFolder { folder in
            let path = "\(folder)/edge.db"
            _ = try await cutOff(10, in: folder)
            let journal = try bytes("\(path)-wal")
            for cut in [1, 100, 4096, 4119, 4121, 8000] {
                try journal.dropLast(cut).write(to: URL(fileURLWithPath: "\(path)-wal"))
                #expect(try !WriteAheadLog(path: "\(path)-wal").isDamaged, "\(cut)")
            }
            // Room that was made for a file and never written.
            try Data(count: 50_000).write(to: URL(fileURLWithPath: "\(path)-wal"))
            #expect(try !WriteAheadLog(path: "\(path)-wal").isDamaged)
            #expect(try WriteAheadLog(path: "\(folder)/none") == WriteAheadLog(path: "\(folder)/nobody"))
            var broken = journal
            broken[10] ^= 1
            try broken.write(to: URL(fileURLWithPath: "\(path)-wal"))
            #expect(try WriteAheadLog(path: "\(path)-wal").isHeaderDamaged)
        }
    }

    /// Whoever only reads a database would delete the journal as well.
    @Test func copiesNothingFromADatabaseThatIsTooShort() async throws {
        try await withFolder { folder in
            let path = "\(folder)/edge.db"
            _ = try await cutOff(10, in: folder)
            let journal = try bytes("\(path)-wal")
            try shorten(path, to: 0)
            #expect(throws: StoreError.self) { try DatabaseBackup.copy(from: path, to: "\(folder)/copy.db") }
            #expect(throws: StoreError.self) { try DatabaseBackup.look(at: path) }
            #expect(try bytes("\(path)-wal") == journal)
            #expect(!exists("\(folder)/copy.db"))
        }
    }

    /// The power is cut while a damaged database is put aside, after each step.
    @Test(arguments: [0, 1, 2, 3])
    func finishesPuttingADamagedDatabaseAside(moved: Int) async throws {
        try await withFolder { folder in
            let path = "\(folder)/edge.db"
            try Data(repeating: 0x5A, count: 10_000).write(to: URL(fileURLWithPath: path))
            try Data("journal".utf8).write(to: URL(fileURLWithPath: "\(path)-wal"))
            try Data("index".utf8).write(to: URL(fileURLWithPath: "\(path)-shm"))
            DatabaseSwap(path: path, reason: .beginAnew).beginEmpty()
            for suffix in ["-wal", "-shm", ""].prefix(moved) {
                try FileManager.default.moveItem(atPath: path + suffix, toPath: "\(path).damaged-1\(suffix)")
            }
            let store = try Store(path: path)
            try await store.commit([entry(1)])
            store.close()
            #expect(try bytes("\(path).damaged-1").count == 10_000)
            #expect(try bytes("\(path).damaged-1-wal") == Data("journal".utf8))
            #expect(!exists("\(path).damaged-2") && !exists("\(path).beginning"))
        }
    }
}
