import EdgeTesting
import Foundation
import Testing

/// The catalogue's tables in PostgreSQL, as readers and writers of the replaced aggregator use them: psycopg with typed parameters.
@Suite(.serialized) struct CatalogueTableTests {
    private typealias Upstream = ForecastUpstream

    private static func client(_ arguments: String...) throws -> (process: Process, output: Pipe) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "\(TestFolders.root)/Tests/Doubles/catalogue_client.py"] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        return (process, output)
    }

    /// What the client printed; the test fails if the client did.
    private static func run(_ arguments: String...) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "\(TestFolders.root)/Tests/Doubles/catalogue_client.py"] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "catalogue_client.py \(arguments.dropFirst().joined(separator: " "))")
        return text
    }

    private struct Answers {
        let types: [[String]]
        let rows: [[String]]
        let collections: [[String]]
        let counts: [String: Int]

        init(_ data: Data) throws {
            let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            func texts(_ name: String) -> [[String]] {
                (object[name] as? [[Any]] ?? []).map { $0.map { $0 is NSNull ? "" : "\($0)" } }
            }
            (types, rows, collections) = (texts("types"), texts("rows"), texts("collections"))
            counts = object.compactMapValues { $0 as? Int }
        }
    }

    private static func read(_ url: String) throws -> Answers { try Answers(try run(url, "read")) }

    private static func identity(_ box: String, _ name: String) throws -> String {
        String(decoding: try run("", "uuid", box, name), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// As readers know them: name, type, length.
    private static let documented: [String: String] = [
        "aggregator_datasets.id": "uuid", "aggregator_datasets.data_type": "character varying 50",
        "aggregator_datasets.source": "character varying 50",
        "aggregator_datasets.forecast_date": "timestamp without time zone",
        "aggregator_datasets.forecast_cycle": "character varying 10",
        "aggregator_datasets.valid_time_start": "timestamp without time zone",
        "aggregator_datasets.valid_time_end": "timestamp without time zone",
        "aggregator_datasets.file_path": "character varying 500", "aggregator_datasets.file_size_bytes": "bigint",
        "aggregator_datasets.is_forecast": "boolean",
        "aggregator_datasets.created_at": "timestamp without time zone",
        "aggregator_datasets.last_accessed_at": "timestamp without time zone",
        "aggregator_collection_status.collection_id": "uuid",
        "aggregator_collection_status.started_at": "timestamp without time zone",
        "aggregator_collection_status.completed_at": "timestamp without time zone",
        "aggregator_collection_status.records_collected": "integer",
        "aggregator_collection_status.error_message": "text",
    ]

    private static func expectDocumented(_ answers: Answers) {
        let found = Dictionary(
            answers.types.map { ("\($0[0]).\($0[1])", "\($0[2]) \($0[3])".trimmingCharacters(in: .whitespaces)) }
        ) { first, _ in first }
        for (column, type) in documented { #expect(found[column] == type, "\(column)") }
        for table in ["aggregator_datasets", "aggregator_collection_status"] {
            #expect(found["\(table).aggregator_uuid"] == "text" && found["\(table).natural_id"] == "text")
        }
    }

    private func settings(_ upstream: Upstream, _ database: PostgreSQLServer) -> [String: String] {
        upstream.settings([
            "DATABASE_URL": database.url(), "AGGREGATOR_UUID": "box-1", "DELIVERY_RETRY_FIRST_SEC": "0.1",
            "DELIVERY_RETRY_MAX_SEC": "1",
        ])
    }

    /// Both at once in the tables of the replaced one: its rows stay, and its queries find ours.
    @Test func theReplacedAggregatorGoesOnBesideOurs() throws {
        let upstream = try Upstream()
        let database = try PostgreSQLServer(user: "edge", password: "secret", database: "drift")
        _ = try Self.run(database.url(), "create")
        _ = try Self.run(database.url(), "write", "20")
        let other = try Self.client(database.url(), "write", "300")
        let daemon = try DaemonProcess(settings: settings(upstream, database))
        try daemon.start()
        _ = try daemon.collected(["wind"])
        let ours = "SELECT count(*) FROM aggregator_datasets WHERE aggregator_uuid = 'box-1'"
        Upstream.wait { (try? database.query(ours)) == "5" }
        let completed = "SELECT status FROM aggregator_collection_status WHERE aggregator_uuid = 'box-1'"
        Upstream.wait { (try? database.query(completed)) == "completed" }
        other.process.waitUntilExit()
        #expect(other.process.terminationStatus == 0)

        let answers = try Self.read(database.url())
        Self.expectDocumented(answers)
        #expect(answers.rows.count == 325 && answers.rows.filter { $0[7].hasPrefix("old/") }.count == 320)
        // The first of five fields is no forecast.
        #expect(answers.counts == ["newest wind": 4, "by id": 1, "completed": 321])
        let id = "wind-\(Upstream.stamp(upstream.run))-f003"
        let row = try #require(answers.rows.first { $0[11] == id })
        let run = Upstream.text(upstream.run)
        let valid = Upstream.text(upstream.run + 10_800)
        #expect(
            Array(row.prefix(7)) == [
                try Self.identity("box-1", id), "wind", "noaa_gfs", "\(run.prefix(10)) 00:00:00",
                String(run.dropFirst(11).prefix(2)), "\(valid.prefix(10)) \(valid.dropFirst(11).prefix(8))",
                "\(valid.prefix(10)) \(valid.dropFirst(11).prefix(8))",
            ])
        #expect(row[10] == "box-1")
        #expect(daemon.stop() == 0)
    }

    /// Tables that version 0.1 made get the known columns, types and values; rows of all boxes stay.
    @Test func tablesOfAnEarlierVersionAreChanged() throws {
        let upstream = try Upstream()
        let database = try PostgreSQLServer(user: "edge", password: "secret", database: "drift")
        _ = try Self.run(database.url(), "former", "9")
        let daemon = try DaemonProcess(settings: settings(upstream, database))
        try daemon.start()
        _ = try daemon.collected(["wind"])
        Upstream.wait { (try? database.query("SELECT count(*) FROM aggregator_datasets")) == "23" }
        let answers = try Self.read(database.url())
        Self.expectDocumented(answers)
        #expect(answers.rows.count == 23)
        for box in ["box-1", "box-2"] {
            let rows = answers.rows.filter { $0[10] == box && $0[7].hasSuffix("/4.nc") }
            #expect(
                rows == [
                    [
                        try Self.identity(box, "ocean-currents-4"), "ocean_currents", "copernicus",
                        "2026-08-29 00:00:00", "06", "2026-08-29 04:00:00", "2026-08-29 04:00:00",
                        "ocean-currents/4.nc", "1004", "True", box, "ocean-currents-4",
                    ]
                ])
            let name = "ocean-currents-2026-08-29T00:00:00.000Z"
            #expect(
                answers.collections.filter { $0[7] == box && $0[8] == name } == [
                    [
                        try Self.identity(box, name), "ocean_currents", "failed", "2026-08-29 00:00:00", "", "7",
                        "no link", box, name,
                    ]
                ])
        }
        #expect(daemon.stop() == 0)
    }

    /// A table that cannot be written holds up the catalogue only, says why, and is used once it has been fixed.
    @Test func anUnusableTableHoldsUpNothingElse() throws {
        let upstream = try Upstream()
        let database = try PostgreSQLServer(user: "edge", password: "secret", database: "drift")
        _ = try database.query("CREATE TABLE aggregator_datasets (something text)")
        let daemon = try DaemonProcess(
            settings: settings(upstream, database).merging(["HEALTH_INTERVAL_SEC": "1"]) { $1 })
        try daemon.start()
        _ = try daemon.collected(["wind"])
        let observations = "SELECT count(*) > 0 FROM edge_observations"
        Upstream.wait { (try? database.query(observations)) == "t" }
        #expect(try database.query(observations) == "t")
        func catalogue() throws -> [String: Any] {
            let sinks = try daemon.json("/api/v1/sinks")["sinks"] as? [[String: Any]] ?? []
            let waiting = sinks.first { $0["name"] as? String == "postgres" }?["kinds"] as? [[String: Any]] ?? []
            return waiting.first { $0["kind"] as? String == "catalogue" } ?? [:]
        }
        try Upstream.wait { try catalogue()["state"] as? String == "waiting" }
        let state = try catalogue()
        #expect(state["state"] as? String == "waiting")
        #expect((state["reason"] as? String ?? "").contains("aggregator_datasets"))
        _ = try database.query("ALTER TABLE aggregator_datasets RENAME TO something_else")
        Upstream.wait { (try? database.query("SELECT count(*) FROM aggregator_datasets")) == "5" }
        #expect(try database.query("SELECT count(*) FROM aggregator_datasets") == "5")
        #expect(daemon.stop() == 0)
    }
}
