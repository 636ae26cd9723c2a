import EdgeTesting
import Foundation
import Testing

/// `edge-aggregator export co2`: programs that query the replaced server's database by SQL find its tables.
struct CO2ExportTests {
    private static let id = "co2unit-30aea42a5140"

    private func daemon() throws -> (DaemonProcess, StockUnit) {
        let daemon = try DaemonProcess(settings: ["NODE_ADMISSION": "open"])
        try daemon.start()
        return (daemon, StockUnit(Self.id, port: daemon.port))
    }

    /// What Python's sqlite3 finds, by the name of the query.
    private func query(_ path: String) throws -> [String: [[Any]]] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "\(TestFolders.root)/Tests/Doubles/co2_database.py", path]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let object = try JSONSerialization.jsonObject(with: data)
        return try #require(object as? [String: [[Any]]])
    }

    private func text(_ rows: [[Any]]?) -> [String] {
        (rows ?? []).map { row in row.map { $0 is NSNull ? "NULL" : "\($0)" }.joined(separator: "|") }
    }

    private func hiddenFiles(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.contains(".exporting-") }
    }

    @Test func tablesAreThoseOfTheReplacedServer() throws {
        let (daemon, unit) = try daemon()
        try unit.ping()
        try unit.ping("?site_code=van&rssi_raw=99")
        try unit.ping("")
        let values = (1...10).map { "\($0)00" }.joined(separator: "\t")
        let readings = [
            "\(Self.id)\tvan\t2019-07-31\t13:00:10\t23.4375\t1\t\(values)",
            "\(Self.id)\tvan\t2019-07-31\t13:30:10\tNone\t2\t\(values)\t1\t2\t3\t4\t5",
            "\(Self.id)\tvan\t1970-01-01\t00:00:10\t20.0\t1\t\(values)", "junk", "",
            // A unit that was cut off by a loss of power.
            "\(Self.id)\tvan\t2019-08-02\t00:00:10\t85.0\t0\t680\tNo",
        ].joined(separator: "\n")
        try unit.push("data/readings/readings-0000.tsv", offset: 0, Array(readings.utf8))
        let errors = [
            "----- 1970-01-01 00:00:05 INFO  booted", "----- (2019, 7, 2, 3, 1, 4, 4, 298) EXC  Uncaught exception",
            "Traceback (most recent call last):", "----- 1970-01-01 00:00:09 WARN  Error transmitting, backoff 3", "",
        ].joined(separator: "\n")
        try unit.push("errors/errors-0000.txt", offset: 0, Array(errors.utf8))
        let manual = "\(daemon.folder)/remote_data/manual"
        try FileManager.default.createDirectory(atPath: manual, withIntermediateDirectories: true)
        try """
        unit_id\tnickname\tsite\ttier\tstatus\tstart_ts\tend_ts\tnote
        # a comment

        \(Self.id)\tvan\tridge\t8\tdeployed\t2019-08-01T00:00:00\t\tby sled # or boat
        \(Self.id)\tvan\tlab\t2\tlab_check\t\t2019-08-01T00:00:00
        """.write(toFile: "\(manual)/deploy_durations_tiered.tsv", atomically: false, encoding: .utf8)
        let path = "\(daemon.folder)/out.sqlite3"
        let result = try daemon.command("export", "co2", path)
        #expect(result.status == 0, "\(result.output)")
        #expect(
            result.output.contains(
                "3 readings, 3 pings, 3 entries of the units' logs, 2 deployments; 2 lines left out"),
            "\(result.output)")
        let found = try query(path)
        #expect(text(found["check"]) == ["ok"])
        #expect(
            text(found["tables"]) == [
                "co2_readings|unit_id TEXT, nickname TEXT, date TEXT, time TEXT, temp NUMERIC, flash_count INTEGER, "
                    + (1...10).map { $0 < 10 ? "co2_0\($0) INTEGER" : "co2_\($0) INTEGER" }.joined(separator: ", "),
                "deploy_durations_tiered|unit_id TEXT, nickname TEXT, site TEXT, tier INTEGER, status TEXT, start_ts TEXT, end_ts TEXT, note TEXT",
                "error_logs|unit_id TEXT, idate TEXT, itime TEXT, etype TEXT, odate TEXT, otime TEXT, level TEXT, message TEXT",
                "pings|ping_ts TEXT, ping_date TEXT, ping_time TEXT, unit_id TEXT, nickname TEXT, rssi_raw INTEGER, rssi_dbm INTEGER",
            ])
        #expect(
            text(found["indexes"]) == ["co2_readings|co2_index_by_unit_id", "pings|pings_index_by_unit_id"])
        let hundreds = (1...10).map { "\($0)00" }.joined(separator: "|")
        #expect(
            text(found["readings"]) == [
                "\(Self.id)|van|2019-07-31|13:00:10|23.4375|1|\(hundreds)",
                "\(Self.id)|van|2019-07-31|13:30:10|NULL|2|\(hundreds)",
                "\(Self.id)|van|2019-08-02|00:00:10|85|0|680" + String(repeating: "|NULL", count: 9),
            ])
        #expect(
            text(found["types"]) == [
                "integer|integer|integer|1", "null|integer|integer|1", "real|integer|integer|1",
            ])
        #expect(text(found["means"]) == ["\(Self.id)|2019-07-31 13:00:10|400"])
        #expect(
            text(found["errors"]) == [
                "\(Self.id)||||1970-01-01|00:00:05|INFO|booted",
                "\(Self.id)|2019-07-02|03:01:04|uncaught|2019-07-02|03:01:04|EXC|Uncaught exception",
                "\(Self.id)|2019-07-02|03:01:04|transmit|1970-01-01|00:00:09|WARN|Error transmitting, backoff 3",
            ])
        #expect(
            text(found["deployments"]) == [
                "8|ridge|\(Self.id)|van|deployed|2019-08-01T00:00:00|NULL|2019-08-02|2019-08-02",
                "2|lab|\(Self.id)|van|lab_check|NULL|2019-08-01T00:00:00|2019-07-31|2019-07-31",
            ])
        // As the server's own files have them, with the second and its fraction apart.
        let pings = text(found["ping_rows"])
        let lines = try String(contentsOfFile: "\(daemon.folder)/var/pings/pings-0000.tsv", encoding: .utf8)
            .split(separator: "\n").map { line -> String in
                let fields = line.split(separator: "\t").map { $0 == "None" ? "NULL" : String($0) }
                let halves = fields[0].split(separator: "T")
                let second = fields[0].prefix(19)
                let nickname = fields[2] == "NULL" ? "None" : fields[2]
                return [
                    String(second), String(halves[0]), String(halves[1]), fields[1], nickname, fields[3], fields[4],
                ]
                .joined(separator: "|")
            }
        #expect(pings == lines)
        #expect(pings.count == 3)
        #expect(pings.first?.hasSuffix("|varanger-03|8|-97") == true)
        #expect(try hiddenFiles(daemon.folder).isEmpty)
    }

    @Test func neverReplacesAFileUnlessItIsToldTo() throws {
        let (daemon, unit) = try daemon()
        try unit.ping()
        let path = "\(daemon.folder)/out.sqlite3"
        let other = Data("what somebody else has there".utf8)
        try other.write(to: URL(fileURLWithPath: path))
        let first = try daemon.command("export", "co2", path)
        #expect(first.status == 74)
        #expect(
            first.output.contains("\(path) exists; choose another name, or replace it with --force"), "\(first.output)")
        #expect(FileManager.default.contents(atPath: path) == other)
        // A journal of what was there would be applied to the new file.
        try Data("j".utf8).write(to: URL(fileURLWithPath: "\(path)-wal"))
        let second = try daemon.command("export", "co2", "--force", path)
        #expect(second.status == 74 && second.output.contains("\(path)-wal exists"), "\(second.output)")
        #expect(FileManager.default.contents(atPath: path) == other)
        try FileManager.default.removeItem(atPath: "\(path)-wal")
        let third = try daemon.command("export", "co2", "--force", path)
        #expect(third.status == 0, "\(third.output)")
        let found = try query(path)
        #expect(found["ping_rows"]?.count == 1)
        let missing = try daemon.command("export", "co2", "\(daemon.folder)/none/out.sqlite3")
        #expect(missing.status == 74 && missing.output.contains("Nothing was exported"), "\(missing.output)")
        #expect(try hiddenFiles(daemon.folder).isEmpty)
    }

    /// Pages of pings and pieces of files do not show: what is in the middle of one is there once.
    @Test func manyRowsComeOnceEach() throws {
        let (daemon, unit) = try daemon()
        let count = 3500
        let folder = "\(daemon.folder)/source"
        let data = "\(folder)/\(Self.id)/data/readings"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: "\(folder)/server/var/pings", withIntermediateDirectories: true)
        try (0..<count).map { unit.line($0 % 1300) }.joined()
            .write(toFile: "\(data)/readings-0000.tsv", atomically: false, encoding: .utf8)
        try (0..<count).map { number in
            let clock = String(format: "%02d:%02d:%02d", number / 3600, number / 60 % 60, number % 60)
            return "2026-11-21T\(clock).000\(100 + number % 900)\t\(Self.id)\tvan\t8\t-97\n"
        }.joined().write(toFile: "\(folder)/server/var/pings/pings-0000.tsv", atomically: false, encoding: .utf8)
        let taken = try daemon.command("import", "co2", folder)
        #expect(taken.status == 0, "\(taken.output)")
        let path = "\(daemon.folder)/out.sqlite3"
        let result = try daemon.command("export", "co2", path)
        // The replaced server's import kept a line as often as it came.
        #expect(result.output.contains("\(count) readings, \(count) pings"), "\(result.output)")
        let found = try query(path)
        #expect(found["ping_rows"]?.count == count)
        #expect(Set(text(found["ping_rows"])).count == count)
        #expect(found["readings"]?.count == count)
        #expect(Set(text(found["readings"])).count == 1300)
    }
}
