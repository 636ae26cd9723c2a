import EdgeTesting
import Foundation
import Testing

/// Commands that root runs in the folders of a daemon with a user of its own: what they make is the daemon's, whether it runs or has never run.
@Suite(.enabled(if: geteuid() == 0)) struct RootImportTests {
    private static let nobody: UInt32 = 65534

    /// Names below the folder that are not the daemon's.
    private func others(_ folder: String) throws -> [String] {
        let names = try #require(FileManager.default.enumerator(atPath: folder)?.allObjects as? [String])
        return try names.filter {
            let facts = try FileManager.default.attributesOfItem(atPath: "\(folder)/\($0)")
            return (facts[.ownerAccountID] as? NSNumber)?.uint32Value != Self.nobody
        }
    }

    @Test func whatImportsMakeIsTheDaemons() throws {
        let daemon = try DaemonProcess(settings: ["NODE_ADMISSION": "open"])
        for path in [daemon.folder, "\(daemon.folder)/settings.yaml"] {
            #expect(chown(path, Self.nobody, Self.nobody) == 0)
        }
        let source = try TestFolders.temporary("edge-source")
        defer { TestFolders.remove(source) }
        let readings = "\(source)/remote_data/co2unit-000000000001/data/readings"
        let pings = "\(source)/var/pings"
        for folder in [readings, pings] {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        let unit = StockUnit("co2unit-000000000001", port: daemon.port)
        try (0..<5).map { unit.line($0) }.joined().write(
            toFile: "\(readings)/readings-0000.tsv", atomically: false, encoding: .utf8)
        try "2026-11-21T01:24:01.564991\tco2unit-000000000001\tvaranger-03\t8\t-97\n".write(
            toFile: "\(pings)/pings-0000.tsv", atomically: false, encoding: .utf8)
        try "\(ISEMSNodeTests.line("n", 1_530_364_575))\n".write(
            toFile: "\(source)/log", atomically: false, encoding: .utf8)
        let database = try TestProgram(
            "/usr/bin/env",
            [
                "python3", "-c",
                """
                import sqlite3, sys
                db = sqlite3.connect(sys.argv[1], isolation_level=None)
                db.execute('CREATE TABLE health_records (timestamp TEXT, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL)')
                db.execute('CREATE TABLE ap_cache (bssid TEXT, ssid TEXT, encryption TEXT, lat REAL, lon REAL, last_time INTEGER)')
                db.execute("INSERT INTO health_records VALUES ('2025-07-01T12:00:00', 40, 10, 50, 20)")
                """, "\(source)/app.db",
            ])
        #expect(database.wait() == 0)
        // The daemon has never run: the first command makes the database.
        let co2 = try daemon.command("import", "co2", "\(source)/remote_data")
        #expect(co2.status == 0 && co2.output.contains("5 readings, 1 pings"), "\(co2.output)")
        #expect(try daemon.command("import", "isems", "\(source)/log").status == 0)
        // Without a daemon the command merges it.
        let unitImport = try daemon.command("import", "piwardrive", "--unit", "van", "\(source)/app.db")
        #expect(unitImport.status == 0 && unitImport.output.contains("1 health records"), "\(unitImport.output)")
        #expect(try daemon.command("forecasts", "cleanup").status == 0)
        #expect(try others(daemon.folder) == [])
        let waiting = try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/spool/piwardrive")
        #expect(waiting.isEmpty)
        // The sources stay root's.
        #expect(try others(source).count == 10)
    }

    /// What was root's before, and links to other places, stay as they are.
    @Test func nothingElseIsGivenAway() throws {
        let daemon = try DaemonProcess()
        let outside = try TestFolders.temporary("edge-outside")
        defer { TestFolders.remove(outside) }
        try "root's\n".write(toFile: "\(outside)/file", atomically: false, encoding: .utf8)
        try "root's\n".write(toFile: "\(daemon.folder)/kept", atomically: false, encoding: .utf8)
        try FileManager.default.createSymbolicLink(
            atPath: "\(daemon.folder)/link", withDestinationPath: "\(outside)/file")
        #expect(link("\(outside)/file", "\(daemon.folder)/second") == 0)
        #expect(chown(daemon.folder, Self.nobody, Self.nobody) == 0)
        // What has just been made cannot be told from what the command makes; this is of before.
        Thread.sleep(forTimeInterval: 1.5)
        try "\(ISEMSNodeTests.line("n", 1_530_364_575))\n".write(
            toFile: "\(outside)/log", atomically: false, encoding: .utf8)
        // A second name changes the time of the file's state, so it is as new as what the command makes.
        #expect(link("\(outside)/file", "\(daemon.folder)/third") == 0)
        #expect(try daemon.command("import", "isems", "\(outside)/log").status == 0)
        #expect(Set(try others(daemon.folder)) == ["settings.yaml", "kept", "link", "second", "third"])
        #expect(try others(outside).count == 2)
    }
}
