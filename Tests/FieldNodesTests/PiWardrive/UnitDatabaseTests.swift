import EdgeTesting
import FieldNodes
import Foundation
import Testing

/// Databases of units, good and hostile, made by Python's SQLite.
struct UnitDatabaseTests {
    struct Found: Equatable {
        var health: [UnitHealth] = []
        var points: [AccessPoint] = []
        var bad = 0
        var outcomes: [GuardedDatabase.Outcome] = []
    }

    static let tables = """
        CREATE TABLE health_records (timestamp TEXT PRIMARY KEY, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL);
        CREATE TABLE ap_cache (bssid TEXT PRIMARY KEY, ssid TEXT, encryption TEXT, lat REAL, lon REAL, last_time INTEGER);
        CREATE TABLE users (username TEXT, password_hash TEXT);
        INSERT INTO users VALUES ('pi', 'secret');
        """

    /// Runs Python on `path`; returns the file.
    static func make(_ python: String) throws -> (path: String, folder: String) {
        let folder = try TestFolders.temporary("edge-unit")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", "import sqlite3, sys\npath = sys.argv[1]\n" + python, "\(folder)/app.db"]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return ("\(folder)/app.db", folder)
    }

    static func read(_ path: String) throws -> Found {
        let bytes = (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.int64Value ?? 0
        let database = try GuardedDatabase(path: path, bytes: bytes)
        var found = Found()
        found.outcomes.append(
            database.readHealth { row in
                if let row { found.health.append(row) } else { found.bad += 1 }
            })
        found.outcomes.append(
            database.readAccessPoints { row in
                if let row { found.points.append(row) } else { found.bad += 1 }
            })
        return found
    }

    private func found(_ python: String) throws -> Found {
        let (path, folder) = try Self.make(python)
        defer { TestFolders.remove(folder) }
        let before = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        defer { #expect((try? FileManager.default.contentsOfDirectory(atPath: folder).sorted()) == before) }
        return try Self.read(path)
    }

    private static let rows = """
        db.execute("INSERT INTO health_records VALUES ('2025-07-01T12:00:00.123456', NULL, 1.5, 2.0, 3.0)")
        db.execute("INSERT INTO ap_cache VALUES ('AA:BB', 'net', 'WPA2', 69.5, 30.1, 1750000000)")
        db.execute("INSERT INTO ap_cache VALUES ('AA:CC', 'nofix', 'WPA2', NULL, NULL, 1750000000)")
        """

    @Test func readsBothTables() throws {
        let found = try found(
            "db = sqlite3.connect(path)\ndb.executescript('''\(Self.tables)''')\n\(Self.rows)\ndb.commit()")
        #expect(found.outcomes == [.whole, .whole])
        let health = try #require(found.health.first)
        // date -u -d '2025-07-01 12:00:00' +%s
        #expect(health.timeNanoseconds == 1_751_371_200_123_456_000)
        #expect(health.values[0].isNaN && health.values[1...] == [1.5, 2.0, 3.0])
        #expect(found.points.map(\.bssid) == ["AA:BB", "AA:CC"])
        #expect(found.points[0].place == AccessPoint.Place(69.5, 30.1) && found.points[1].place == nil)
    }

    /// The main file of a live database: what is in the journal is missing.
    @Test func readsAFileWithoutItsJournal() throws {
        let found = try found(
            """
            db = sqlite3.connect(path + '.live')
            db.execute('PRAGMA journal_mode = WAL')
            db.executescript('''\(Self.tables)''')
            db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            \(Self.rows)
            db.commit()
            import shutil, os
            shutil.copy(path + '.live', path)
            db.close()
            os.remove(path + '.live')
            """)
        #expect(found == Found(outcomes: [.whole, .whole]))
        let tableless = try self.found(
            "db = sqlite3.connect(path)\ndb.execute('PRAGMA journal_mode = WAL')\ndb.close()")
        #expect(tableless.outcomes == [.missing, .missing])
    }

    @Test(arguments: [
        // Costly views under the tables' names.
        "CREATE VIEW health_records AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS timestamp, x AS cpu_temp, x AS cpu_percent, x AS memory_percent, x AS disk_percent FROM c; CREATE VIEW ap_cache AS SELECT * FROM health_records;",
        // A virtual table.
        "CREATE VIRTUAL TABLE health_records USING fts5(timestamp, cpu_temp, cpu_percent, memory_percent, disk_percent); CREATE VIRTUAL TABLE ap_cache USING fts5(bssid, ssid, encryption, lat, lon, last_time);",
        // Columns that call functions.
        "CREATE TABLE health_records (timestamp TEXT, cpu_temp REAL AS (length(hex(zeroblob(100000000)))), cpu_percent REAL, memory_percent REAL, disk_percent REAL); INSERT INTO health_records (timestamp) VALUES ('2025-07-01T12:00:00'); CREATE TABLE ap_cache (bssid TEXT, ssid TEXT AS (printf('%.*c', 100000000, 'x')), encryption TEXT, lat REAL, lon REAL, last_time INTEGER); INSERT INTO ap_cache (bssid) VALUES ('a');",
        // Other columns.
        "CREATE TABLE health_records (x); CREATE TABLE ap_cache (y);",
    ])
    func givesNothingForHostileSchemas(schema: String) throws {
        let found = try found("db = sqlite3.connect(path)\ndb.executescript(\"\"\"\(schema)\"\"\")\ndb.commit()")
        #expect(found.health.isEmpty && found.points.isEmpty)
        #expect(!found.outcomes.contains(.whole))
    }

    @Test func oddValuesCostTheirRowsAlone() throws {
        let found = try found(
            """
            db = sqlite3.connect(path)
            db.executescript('''\(Self.tables)''')
            db.execute("INSERT INTO ap_cache VALUES ('far', 's', 'e', 95, 500, 1)")
            db.execute("INSERT INTO ap_cache VALUES ('text', 's', 'e', 'north', 'x', 'never')")
            db.execute("INSERT INTO ap_cache VALUES (x'00ff', 's', 'e', 1, 2, 3)")
            db.execute("INSERT INTO ap_cache VALUES ('inf', 's', 'e', 9e999, 2, 3)")
            db.execute("INSERT INTO ap_cache VALUES ('long', ?, 'e', 1, 2, 3)", ['x' * 900000])
            db.execute("INSERT INTO health_records VALUES ('yesterday', 1, 2, 3, 4)")
            db.execute("INSERT INTO health_records VALUES ('2025-07-01T12:00:00', 'hot', 2, 3, 4)")
            db.commit()
            """)
        #expect(found.points.map(\.bssid) == ["far", "text", "inf", "long"])
        #expect(found.points.map { $0.place != nil } == [false, false, false, true])
        #expect(found.points[3].ssid.utf8.count == 64)
        #expect(found.health.count == 1 && found.health[0].values[0].isNaN)
        #expect(found.bad == 2)
    }

    @Test func refusesWhatIsNoDatabase() throws {
        for python in [
            "open(path, 'wb').write(bytes(range(256)) * 64)",
            "open(path, 'wb').write(b'SQLite format 3\\0' + b'\\xff' * 5000)",
        ] {
            #expect(throws: GuardedDatabase.Failure.self) { _ = try found(python) }
        }
        // An empty file is an empty database.
        #expect(try found("open(path, 'wb')").outcomes == [.missing, .missing])
    }

    @Test func givesTheRowsBeforeTheDamage() throws {
        let found = try found(
            """
            db = sqlite3.connect(path)
            db.executescript('''\(Self.tables)''')
            db.executemany("INSERT INTO ap_cache VALUES (?, 's', 'e', 1, 2, 3)", [(f'{n:012x}',) for n in range(20000)])
            db.commit()
            db.close()
            size = len(open(path, 'rb').read())
            with open(path, 'r+b') as f:
                for page in range(40, size // 4096, 16):
                    f.seek(page * 4096)
                    f.write(b'\\xa5' * 4096)
            """)
        #expect(found.points.count > 100 && found.points.count < 20_000)
        guard case .broken = found.outcomes[1] else {
            Issue.record("\(found.outcomes)")
            return
        }
    }

    /// The former service appended each upload to one file.
    @Test func readsTheFirstOfAStringOfFiles() throws {
        let found = try found(
            """
            for part in range(2):
                db = sqlite3.connect(f'{path}.{part}')
                db.executescript('''\(Self.tables)''')
                db.execute(f"INSERT INTO ap_cache VALUES ('part {part}', 's', 'e', 1, 2, 3)")
                db.commit()
                db.close()
                open(path, 'ab').write(open(f'{path}.{part}', 'rb').read())
                __import__('os').remove(f'{path}.{part}')
            """)
        #expect(found.points.map(\.bssid) == ["part 0"])
    }

    @Test func tellsWhichTimestampsAreNoDates() throws {
        let (path, folder) = try Self.make(
            """
            db = sqlite3.connect(path)
            db.execute("CREATE TABLE health_records (timestamp TEXT, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL)")
            for stamp in ["2025-07-01T12:00:00", "yesterday", None, "2025-13-01T12:00:00", "1970-01-01T00:00:10", b"2025"]:
                db.execute("INSERT INTO health_records VALUES (?, 1, 2, 3, 4)", (stamp,))
            db.commit()
            """)
        defer { TestFolders.remove(folder) }
        let bytes = (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.int64Value ?? 0
        let database = try GuardedDatabase(path: path, bytes: bytes)
        var rejected: [String] = []
        var taken: [String] = []
        let outcome = database.readHealth(onRejected: { rejected.append($0.timestamp) }) { row in
            if let row { taken.append(row.timestamp) }
        }
        #expect(outcome == .whole && taken == ["2025-07-01T12:00:00"])
        #expect(rejected == ["yesterday", "", "2025-13-01T12:00:00", "1970-01-01T00:00:10", ""])
        let records =
            #"[{"timestamp": "never", "cpu_percent": 1}, {"cpu_percent": 2}, 7, {"timestamp": "2025-07-01T12:00:00"}]"#
        let found = try #require(UnitHealth.all(json: Array(records.utf8)))
        #expect(found.records.count == 1 && found.rejected.map(\.timestamp) == ["never", "", ""])
    }
}
