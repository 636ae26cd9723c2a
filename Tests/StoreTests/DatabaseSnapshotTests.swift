import EdgeTesting
import Foundation
import GRDB
import Testing

@testable import Store

/// Copies of other programs' databases: complete, of one moment, and without a change to the source.
struct DatabaseSnapshotTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = try TestFolders.temporary("snapshot")
        defer { TestFolders.remove(folder) }
        try FileManager.default.createDirectory(atPath: "\(folder)/source", withIntermediateDirectories: true)
        try body(folder)
    }

    private func python(_ script: String, _ path: String) throws -> TestProgram {
        try TestProgram(
            "/usr/bin/env", ["python3", "-c", "import os, sqlite3, sys, time\npath = sys.argv[1]\n\(script)", path])
    }

    /// All files of a folder.
    private func files(_ folder: String) throws -> [String: Data] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        return Dictionary(
            uniqueKeysWithValues: try names.map { ($0, try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\($0)"))) })
    }

    private func count(_ path: String, _ table: String = "a", _ what: String = "count(*)") throws -> Int {
        var configuration = Configuration()
        configuration.readonly = true
        let database = try DatabaseQueue(path: path, configuration: configuration)
        return try database.read { database in
            #expect(try String.fetchOne(database, sql: "PRAGMA integrity_check") == "ok")
            return try Int.fetchOne(database, sql: "SELECT \(what) FROM \(table)") ?? -1
        }
    }

    /// The files that a program leaves that is killed: `rows` of them in all, `checkpointed` of these in the database itself.
    private func leave(_ rows: Int, checkpointed: Int, at path: String) throws {
        let made = try python(
            """
            db = sqlite3.connect(path, isolation_level=None)
            db.execute('PRAGMA journal_mode = WAL')
            db.execute('PRAGMA wal_autocheckpoint = 0')
            db.execute('CREATE TABLE a (id INTEGER PRIMARY KEY, text TEXT)')
            for number in range(\(rows)):
                db.execute('INSERT INTO a (text) VALUES (?)', ['x' * 500])
                if number + 1 == \(checkpointed): db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            os.kill(os.getpid(), 9)
            """, path)
        made.wait()
        try FileManager.default.removeItem(atPath: "\(path)-shm")
    }

    @Test(arguments: [0, 1, 60, 100])
    func hasWhatIsInTheLog(checkpointed: Int) throws {
        try withFolder { folder in
            let source = "\(folder)/source/app db?#%.db"
            try leave(100, checkpointed: checkpointed, at: source)
            let before = try files("\(folder)/source")
            try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: "\(folder)/source")
            let snapshot = try DatabaseSnapshot.take(source, to: "\(folder)/copy.db")
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder)/source")
            #expect(try count("\(folder)/copy.db") == 100)
            #expect(snapshot.problem == nil && (snapshot.journalFrames > 0) == (checkpointed < 100))
            #expect(!DatabaseSnapshot.isWriteAhead("\(folder)/copy.db") && DatabaseSnapshot.isWriteAhead(source))
            #expect(try files("\(folder)/source") == before)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("copy") } == [
                    "copy.db"
                ])
        }
    }

    @Test(arguments: [0, 1, 100])
    func readsADatabaseThatIsOnlyInItsLog(size: Int) throws {
        try withFolder { folder in
            let source = "\(folder)/source/app.db"
            try leave(100, checkpointed: 0, at: source)
            try Data(contentsOf: URL(fileURLWithPath: source)).prefix(size).write(to: URL(fileURLWithPath: source))
            let before = try files("\(folder)/source")
            _ = try DatabaseSnapshot.take(source, to: "\(folder)/copy.db")
            #expect(try count("\(folder)/copy.db") == 100)
            #expect(try files("\(folder)/source") == before)
        }
    }

    @Test func saysWhatItCannotRead() throws {
        try withFolder { folder in
            let source = "\(folder)/source/app.db"
            try leave(100, checkpointed: 20, at: source)
            let whole = try Data(contentsOf: URL(fileURLWithPath: "\(source)-wal"))
            var log = whole
            log[32 + 40 * (24 + 4096) + 1000] ^= 0xFF
            try log.write(to: URL(fileURLWithPath: "\(source)-wal"))
            let torn = try DatabaseSnapshot.take(source, to: "\(folder)/copy.db")
            #expect(torn.problem?.contains("\(source)-wal") == true)
            #expect((21..<100).contains(try count("\(folder)/copy.db")))
            log = whole
            log[3] ^= 0xFF
            try log.write(to: URL(fileURLWithPath: "\(source)-wal"))
            let headless = try DatabaseSnapshot.take(source, to: "\(folder)/copy.db")
            #expect(headless.problem?.contains("header") == true)
            #expect(try count("\(folder)/copy.db") == 20)
            // Pages are in neither of the two.
            try Data().write(to: URL(fileURLWithPath: source))
            try whole.write(to: URL(fileURLWithPath: "\(source)-wal"))
            let part = try DatabaseSnapshot.take(source, to: "\(folder)/copy.db")
            #expect(part.problem?.contains("pages") == true)
            #expect(throws: DatabaseSnapshot.Failure.self) {
                try DatabaseSnapshot.take("\(folder)/nothing.db", to: "\(folder)/copy.db")
            }
        }
    }

    /// Between the copying of the database and of its log, another program begins the log again: once, or each time.
    @Test(arguments: [1, 1000])
    func isOfOneMomentThoughTheLogIsBegunAgain(times: Int) throws {
        try withFolder { folder in
            let source = "\(folder)/source/app.db"
            let database = try DatabaseQueue(path: source)
            try database.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA journal_mode = WAL")
                try database.execute(sql: "CREATE TABLE a (id INTEGER PRIMARY KEY)")
                try database.execute(sql: "CREATE TABLE b (id INTEGER PRIMARY KEY)")
            }
            var left = times
            var written = 0
            _ = try DatabaseSnapshot.take(source, to: "\(folder)/copy.db") {
                guard left > 0 else { return }
                left -= 1
                do {
                    try database.writeWithoutTransaction { database in
                        try database.checkpoint(.truncate)
                        try database.inTransaction {
                            try database.execute(sql: "INSERT INTO a DEFAULT VALUES")
                            try database.execute(sql: "INSERT INTO b DEFAULT VALUES")
                            return .commit
                        }
                    }
                    written += 1
                } catch {
                    Issue.record("\(error)")
                }
            }
            #expect(try count("\(folder)/copy.db", "a") == written)
            #expect(try count("\(folder)/copy.db", "b") == written)
            try database.close()
        }
    }

    /// Another process writes to two tables in each transaction and begins its log again every few.
    @Test(arguments: ["WAL", "DELETE"])
    func isOfOneMomentWhileAnotherProcessWrites(mode: String) throws {
        try withFolder { folder in
            let source = "\(folder)/source/app.db"
            let writer = try python(
                """
                db = sqlite3.connect(path, isolation_level=None, timeout=60)
                db.execute('PRAGMA journal_mode = \(mode)')
                db.execute('PRAGMA wal_autocheckpoint = 20')
                db.execute('PRAGMA synchronous = OFF')
                db.execute('CREATE TABLE a (id INTEGER PRIMARY KEY, text TEXT)')
                db.execute('CREATE TABLE b (id INTEGER PRIMARY KEY, text TEXT)')
                while True:
                    db.execute('BEGIN IMMEDIATE')
                    db.execute('INSERT INTO a (text) VALUES (?)', ['x' * 900])
                    db.execute('INSERT INTO b (text) VALUES (?)', ['y' * 900])
                    # So that the file stays small.
                    done = db.execute('DELETE FROM a WHERE id <= (SELECT max(id) - 200 FROM a)').rowcount
                    db.execute('DELETE FROM b WHERE id <= (SELECT max(id) - 200 FROM b)')
                    db.execute('COMMIT')
                    if done and not os.path.exists(path + '.large'): open(path + '.large', 'w')
                """, source)
            defer { writer.stop() }
            while !FileManager.default.fileExists(atPath: "\(source).large") { usleep(10_000) }
            var last = 0
            for _ in 0..<30 {
                _ = try DatabaseSnapshot.take(source, to: "\(folder)/copy.db")
                let found = try count("\(folder)/copy.db", "a", "max(id)")
                #expect(try count("\(folder)/copy.db", "b", "max(id)") == found)
                #expect(try count("\(folder)/copy.db") == 200 && count("\(folder)/copy.db", "b") == 200)
                #expect(found >= last && found > 0)
                last = found
            }
        }
    }

    /// A program was killed while it changed a database without WAL mode: what it had not committed is rolled back in the copy.
    @Test func rollsBackWhatWasNotCommitted() throws {
        try withFolder { folder in
            let source = "\(folder)/source/app.db"
            let made = try python(
                """
                db = sqlite3.connect(path, isolation_level=None)
                db.execute('PRAGMA cache_size = 2')
                db.execute('CREATE TABLE a (id INTEGER PRIMARY KEY, text TEXT)')
                db.execute('BEGIN')
                for number in range(50): db.execute('INSERT INTO a (text) VALUES (?)', ['x' * 900])
                db.execute('COMMIT')
                db.execute('BEGIN')
                db.execute('UPDATE a SET text = text || text')
                db.execute('DELETE FROM a WHERE id % 2')
                for number in range(500): db.execute('INSERT INTO a (text) VALUES (?)', ['z' * 900])
                os.kill(os.getpid(), 9)
                """, source)
            made.wait()
            let before = try files("\(folder)/source")
            #expect(before.keys.sorted() == ["app.db", "app.db-journal"])
            _ = try DatabaseSnapshot.take(source, to: "\(folder)/copy.db")
            #expect(try count("\(folder)/copy.db") == 50)
            #expect(try files("\(folder)/source") == before)
        }
    }
}
