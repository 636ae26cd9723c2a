import EdgeTesting
import Foundation
import Store
import Testing

/// The central server's rules, dashboard and example queries, against the engines that answer them.
@Suite(.serialized) struct DeployTests {
    private static let rules = "\(TestFolders.root)/deploy/prometheus/rules.yml"
    private static let dashboard = "\(TestFolders.root)/deploy/grafana/dashboards/fleet.json"
    private static let queries = "\(TestFolders.root)/deploy/queries"

    /// The lines of a file of queries that are no comments.
    private static func statements(_ file: String, comment: String) throws -> String {
        try String(contentsOfFile: "\(queries)/\(file)", encoding: .utf8).split(separator: "\n")
            .filter { !$0.hasPrefix(comment) }.joined(separator: "\n")
    }

    private static func panels() throws -> [[String: Any]] {
        let data = try Data(contentsOf: URL(fileURLWithPath: dashboard))
        let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
        return object["panels"] as? [[String: Any]] ?? []
    }

    @Test func namesOnlyMetricsThatThePageHas() throws {
        let daemon = try DaemonProcess(settings: [
            "INFLUX_URL": "http://127.0.0.1:9", "CLOCK_WAIT_SEC": "0", "LOG_LEVEL": "critical",
        ])
        try daemon.start()
        let page = try daemon.get("/metrics").body
        #expect(daemon.stop() == 0)
        let families = Set(
            page.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] })
        let text =
            try [Self.rules, Self.dashboard].map { try String(contentsOfFile: $0, encoding: .utf8) }.joined()
            + Self.statements("prometheus.promql", comment: "#")
        let named = Set(
            text.matches(
                of:
                    /\b(?:edge_aggregator|node|supervisor_process|analyze|upload|publish_analysis|publish_upload)_[a-z0-9A-Z_]+/
            ).map { $0.output })
        #expect(named.count > 30)
        for name in named where name != "upload_window" {
            let base =
                ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) }.map { name.dropLast($0.count) } ?? name
            #expect(families.contains(base) || families.contains(name), "\(name) is not on the page")
        }
    }

    @Test(arguments: [("rules", "rules.yml"), ("config", "prometheus.yml"), ("config", "docker.yml")])
    func hasFilesThatPrometheusTakes(kind: String, file: String) throws {
        let result = try PrometheusServer.check(kind, at: "\(TestFolders.root)/deploy/prometheus/\(file)")
        #expect(result.code == 0, "\(result.text)")
    }

    /// The form for the container asks its node exporter by name; nothing else differs.
    @Test func hasOneConfigurationOfPrometheusInTwoForms() throws {
        let lines = try ["prometheus.yml", "docker.yml"].map { file in
            try String(contentsOfFile: "\(TestFolders.root)/deploy/prometheus/\(file)", encoding: .utf8)
                .split(separator: "\n").filter { !$0.hasPrefix("#") }
        }
        let different = zip(lines[0], lines[1]).filter { $0 != $1 }
        #expect(lines[0].count == lines[1].count && different.count == 1)
        #expect(different.first?.0.contains("localhost:9100") == true)
        #expect(different.first?.1.contains("node-exporter:9100") == true)
    }

    /// Imported into any Grafana, and provisioned with our own sources, the same file finds its data: its sources are variables.
    @Test func dashboardNamesNoSourceByItsID() throws {
        let text = try String(contentsOfFile: Self.dashboard, encoding: .utf8)
        let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
        // A number would be another Grafana's; inputs are filled in by the import alone, not for provisioned files.
        #expect(object["id"] is NSNull && object["__inputs"] == nil)
        #expect(object["uid"] as? String == "edge-fleet")
        let variables = (object["templating"] as? [String: Any])?["list"] as? [[String: Any]] ?? []
        let sources = variables.filter { $0["type"] as? String == "datasource" }
        #expect(sources.map { $0["name"] as? String } == ["prometheus", "influxdb"])
        // They come first: the other variables ask them.
        #expect(variables.prefix(2).allSatisfy { $0["type"] as? String == "datasource" })
        for source in sources {
            #expect(source["query"] as? String == source["name"] as? String)
            #expect((source["current"] as? [String: Any])?.isEmpty == true)
        }
        // Provisioned, each variable has exactly one source to choose.
        let provisioned = try String(
            contentsOfFile: "\(TestFolders.root)/deploy/grafana/provisioning/datasources/edge.yml", encoding: .utf8)
        let kinds = provisioned.matches(of: /\n    type: (\w+)/).map { String($0.1) }
        #expect(kinds.sorted() == ["influxdb", "prometheus"])
        for id in provisioned.matches(of: /\n    uid: (\S+)/).map({ String($0.1) }) {
            #expect(!text.contains(id), "\(id)")
        }
        // Every reference to a source, at any depth.
        var references: [[String: Any]] = []
        func collect(_ value: Any) {
            if let list = value as? [Any] { list.forEach(collect) }
            guard let map = value as? [String: Any] else { return }
            if let reference = map["datasource"] as? [String: Any] { references.append(reference) }
            map.values.forEach(collect)
        }
        collect(object)
        #expect(references.count > 50)
        for reference in references {
            let kind = reference["type"] as? String ?? ""
            #expect(reference["uid"] as? String == "${\(kind)}")
        }
        let ids = try Self.panels().compactMap { $0["id"] as? Int }
        #expect(Set(ids).count == ids.count)
    }

    /// Every query of the dashboard, with its variables filled in, is understood by a real Prometheus.
    @Test func hasPanelsWhoseQueriesPrometheusUnderstands() throws {
        let server = try PrometheusServer()
        try server.start()
        var count = 0
        for panel in try Self.panels() {
            for target in panel["targets"] as? [[String: Any]] ?? [] {
                guard let expression = target["expr"] as? String else { continue }
                count += 1
                let filled = expression.replacing("$aggregator", with: ".*").replacing("$core", with: ".*")
                    .replacing("$listener_interval", with: "20")
                // An empty answer is an answer; what cannot be parsed throws.
                _ = try server.query(filled)
            }
        }
        #expect(count >= 20)
    }

    /// The example queries, on what a box has delivered.
    @Test func hasQueriesThatPrometheusAnswers() throws {
        let server = try PrometheusServer()
        try server.start()
        let daemon = try DaemonProcess(settings: [
            "PROMETHEUS_URL": "http://127.0.0.1:\(server.port)/api/v1/write", "PROM_SCRAPE_INTERVAL": "1s",
            "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "LOG_LEVEL": "critical",
        ])
        try daemon.start()
        _ = try DeliverySupport.wait(daemon) { ($0["facts_done"] as? Int ?? 0) >= 4 }
        let queries = try Self.statements("prometheus.promql", comment: "#").split(separator: "\n")
        #expect(queries.count >= 15)
        var answered: Set<String> = []
        for query in queries where try !server.query(String(query)).isEmpty { answered.insert(String(query)) }
        // What a box without listeners, nodes and faults tells.
        for part in [
            "(edge_aggregator_listeners)", "edge_aggregator_received_bytes_total", "edge_aggregator_detections_total",
            "edge_aggregator_backlog_recordings", "edge_aggregator_sink_oldest_waiting_seconds",
            "edge_aggregator_disk_free_bytes", "aggregator_uuid!=\"\"}[5m]", "node_memory_MemAvailable_bytes",
            "upload_queue_length",
        ] {
            #expect(answered.contains { $0.contains(part) }, "\(part)")
        }
        #expect(daemon.stop() == 0)
    }

    /// The dashboard's and the example queries, answered by the engine of InfluxDB 3, on what a box has delivered.
    @Test func hasQueriesThatInfluxAnswers() throws {
        let influx = try FarEnd("influx_sql.py")
        let folder = try DeployFolder()
        try folder.run("./passwords")
        let s3 = try StorageServer(folder, isContainer: true)
        try folder.run("docker compose exec s3 mkdir -p /data/recordings")
        let daemon = try DaemonProcess(settings: [
            "INFLUX_URL": "http://127.0.0.1:\(influx.port)", "INFLUX_TOKEN": "secret", "CLOCK_WAIT_SEC": "0",
            "S3_ENDPOINT": "http://127.0.0.1:\(s3.port)", "S3_BUCKET": "recordings",
            "S3_ACCESS_KEY": try folder.secret("S3_ACCESS_KEY"), "S3_SECRET_KEY": try folder.secret("S3_SECRET_KEY"),
            "AGGREGATOR_UUID": "box-1", "LOG_LEVEL": "critical",
        ])
        let plan = DeliveryPlan(sinks: [
            .detections: ["influx"], .coverage: ["influx"], .analysis: ["influx"], .observations: ["influx"],
        ])
        try DeliverySupport.seed(folder: daemon.folder, detections: 600, plan: plan)
        try DeliverySupport.seedRest(folder: daemon.folder, count: 20, plan: plan)
        try daemon.start()
        let stream = try daemon.stream("mic")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 48_000))))
        for number in 1...10 {
            try stream.send(
                WireMaker.chunk(WireMaker.frame(number, [UInt8](repeating: UInt8(number), count: 32_768))))
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        func answer(_ query: String) throws -> [[String: Any]] {
            let body = try influx.ask("POST", "/sql", body: query)
            guard let object = try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any],
                let rows = object["rows"] as? [[String: Any]]
            else { throw DeployFolder.Failure(description: "\(query): \(body)") }
            return rows
        }
        try waitFor("everything is delivered") {
            let count = (try? answer("SELECT count(*) AS count FROM uploads"))?.first?["count"] as? Int
            let sinks = try daemon.json("/api/v1/sinks")["sinks"] as? [[String: Any]] ?? []
            return count == 1 && sinks.count == 2 && sinks.allSatisfy(DeliverySupport.isEmpty)
        }
        #expect(daemon.stop() == 0)

        // The seeded facts are of 2026-11-21, from 01:27:44 on; the upload is of now.
        let statements = try Self.statements("influxdb.sql", comment: "--").split(separator: ";")
            .map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }.filter { !$0.isEmpty }
        #expect(statements.count >= 10)
        func rows(_ part: String) throws -> [[String: Any]] {
            let statement = try #require(statements.first { $0.contains(part) }, "\(part)")
            return try answer(statement.replacing("now()", with: "TIMESTAMP '2026-11-21T02:00:00'"))
        }
        for statement in statements {
            _ = try answer(statement.replacing("now()", with: "TIMESTAMP '2026-11-21T02:00:00'"))
        }
        #expect(try rows("ORDER BY time DESC").count == 600)
        let surely = try rows("confidence >= 0.7")
        #expect(surely.count == 1 && surely.first?["detections"] as? Int == 150)
        #expect(surely.first?["day"] as? String == "2026-11-21 00:00:00")
        #expect(surely.first?["best"] as? Double == 0.849)
        let hours = try rows("INTERVAL '1 hour'").compactMap { $0["detections"] as? Int }
        #expect(hours.reduce(0, +) == 600 && hours.count == 1)
        #expect(try rows("first_heard").first?["first_heard"] as? String == "2026-11-21 01:27:44")
        #expect(try rows("NOT IN").first?["species"] as? String == "Parus major")
        let gaps = try rows("AS gaps")
        #expect(gaps.first?["seconds"] as? Double == 20 && gaps.first?["reason"] as? String == "missing frames")
        let readings = try rows("ten_minutes")
        #expect(readings.count == 3 && readings.first?["minimum"] as? Double == 400)
        #expect(try rows("row_number()").first?["value"] as? Double == 419)
        #expect(try rows("detections <> '[]'").count == 86)
        let sound = try rows("AS hours").first?["hours"] as? Double ?? 0
        #expect(abs(sound - 86 * 21.0 / 3600) < 1e-9)
        let uploads = try answer(
            try #require(statements.first { $0.contains("FROM uploads") }).replacing(
                "time >= now() - INTERVAL '1 day'", with: "true"))
        #expect(uploads.first?["listener_id"] as? String == "mic")

        // The panels ask the same engine; their filter of time is Grafana's macro.
        var count = 0
        for panel in try Self.panels() {
            for target in panel["targets"] as? [[String: Any]] ?? [] {
                guard let query = target["rawSql"] as? String else { continue }
                count += 1
                let filled = query.replacing("$__timeFilter(time)", with: "time >= TIMESTAMP '2026-11-21T00:00:00'")
                #expect(try !answer(filled).isEmpty, "\(query)")
            }
        }
        #expect(count == 3)
    }
}
