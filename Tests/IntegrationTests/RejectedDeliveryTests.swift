import EdgeTesting
import Foundation
import Store
import Testing

/// Endpoints that reject whole requests for one fact, and endpoints that reject everything: only the first may make a fact be set aside.
@Suite(.serialized) struct RejectedDeliveryTests {
    private let common = [
        "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1",
        "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
    ]

    private func sink(
        _ daemon: DaemonProcess, _ name: String, until predicate: ([String: Any]) -> Bool
    ) throws -> [String: Any] {
        try DeliverySupport.wait(daemon) { $0["name"] as? String == name && predicate($0) }
    }

    private func refused(_ daemon: DaemonProcess) throws -> [[String: Any]] {
        try daemon.json("/api/v1/deliveries?state=refused")["deliveries"] as? [[String: Any]] ?? []
    }

    private static func text(_ object: [String: Any]?, _ name: String) -> String { object?[name] as? String ?? "" }

    // MARK: - InfluxDB

    private static let influxPlan = DeliveryPlan(sinks: [
        .detections: ["influx"], .coverage: ["influx"], .analysis: ["influx"], .observations: ["influx"],
    ])

    private func influxSettings(_ influx: FarEnd) -> [String: String] {
        common.merging(["INFLUX_URL": "http://127.0.0.1:\(influx.port)", "INFLUX_TOKEN": "secret"]) { $1 }
    }

    /// One gap with a long text in the middle of a hundred; the server answers 400 in plain text to each request that it is in.
    @Test func influxThatRejectsOneLongStringGetsAllElse() throws {
        let influx = try FarEnd.influx(token: "secret")
        _ = try influx.ask("POST", "/longest", body: "20000")
        let daemon = try DaemonProcess(settings: influxSettings(influx))
        try DeliverySupport.seedRest(folder: daemon.folder, count: 50, plan: Self.influxPlan)
        try DeliverySupport.seedGap(
            folder: daemon.folder, reason: "missing frames: " + String(repeating: "long ", count: 6000),
            plan: Self.influxPlan)
        try DeliverySupport.seedRest(folder: daemon.folder, count: 50, plan: Self.influxPlan, first: 50)
        try DeliverySupport.seed(folder: daemon.folder, detections: 70, plan: Self.influxPlan)
        try daemon.start()
        let sink = try sink(daemon, "influx") { sink in
            let waiting = sink["waiting"] as? [[String: Any]] ?? []
            return sink["facts_refused"] as? Int == 1 && waiting.allSatisfy { $0["state"] as? String == "refused" }
        }
        #expect(sink["facts_given_up"] as? Int == 0)
        let refused = try refused(daemon)
        #expect(refused.count == 1 && refused.first?["kind"] as? String == "coverage")
        #expect(Self.text(refused.first, "error").contains("string field is too long"))
        #expect(try DeliverySupport.points(influx, table: "detections").count == 70)
        #expect(try DeliverySupport.points(influx, table: "analysis").count == 10)
        #expect(try DeliverySupport.points(influx, table: "coverage").count == 100)
        #expect(try DeliverySupport.points(influx, table: "observations").count == 100)
        // When the server takes it, all is there.
        _ = try influx.ask("POST", "/longest", body: "0")
        _ = try DaemonProcess.request("POST", "/api/v1/deliveries/requeue?sink=influx", port: daemon.port)
        _ = try self.sink(daemon, "influx") { DeliverySupport.isEmpty($0) && $0["facts_refused"] as? Int == 0 }
        #expect(daemon.stop() == 0)
    }

    /// A database that is missing for a while, in plain text: the facts wait, whatever is tried meanwhile and however often the daemon
    /// starts again.
    @Test func influxThatRejectsEverythingMakesNothingBeSetAside() throws {
        let influx = try FarEnd.influx(token: "secret")
        _ = try influx.ask("POST", "/fault", body: #"{"status":400,"count":200,"body":"database not found"}"#)
        let daemon = try DaemonProcess(settings: influxSettings(influx))
        try DeliverySupport.seed(folder: daemon.folder, detections: 70, plan: Self.influxPlan)
        try daemon.start()
        let waiting = try sink(daemon, "influx") { sink in
            let kinds = sink["kinds"] as? [[String: Any]] ?? []
            return kinds.contains { $0["is_halving"] as? Bool == true && $0["state"] as? String == "waiting" }
        }
        #expect(Self.text(waiting, "reason").contains("database not found"))
        #expect(waiting["state"] as? String == "waiting")
        daemon.killNow()
        try daemon.start()
        let sink = try sink(daemon, "influx") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 80 }
        #expect(sink["facts_refused"] as? Int == 0 && sink["state"] as? String == "flowing")
        #expect(try DeliverySupport.points(influx, table: "detections").count == 70)
        #expect(daemon.stop() == 0)
    }

    // MARK: - S3

    private func s3Settings(_ server: FarEnd, _ more: [String: String] = [:]) -> [String: String] {
        common.merging([
            "S3_ENDPOINT": "http://127.0.0.1:\(server.port)", "S3_BUCKET": "field-data", "S3_ACCESS_KEY": "key12345",
            "S3_SECRET_KEY": "secret12345",
        ]) { $1 }.merging(more) { $1 }
    }

    private func s3() throws -> FarEnd {
        try FarEnd.s3("rclone", accessKey: "key12345", secretKey: "secret12345", bucket: "field-data")
    }

    private func upload(_ listener: String, samples: Int, to daemon: DaemonProcess) throws {
        let sound = WireMaker.ramp(from: 0, samples: samples)
        let form =
            Array(
                "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(listener)_20261121T012740Z.wav\"\r\n\r\n"
                    .utf8) + WireMaker.wavHeader(dataBytes: sound.count) + sound + Array("\r\n--edge--\r\n".utf8)
        let answer = try DaemonProcess.request(
            "POST", "/recordings_upload", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=edge"], body: form)
        #expect(answer.status == 200, "\(answer)")
    }

    private func puts(_ server: FarEnd, _ match: String) throws -> [[String: String]] {
        let body = try server.ask("GET", "/_test/log")
        let log = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [[String: Any]] ?? []
        return log.filter { $0["method"] as? String == "PUT" && ($0["path"] as? String ?? "").contains(match) }
            .compactMap { $0["headers"] as? [String: String] }
    }

    private static let unknownHeader =
        "<Error><Code>InvalidArgument</Code><Message>x-amz-checksum-sha256 is not supported</Message></Error>"

    @Test func s3ThatDoesNotKnowTheChecksumIsSentNone() throws {
        let server = try s3()
        _ = try server.ask(
            "POST", "/_test/fault",
            body:
                #"{"method":"PUT","header":"x-amz-checksum-sha256","count":100,"status":400,"body":"\#(Self.unknownHeader)"}"#
        )
        let daemon = try DaemonProcess(settings: s3Settings(server, ["LOG_LEVEL": "warning"]))
        let log = "\(daemon.folder)/test.log"
        try daemon.start(logPath: log)
        try upload("a", samples: 48_000, to: daemon)
        _ = try sink(daemon, "s3") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 1 }
        try upload("b", samples: 48_000, to: daemon)
        let sink = try sink(daemon, "s3") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 2 }
        #expect(sink["facts_refused"] as? Int == 0)
        // Once with the header, once without; then never again with it.
        #expect(try puts(server, "/a/").map { $0["x-amz-checksum-sha256"] != nil } == [true, false])
        #expect(try puts(server, "/b/").map { $0["x-amz-checksum-sha256"] != nil } == [false])
        #expect(try puts(server, "/b/").allSatisfy { $0["x-amz-content-sha256"]?.count == 64 })
        #expect(try DeliverySupport.objects(server, bucket: "field-data").count == 2)
        #expect(daemon.stop() == 0)
        let text = try String(contentsOfFile: log, encoding: .utf8)
        #expect(text.contains("s3_checksum"))
    }

    /// The same for a file that goes in parts: neither the beginning nor a part with a checksum is taken.
    @Test(arguments: ["x-amz-checksum-algorithm", "x-amz-checksum-sha256"])
    func s3ThatDoesNotKnowTheChecksumTakesFilesInParts(header: String) throws {
        let server = try s3()
        _ = try server.ask(
            "POST", "/_test/fault",
            body: #"{"header":"\#(header)","count":100,"status":400,"body":"\#(Self.unknownHeader)"}"#)
        let daemon = try DaemonProcess(
            settings: s3Settings(server, ["S3_PART_BYTES": "5242880", "S3_MULTIPART_BYTES": "5242880"]))
        try daemon.start()
        try upload("a", samples: 6_000_000, to: daemon)
        let sink = try sink(daemon, "s3") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 1 }
        #expect(sink["facts_refused"] as? Int == 0)
        #expect(try DeliverySupport.objects(server, bucket: "field-data").count == 1)
        #expect(daemon.stop() == 0)
    }

    /// A server that calls one part invalid, with a checksum and without: the header was at no fault.
    @Test func s3ThatRejectsOnePartIsStillSentChecksums() throws {
        let server = try s3()
        _ = try server.ask(
            "POST", "/_test/fault",
            body: #"{"match":"partNumber=1&","count":2,"status":400,"body":"\#(Self.unknownHeader)"}"#)
        let daemon = try DaemonProcess(
            settings: s3Settings(
                server, ["S3_PART_BYTES": "5242880", "S3_MULTIPART_BYTES": "5242880", "LOG_LEVEL": "warning"]))
        let log = "\(daemon.folder)/test.log"
        try daemon.start(logPath: log)
        try upload("a", samples: 6_000_000, to: daemon)
        _ = try sink(daemon, "s3") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 1 }
        try upload("b", samples: 6_000_000, to: daemon)
        let sink = try sink(daemon, "s3") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 2 }
        #expect(sink["facts_refused"] as? Int == 0)
        let second = try puts(server, "/b/")
        #expect(second.count == 3 && second.allSatisfy { $0["x-amz-checksum-sha256"] != nil })
        // All parts of one upload are alike: the last three of the first file went without.
        #expect(try puts(server, "/a/").suffix(3).allSatisfy { $0["x-amz-checksum-sha256"] == nil })
        #expect(daemon.stop() == 0)
        let text = try String(contentsOfFile: log, encoding: .utf8)
        #expect(!text.contains("s3_checksum"))
    }

    /// A server that does not know `If-None-Match`: another object under the key is not overwritten.
    @Test(arguments: ["S3_CONDITIONAL", "501"])
    func s3WithoutConditionsKeepsTheObjectOfAnother(how: String) throws {
        let server = try s3()
        let daemon = try DaemonProcess(settings: s3Settings(server))
        try daemon.start()
        try upload("a", samples: 48_000, to: daemon)
        _ = try sink(daemon, "s3") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 1 }
        #expect(daemon.stop() == 0)
        if how == "501" {
            _ = try server.ask(
                "POST", "/_test/fault",
                body:
                    #"{"method":"PUT","header":"if-none-match","count":100,"status":501,"body":"<Error><Code>NotImplemented</Code></Error>"}"#
            )
        }
        // The same box and file name, with other sound.
        let other = try DaemonProcess(
            settings: s3Settings(server, how == "501" ? [:] : ["S3_CONDITIONAL": "false"]))
        try other.start()
        try upload("a", samples: 24_000, to: other)
        let sink = try sink(other, "s3") { $0["facts_refused"] as? Int == 1 }
        #expect(sink["facts_done"] as? Int == 0)
        let error = Self.text(try refused(other).first, "error")
        #expect(error.contains("another object is at"))
        let key = try #require(try DeliverySupport.objects(server, bucket: "field-data").first)
        #expect(try DeliverySupport.object(server, bucket: "field-data", key).count == 44 + 2 * 48_000)
        #expect(other.stop() == 0)
    }

    /// The server calls one object invalid, for ever: it is set aside, and what came after it is delivered.
    @Test func s3ThatRejectsOneObjectGetsTheOthers() throws {
        let server = try s3()
        _ = try server.ask(
            "POST", "/_test/fault",
            body:
                #"{"method":"PUT","match":"/bad/","count":1000,"status":400,"body":"<Error><Code>InvalidObjectState</Code><Message>no</Message></Error>"}"#
        )
        let daemon = try DaemonProcess(settings: s3Settings(server))
        try daemon.start()
        for listener in ["bad", "a", "b", "c"] { try upload(listener, samples: 48_000, to: daemon) }
        let sink = try sink(daemon, "s3") { $0["facts_done"] as? Int == 3 && $0["facts_refused"] as? Int == 1 }
        #expect(sink["facts_given_up"] as? Int == 0)
        let kind = Self.text(try refused(daemon).first, "kind")
        #expect(kind == "recording")
        #expect(try DeliverySupport.objects(server, bucket: "field-data").count == 3)
        #expect(daemon.stop() == 0)
    }

    /// The keys may not write forecast fields. Recordings, which come later in the order, go on, and each kind has its reason.
    @Test func s3ThatDeniesOnePrefixTakesTheOther() throws {
        let server = try s3()
        _ = try server.ask(
            "POST", "/_test/fault",
            body:
                #"{"method":"PUT","match":"/forecasts/","count":1000,"status":403,"body":"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"}"#
        )
        let daemon = try DaemonProcess(settings: s3Settings(server))
        try DeliverySupport.seedField(folder: daemon.folder, plan: DeliveryPlan(sinks: [.field: ["s3"]]))
        try daemon.start()
        _ = try sink(daemon, "s3") { $0["state"] as? String == "unauthorised" }
        try upload("a", samples: 48_000, to: daemon)
        let sink = try sink(daemon, "s3") { $0["facts_done"] as? Int == 1 }
        let kinds = sink["kinds"] as? [[String: Any]] ?? []
        #expect(kinds.count == 1 && kinds.first?["kind"] as? String == "field")
        #expect(kinds.first?["state"] as? String == "unauthorised")
        #expect(Self.text(kinds.first, "reason").contains("AccessDenied"))
        #expect(try DeliverySupport.objects(server, bucket: "field-data").count == 1)
        _ = try server.ask("POST", "/_test/forgive")
        _ = try self.sink(daemon, "s3") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 2 }
        #expect(daemon.stop() == 0)
    }

    // MARK: - PostgreSQL

    private static let databasePlan = DeliveryPlan(sinks: [
        .detections: ["postgres"], .coverage: ["postgres"], .analysis: ["postgres"], .observations: ["postgres"],
    ])

    private func databaseSettings(_ server: PostgreSQLServer) -> [String: String] {
        common.merging(["DATABASE_URL": server.url()]) { $1 }
    }

    /// A trigger of the server's own rejects one row (SQLSTATE P0001), which ends the whole COPY.
    @Test func databaseThatRejectsOneRowGetsTheOthers() throws {
        let server = try PostgreSQLServer(user: "edge", password: "secret", database: "field")
        let daemon = try DaemonProcess(settings: databaseSettings(server))
        try DeliverySupport.seedRest(folder: daemon.folder, count: 1, plan: Self.databasePlan)
        try daemon.start()
        _ = try sink(daemon, "postgres") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 2 }
        #expect(daemon.stop() == 0)
        _ = try server.query(
            "CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN IF NEW.listener_id = 'bad' THEN RAISE 'not this one'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql"
        )
        _ = try server.query(
            "CREATE TRIGGER no BEFORE INSERT ON edge_detections FOR EACH ROW EXECUTE FUNCTION no()")
        try DeliverySupport.seed(folder: daemon.folder, detections: 70, plan: Self.databasePlan)
        try DeliverySupport.seed(folder: daemon.folder, detections: 1, plan: Self.databasePlan, listener: "bad")
        try DeliverySupport.seed(folder: daemon.folder, detections: 70, plan: Self.databasePlan, listener: "more")
        try daemon.start()
        let sink = try sink(daemon, "postgres") { sink in
            let waiting = sink["waiting"] as? [[String: Any]] ?? []
            return sink["facts_refused"] as? Int == 1 && waiting.allSatisfy { $0["state"] as? String == "refused" }
        }
        #expect(sink["facts_done"] as? Int == 2 + 140 + 21)
        let error = Self.text(try refused(daemon).first, "error")
        #expect(error.contains("not this one"))
        #expect(try server.query("SELECT count(*) FROM edge_detections") == "140")
        #expect(try server.query("SELECT count(*) FROM edge_recordings") == "21")
        #expect(daemon.stop() == 0)
    }

    /// Somebody renamed a table: what goes there waits with its reason, and the other tables are filled.
    @Test func databaseWithoutOneTableTakesTheOthers() throws {
        let server = try PostgreSQLServer(user: "edge", password: "secret", database: "field")
        let daemon = try DaemonProcess(settings: databaseSettings(server))
        try DeliverySupport.seedRest(folder: daemon.folder, count: 1, plan: Self.databasePlan)
        try daemon.start()
        _ = try sink(daemon, "postgres") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 2 }
        #expect(daemon.stop() == 0)
        _ = try server.query("ALTER TABLE edge_detections RENAME TO elsewhere")
        try DeliverySupport.seed(folder: daemon.folder, detections: 70, plan: Self.databasePlan)
        try daemon.start()
        let sink = try sink(daemon, "postgres") { $0["facts_done"] as? Int == 2 + 10 }
        let kinds = sink["kinds"] as? [[String: Any]] ?? []
        #expect(kinds.map { $0["kind"] as? String } == ["detections"])
        #expect(Self.text(kinds.first, "reason").contains("42P01"))
        #expect(sink["facts_refused"] as? Int == 0)
        _ = try server.query("ALTER TABLE elsewhere RENAME TO edge_detections")
        _ = try self.sink(daemon, "postgres") { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 2 + 80 }
        #expect(try server.query("SELECT count(*) FROM edge_detections") == "70")
        #expect(daemon.stop() == 0)
    }

    // MARK: - Prometheus

    /// Another sender has the same labels: what was never sent before is not stored, and is set aside with what the server says.
    @Test func prometheusThatHasTheSamplesOfAnotherCountsAsRejecting() throws {
        let server = try FarEnd("remote_write.py", ["foreign"])
        let daemon = try DaemonProcess(
            settings: common.merging([
                "PROMETHEUS_URL": "http://127.0.0.1:\(server.port)/write", "PROM_SCRAPE_INTERVAL": "1s",
            ]) { $1 })
        try daemon.start()
        let sink = try sink(daemon, "prometheus") { ($0["facts_refused"] as? Int ?? 0) >= 2 }
        #expect((sink["facts_done"] as? Int ?? 0) >= 1)
        let error = Self.text(try refused(daemon).first, "error")
        #expect(error.contains("duplicate sample"))
        #expect(daemon.stop() == 0)
    }

    /// A server that takes no samples between those that it has calls what is sent twice "out of order", and stores nothing of the request.
    /// Here everything is sent twice, by a copy of the folder, as after answers that were all lost.
    @Test func prometheusThatHasTheSamplesCountsAsDelivered() throws {
        let server = try PrometheusServer(takesOldSamples: false)
        let settings = common.merging([
            "PROMETHEUS_URL": "http://127.0.0.1:\(server.port)/api/v1/write", "PROM_SCRAPE_INTERVAL": "1s",
        ]) { $1 }
        let daemon = try DaemonProcess(settings: settings)
        try daemon.start()
        _ = try sink(daemon, "prometheus") { sink in
            let waiting = sink["waiting"] as? [[String: Any]] ?? []
            return waiting.contains { ($0["facts"] as? Int ?? 0) >= 6 }
        }
        #expect(daemon.stop() == 0)
        let copy = try TestFolders.temporary("edge-copy")
        defer { TestFolders.remove(copy) }
        try FileManager.default.removeItem(atPath: copy)
        try FileManager.default.copyItem(atPath: daemon.folder, toPath: copy)
        try server.start()
        try daemon.start()
        let first = try sink(daemon, "prometheus") {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) >= 6
        }
        #expect(first["facts_refused"] as? Int == 0)
        #expect(daemon.stop() == 0)
        let again = try DaemonProcess(folder: copy, settings: settings)
        try again.start()
        let second = try sink(again, "prometheus") {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) >= 8
        }
        #expect(second["facts_refused"] as? Int == 0 && second["facts_given_up"] as? Int == 0)
        #expect(again.stop() == 0)
        // Each moment is there once, of both.
        let counts = try server.query("count_over_time(edge_aggregator_ready{aggregator_uuid=\"box-1\"}[5m])")
        #expect(counts.count == 1 && Int(counts[0].value) >= 8)
    }
}
