import EdgeTesting
import Foundation
import Testing

/// The importers: they take all that a source has, say how much that was, and fail when they took nothing of what is there.
struct ImporterTests {
    private static let unitTables = """
        CREATE TABLE health_records (timestamp TEXT PRIMARY KEY, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL);
        CREATE TABLE ap_cache (bssid TEXT PRIMARY KEY, ssid TEXT, encryption TEXT, lat REAL, lon REAL, last_time INTEGER);
        """

    private func daemon() throws -> DaemonProcess {
        let daemon = try DaemonProcess(settings: ["NODE_ADMISSION": "open"])
        try daemon.start()
        return daemon
    }

    /// Runs Python with `db`, a new database; it is killed at the end, as a unit is whose card is taken out.
    private func leave(_ path: String, mode: String = "WAL", _ script: String) throws {
        let made = try TestProgram(
            "/usr/bin/env",
            [
                "python3", "-c",
                """
                import os, sqlite3, sys
                db = sqlite3.connect(sys.argv[1], isolation_level=None)
                db.execute('PRAGMA journal_mode = \(mode)')
                \(script)
                os.kill(os.getpid(), 9)
                """, path,
            ])
        made.wait()
    }

    private func files(_ folder: String) throws -> [String: Data] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        return Dictionary(
            uniqueKeysWithValues: try names.map { ($0, try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\($0)"))) })
    }

    private func folder(_ daemon: DaemonProcess, _ name: String) throws -> String {
        let folder = "\(daemon.folder)/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    // MARK: - PiWardrive

    @Test(arguments: [0, 30])
    func takesAUnitsDatabaseWithItsLog(checkpointed: Int) throws {
        let daemon = try daemon()
        let place = try folder(daemon, "source")
        let path = "\(place)/app.db"
        try leave(
            path,
            """
            db.executescript('''\(Self.unitTables)''')
            for n in range(40):
                db.execute('INSERT INTO health_records VALUES (?, 40, 10, 50, 20)', [f'2025-07-01T12:00:{n:02d}'])
                db.execute('INSERT INTO ap_cache VALUES (?, ?, ?, 1, ?, 1750000000)', [f'AA:{n:02d}', 'net', 'WPA2', n / 100])
                if n + 1 == \(checkpointed): db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            """)
        try FileManager.default.removeItem(atPath: "\(path)-shm")
        let before = try files(place)
        let first = try daemon.command("import", "piwardrive", "--unit", "van", path)
        #expect(first.status == 0, "\(first.output)")
        #expect(first.output.contains("40 health records, 40 access points"), "\(first.output)")
        #expect(
            first.output.contains("of 80 rows 80 are new, 0 were there already, 0 more rejected"), "\(first.output)")
        #expect(first.output.contains("waits to be merged"), "\(first.output)")
        #expect(
            first.output.contains("is merged: 40 health records and 40 access points of van are in the database"),
            "\(first.output)")
        // When the command has ended, the daemon has merged it.
        let points = try daemon.json("/overlay?bins=1")["points"] as? [[Double]]
        #expect(points?.first?.last == 40)
        let rows =
            try daemon.json("/api/v1/observations?source=piwardrive/van&quantity=cpu&limit=1000")["observations"]
            as? [Any]
        #expect(rows?.count == 40)
        // The second time is no failure.
        let second = try daemon.command("import", "piwardrive", "--unit", "van", path)
        #expect(second.status == 0 && second.output.contains("all of 80 rows were there already"), "\(second.output)")
        #expect(!second.output.contains("waits to be merged"), "\(second.output)")
        #expect(try files(place) == before)
        // It was whole: nothing is to be said at the unit.
        let errors = try daemon.json("/api/v1/nodes/piwardrive/van/errors")["errors"] as? [Any]
        #expect(errors?.isEmpty == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/spool/piwardrive").isEmpty)
    }

    /// A database of a unit's with so many health records and access points.
    private func unit(_ path: String, _ count: Int) throws {
        try leave(
            path, mode: "DELETE",
            """
            db.executescript('''\(Self.unitTables)''')
            for n in range(\(count)):
                db.execute('INSERT INTO health_records VALUES (?, 40, 10, 50, 20)', [f'2025-07-01T12:00:{n:02d}'])
                db.execute('INSERT INTO ap_cache VALUES (?, ?, ?, 1, ?, 1750000000)', [f'AA:{n:02d}', 'net', 'WPA2', n / 100])
            """)
    }

    /// Without a daemon there is nobody to wait for: the command merges by itself, and the daemon has it at its next start.
    @Test func mergesAUnitsDatabaseWithoutADaemon() throws {
        let daemon = try daemon()
        let place = try folder(daemon, "source")
        try unit("\(place)/app.db", 30)
        try unit("\(place)/other.db", 30)
        #expect(daemon.stop() == 0)
        let result = try daemon.command(
            "import", "piwardrive", "--unit", "van", "\(place)/app.db", "\(place)/other.db")
        #expect(result.status == 0 && result.output.contains("No daemon runs"), "\(result)")
        // Both wait with the same rows, since neither was merged when the second was compared.
        for name in ["app.db", "other.db"] {
            #expect(
                result.output.contains(
                    "\(name) is merged: 30 health records and 30 access points of van are in the database"), "\(result)"
            )
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/spool/piwardrive").isEmpty)
        // By Python's SQLite.
        let check = try TestProgram(
            "/usr/bin/env",
            [
                "python3", "-c",
                """
                import sqlite3, sys
                db = sqlite3.connect(sys.argv[1])
                counts = [db.execute('SELECT count(*) FROM ' + table).fetchone()[0] for table in ('readings', 'access_points')]
                sys.exit(0 if counts == [30, 30] else 1)
                """, "\(daemon.folder)/edge.db",
            ])
        #expect(check.wait() == 0)
        try daemon.start()
        let points = try daemon.json("/overlay?bins=1")["points"] as? [[Double]]
        #expect(points?.first?.last == 30)
        #expect(daemon.stop() == 0)
    }

    /// A daemon that does nothing for a while: the wait ends, the file stays, and the daemon merges it later.
    @Test func aDaemonThatDoesNotMergeIsNotWaitedForWithoutEnd() throws {
        let daemon = try daemon()
        let place = try folder(daemon, "source")
        try unit("\(place)/app.db", 20)
        #expect(kill(daemon.pid, SIGSTOP) == 0)
        let late = try daemon.command("import", "piwardrive", "--unit", "van", "--wait", "1", "\(place)/app.db")
        let unwaited = try daemon.command("import", "piwardrive", "--unit", "van", "--wait", "0", "\(place)/app.db")
        let spool = "\(daemon.folder)/spool/piwardrive"
        let waiting = try FileManager.default.contentsOfDirectory(atPath: spool)
        #expect(kill(daemon.pid, SIGCONT) == 0)
        #expect(late.status == 1 && late.output.contains("is not merged yet. It stays among the uploads"), "\(late)")
        #expect(unwaited.status == 0 && unwaited.output.contains("waits to be merged"), "\(unwaited)")
        #expect(!unwaited.output.contains("is merged"), "\(unwaited)")
        // Both copies, and no second names of theirs.
        #expect(waiting.count == 2 && waiting.allSatisfy { $0.hasSuffix(".db") }, "\(waiting)")
        try waitFor("the merge") {
            (try daemon.json("/overlay?bins=1")["points"] as? [[Double]])?.first?.last == 20
        }
        try waitFor("both") { try FileManager.default.contentsOfDirectory(atPath: spool).isEmpty }
        #expect(daemon.stop() == 0)
    }

    @Test func failsWhenItTookNothingOfAUnitsDatabase() throws {
        let daemon = try daemon()
        let place = try folder(daemon, "source")
        func run(_ names: String...) throws -> (status: Int32, output: String) {
            let paths = names.map { "\(place)/\($0)" }
            return paths.count == 1
                ? try daemon.command("import", "piwardrive", "--unit", "van", paths[0])
                : try daemon.command("import", "piwardrive", "--unit", "van", paths[0], paths[1])
        }
        // The main file of a live database, alone.
        try leave("\(place)/live.db", "db.executescript('''\(Self.unitTables)''')")
        try FileManager.default.copyItem(atPath: "\(place)/live.db", toPath: "\(place)/alone.db")
        var result = try run("alone.db")
        #expect(result.status == 1 && result.output.contains("neither a table"), "\(result)")
        // Empty tables are no failure.
        result = try run("live.db")
        #expect(result.status == 0 && result.output.contains("there are no readings in it"), "\(result)")
        // Rows that make no sense.
        try leave(
            "\(place)/odd.db",
            "db.executescript('''\(Self.unitTables)''')\ndb.execute(\"INSERT INTO health_records VALUES ('never', 1, 2, 3, 4)\")"
        )
        result = try run("odd.db")
        #expect(result.status == 1 && result.output.contains("nothing of it was taken"), "\(result)")
        try Data("junk that is no database".utf8).write(to: URL(fileURLWithPath: "\(place)/junk.db"))
        #expect(try run("junk.db").status == 1)
        try Data().write(to: URL(fileURLWithPath: "\(place)/empty.db"))
        #expect(try run("empty.db").status == 1)
        #expect(try run("missing.db").status == 74)
        // One that is wrong holds up no other, and the command fails.
        try leave(
            "\(place)/good.db", mode: "DELETE",
            "db.executescript('''\(Self.unitTables)''')\ndb.execute(\"INSERT INTO ap_cache VALUES ('AA', 's', 'e', 1, 2, 3)\")"
        )
        result = try run("junk.db", "good.db")
        #expect(result.status == 1 && result.output.contains("of 1 rows 1 are new"), "\(result)")
        try waitFor("the good one") {
            (try daemon.json("/overlay?bins=1")["points"] as? [[Double]])?.first?.last == 1
        }
        // A log that is damaged: what is before the damage is taken, and it is said.
        try leave(
            "\(place)/torn.db",
            """
            db.executescript('''\(Self.unitTables)''')
            for n in range(100): db.execute('INSERT INTO ap_cache VALUES (?, ?, ?, 1, 2, 3)', [f'BB:{n}', 's' * 64, 'e'])
            """)
        var log = try Data(contentsOf: URL(fileURLWithPath: "\(place)/torn.db-wal"))
        log[log.count / 2] ^= 0xFF
        try log.write(to: URL(fileURLWithPath: "\(place)/torn.db-wal"))
        result = try run("torn.db")
        #expect(result.status == 1 && result.output.contains("torn.db-wal is damaged"), "\(result)")
        #expect(result.output.contains("waits to be merged"), "\(result)")
    }

    // MARK: - ISEMS

    private static let measurements =
        "db.execute('CREATE TABLE measurement (id INTEGER PRIMARY KEY, ' + ', '.join(f'\"{c}\"' for c in 'nodeId isemsRevision timestamp openMPPTFirmwareVersion isPowerSaveMode timeToShutdown openCircuitVoltage mppVoltage batteryVoltage batteryChargeEstimate batteryHealthEstimate batteryTemperature lowVoltageDisconnectVoltage temperatureCorrectedVoltage rateBatteryCapacity ratedSolarModuleCapacity latitude longitude status'.split()) + ')')"

    @Test(arguments: [nil, 0, 1])
    func takesTheCollectorsDatabaseWithItsLog(size: Int?) throws {
        let daemon = try daemon()
        let place = try folder(daemon, "source")
        let path = "\(place)/isems.sqlite"
        try leave(
            path,
            """
            \(Self.measurements)
            for n in range(50):
                db.execute('INSERT INTO measurement ("nodeId", timestamp, "batteryVoltage") VALUES (?, ?, 13.5)', ['Nord', f'2025-06-01 12:00:{n:02d}.000000'])
            """)
        if let size {
            try Data(contentsOf: URL(fileURLWithPath: path)).prefix(size).write(to: URL(fileURLWithPath: path))
        }
        let before = try files(place)
        let first = try daemon.command("import", "isems", path)
        #expect(first.status == 0 && first.output.contains("50 readings read, 0 rejected"), "\(first.output)")
        #expect(first.output.contains("of 50 rows 50 are new"), "\(first.output)")
        let second = try daemon.command("import", "isems", path)
        #expect(second.status == 0 && second.output.contains("all of 50 rows were there already"), "\(second.output)")
        let rows = try daemon.json("/measurements/Nord/latest")["measurements"] as? [Any]
        #expect(rows?.count == 50)
        #expect(try files(place) == before)
    }

    @Test func failsWhenItTookNothingOfTheCollector() throws {
        let daemon = try daemon()
        let place = try folder(daemon, "source")
        try leave(
            "\(place)/odd.sqlite",
            "\(Self.measurements)\ndb.execute('INSERT INTO measurement (\"nodeId\", timestamp) VALUES (1, 2)')")
        var result = try daemon.command("import", "isems", "\(place)/odd.sqlite")
        #expect(result.status == 1 && result.output.contains("0 readings read, 1 rejected"), "\(result)")
        try leave("\(place)/other.sqlite", "db.execute('CREATE TABLE other (x)')")
        result = try daemon.command("import", "isems", "\(place)/other.sqlite")
        #expect(result.status == 1 && result.output.contains("no table measurement"), "\(result)")
        try leave("\(place)/none.sqlite", Self.measurements)
        result = try daemon.command("import", "isems", "\(place)/none.sqlite")
        #expect(result.status == 0 && result.output.contains("there are no readings in it"), "\(result)")
        try "junk\nmore junk\n".write(toFile: "\(place)/log", atomically: false, encoding: .utf8)
        result = try daemon.command("import", "isems", "\(place)/log")
        #expect(result.status == 1 && result.output.contains("nothing of it was taken"), "\(result)")
    }

    // MARK: - CO2

    @Test func saysHowMuchOfAFolderIsNew() throws {
        let daemon = try daemon()
        let unit = StockUnit("co2unit-000000000001", port: daemon.port)
        let old = try folder(daemon, "old")
        var result = try daemon.command("import", "co2", old)
        #expect(result.status == 0, "\(result)")
        let readings = try folder(daemon, "old/\(unit.id)/data/readings")
        try (0..<20).map { unit.line($0) }.joined().write(
            toFile: "\(readings)/readings-0000.tsv", atomically: false, encoding: .utf8)
        result = try daemon.command("import", "co2", old)
        #expect(result.status == 0 && result.output.contains("of 20 rows 20 are new"), "\(result)")
        result = try daemon.command("import", "co2", old)
        #expect(result.status == 0 && result.output.contains("all of 20 rows were there already"), "\(result)")
        try (10..<30).map { unit.line($0) }.joined().write(
            toFile: "\(readings)/readings-0001.tsv", atomically: false, encoding: .utf8)
        result = try daemon.command("import", "co2", old)
        #expect(result.output.contains("of 40 rows 10 are new, 30 were there already"), "\(result)")
        // Another folder by mistake, and one with lines that are no readings.
        let wrong = try folder(daemon, "wrong")
        _ = try folder(daemon, "wrong/photos")
        result = try daemon.command("import", "co2", wrong)
        #expect(result.status == 1 && result.output.contains("has no files of CO2 units"), "\(result)")
        let odd = try folder(daemon, "odd")
        let lines = try folder(daemon, "odd/\(unit.id)/data/readings")
        try "junk\nmore junk\n".write(toFile: "\(lines)/readings-0000.tsv", atomically: false, encoding: .utf8)
        result = try daemon.command("import", "co2", odd)
        #expect(result.status == 1 && result.output.contains("nothing of it was taken"), "\(result)")
    }

    // MARK: - The device's own database

    /// The files as an operator may copy them, and as a failing card may leave them.
    @Test func hasAllInOneFileAfterItsEndAndInItsLogAfterAKill() throws {
        let daemon = try daemon()
        let place = try folder(daemon, "source")
        let node = ISEMSNodeTests.self
        try (0..<30).map { node.line("n", 1_530_364_575 + $0) }.joined(separator: "\n").write(
            toFile: "\(place)/log", atomically: false, encoding: .utf8)
        #expect(try daemon.command("import", "isems", "\(place)/log").status == 0)
        func rows() throws -> Int? {
            (try daemon.json("/measurements/n/latest")["measurements"] as? [Any])?.count
        }
        #expect(try rows() == 30)
        #expect(daemon.stop() == 0)
        let database = "\(daemon.folder)/edge.db"
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: database + suffix) }
        try daemon.start()
        #expect(try rows() == 30)
        #expect(daemon.stop() == 0)
        // Begin again, so that the log has everything.
        try FileManager.default.removeItem(atPath: database)
        try daemon.start()
        let unit = StockUnit("co2unit-000000000001", port: daemon.port)
        for _ in 0..<3 { try unit.ping() }
        func pings() throws -> Int? {
            (try daemon.json("/api/v1/observations?source=co2/\(unit.id)&limit=1000")["observations"] as? [Any])?.count
        }
        let before = try pings()
        #expect(before ?? 0 >= 3)
        daemon.killNow()
        let log = try Data(contentsOf: URL(fileURLWithPath: "\(database)-wal"))
        let file = try Data(contentsOf: URL(fileURLWithPath: database))
        for size in [0, 1] {
            try file.prefix(size).write(to: URL(fileURLWithPath: database))
            try log.write(to: URL(fileURLWithPath: "\(database)-wal"))
            try? FileManager.default.removeItem(atPath: "\(database)-shm")
            try daemon.start()
            #expect(try pings() == before)
            #expect(try Data(contentsOf: URL(fileURLWithPath: "\(database).damaged-\(size + 1)-wal")) == log)
            daemon.killNow()
        }
    }
}
