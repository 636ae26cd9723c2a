import EdgeTesting
import Foundation
import Testing

/// ISEMS nodes by MQTT, by their logs and by POST; and the app's questions.
struct ISEMSNodeTests {
    static func line(_ node: String, _ seconds: Int, status: String? = "300") -> String {
        "\(node);1;\(seconds);ATmega8_A_1;711;0;18.614;18.614;14.073;100;100;28;11.67;14.086;7;20;52.507309;13.458635"
            + (status.map { ";\($0)" } ?? "")
    }

    private static let now = Int(Date().timeIntervalSince1970)

    private func daemon(_ settings: [String: String] = [:]) throws -> DaemonProcess {
        let daemon = try DaemonProcess(settings: settings)
        try daemon.start()
        return daemon
    }

    private func importLog(_ daemon: DaemonProcess, _ lines: [String]) throws -> String {
        let path = "\(daemon.folder)/log-\(UUID().uuidString)"
        try lines.joined(separator: "\n").write(toFile: path, atomically: false, encoding: .utf8)
        let result = try daemon.command("import", "isems", path)
        #expect(result.status == 0, "\(result.output)")
        return result.output
    }

    @Test func tellsMeasurementsAsTheFormerCollector() throws {
        let daemon = try daemon()
        #expect(try daemon.get("/measurements/latest?all=true").body == "{\"measurements\":[]}\n")
        _ = try importLog(
            daemon,
            [Self.line("Elektra-Dach-Neu", 1_530_364_575), Self.line("Elektra-Dach", 1_530_364_575, status: nil)])
        let answer = try daemon.get("/measurements/latest?all=true")
        func element(_ id: Int, _ node: String, _ status: String) -> String {
            "{\"batteryChargeEstimate\":100.0,\"batteryHealthEstimate\":100.0,\"batteryTemperature\":28.0,\"batteryVoltage\":14.073,\"id\":\(id),\"isPowerSaveMode\":false,\"isemsRevision\":\"1\",\"latitude\":52.507309,\"longitude\":13.458635,\"lowVoltageDisconnectVoltage\":11.67,\"mppVoltage\":18.614,\"nodeId\":\"\(node)\",\"openCircuitVoltage\":18.614,\"openMPPTFirmwareVersion\":\"ATmega8_A_1\",\"rateBatteryCapacity\":7.0,\"ratedSolarModuleCapacity\":20.0,\"status\":\"\(status)\",\"temperatureCorrectedVoltage\":14.086,\"timeToShutdown\":711.0,\"timestamp\":\"2018-06-30T15:16:15\"}"
        }
        let ids = answer.body.matches(of: /"id":(\d+)/).compactMap { Int($0.1) }
        #expect(ids.count == 2)
        #expect(
            answer.body
                == "{\"measurements\":[\(element(ids[0], "Elektra-Dach", "0x000")),\(element(ids[1], "Elektra-Dach-Neu", "0x300"))]}\n"
        )
        // Too old to be shown, unless all are asked for in exactly this way.
        for query in ["", "?all=1", "?all=True"] {
            #expect(try daemon.get("/measurements/latest\(query)").body == "{\"measurements\":[]}\n")
        }
        #expect(try daemon.get("/api/measurements/latest?all=true").body == answer.body)
        let one = "{\"measurements\":[\(element(ids[0], "Elektra-Dach", "0x000"))]}\n"
        #expect(try daemon.get("/measurements/Elektra-Dach/latest").body == one)
        #expect(try daemon.get("/api/measurements/Elektra-Dach/latest").body == one)
        #expect(try daemon.get("/measurements/nobody/latest").body == "{\"measurements\":[]}\n")
        #expect(try daemon.get("/measurements/a%2Fb/latest").status == 404)
        let connection = try RawConnection(port: daemon.port)
        try connection.send(
            "POST /measurements/latest HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        let refused = try connection.answer()
        #expect(refused.hasPrefix("HTTP/1.1 405") && refused.contains("Allow: GET, OPTIONS, HEAD"))
        let free = try RawConnection(port: daemon.port)
        try free.send("GET /measurements/latest HTTP/1.1\r\nHost: x\r\nOrigin: http://map\r\nConnection: close\r\n\r\n")
        #expect(try free.answer().lowercased().contains("access-control-allow-origin: *"))
    }

    @Test func oneBadLineCostsItselfAndOlderRowsComeLater() throws {
        let daemon = try daemon()
        let day = Self.now - 86_400
        let output = try importLog(
            daemon,
            [
                Self.line("n1", day + 60), "junk", Self.line("n1", day + 60),
                Self.line("n 2", day).replacing("14.073", with: "inf"),
                Self.line("n1", day).replacing("52.507309", with: "x"), Self.line("n1", 0), Self.line("n1", day),
            ])
        #expect(output.contains("4 readings read, 3 rejected"))
        let rows = try daemon.json("/measurements/n1/latest")["measurements"] as? [[String: Any]]
        #expect(rows?.count == 2)
        let other = try daemon.get("/measurements/n%202/latest").body
        #expect(other.contains("\"batteryVoltage\":null") && !other.contains("Infinity"))
        let rejected = try daemon.json("/api/v1/nodes/rejected?kind=isems")["rejected"] as? [[String: Any]] ?? []
        #expect(rejected.count == 3)
        #expect(rejected.contains { $0["line"] as? String == "junk" })
        let node = try daemon.json("/api/v1/nodes/isems/n1")
        #expect(node["battery"] as? Double == 100)
        #expect((node["place"] as? [String: Any])?["latitude"] as? Double == 52.507309)
    }

    @Test func importsTheCollectorsDatabaseThroughBothAutumnHours() throws {
        let daemon = try daemon(["ISEMS_TIMESTAMPS": "utc"])
        let (path, folder) = try Self.database(
            """
            for stamp in ['2025-10-26 02:59:45', '2025-10-26 02:00:00', '2025-10-26 03:00:00', '2026-11-21 02:35:26']:
                db.execute('INSERT INTO measurement ("nodeId","isemsRevision","timestamp","openMPPTFirmwareVersion","batteryVoltage","isPowerSaveMode",status) VALUES (?,?,?,?,?,?,?)', ('Nord', '1', stamp + '.000000', 'ESP_1A', 13.5, 1, 0x50a))
            """)
        defer { TestFolders.remove(folder) }
        for _ in 0..<2 {
            let result = try daemon.command("import", "isems", path)
            #expect(result.output.contains("4 readings read, 0 rejected"), "\(result.output)")
        }
        let rows = try daemon.json("/measurements/Nord/latest")["measurements"] as? [[String: Any]] ?? []
        #expect(
            rows.compactMap { $0["timestamp"] as? String } == [
                "2026-11-21T01:35:26Z", "2025-10-26T02:00:00Z", "2025-10-26T01:00:00Z", "2025-10-26T00:59:45Z",
            ])
        #expect(rows.first?["status"] as? String == "0x50a")
        #expect(rows.first?["isPowerSaveMode"] as? Bool == true)
        #expect(rows.first?["latitude"] is NSNull)
    }

    /// A database as the former collector made it.
    private static func database(_ python: String) throws -> (String, String) {
        let folder = try TestFolders.temporary("edge-isems")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            """
            import sqlite3, sys
            db = sqlite3.connect(sys.argv[1])
            columns = ', '.join(f'"{c}" FLOAT' for c in 'timeToShutdown openCircuitVoltage mppVoltage batteryVoltage batteryChargeEstimate batteryHealthEstimate batteryTemperature lowVoltageDisconnectVoltage temperatureCorrectedVoltage rateBatteryCapacity ratedSolarModuleCapacity latitude longitude'.split())
            db.execute(f'CREATE TABLE measurement (id INTEGER PRIMARY KEY, "nodeId" VARCHAR, "isemsRevision" VARCHAR, timestamp DATETIME, "openMPPTFirmwareVersion" VARCHAR, "isPowerSaveMode" BOOLEAN, {columns}, status INTEGER)')
            \(python)
            db.commit()
            """, "\(folder)/isems-data-collector.sqlite",
        ]
        try process.run()
        process.waitUntilExit()
        return ("\(folder)/isems-data-collector.sqlite", folder)
    }

    /// What a node calls its battery's charge is shown, whatever it is.
    @Test func showsAnyNumberOnThePage() throws {
        let daemon = try daemon(["NODE_ADMISSION": "open"])
        let body = Array("{\"batteryChargeEstimate\":1e300,\"batteryVoltage\":13.9,\"status\":\"100\"}".utf8)
        let answer = try DaemonProcess.request(
            "POST", "/api/isems/testdrive/foobar/n1/data", port: daemon.port,
            headers: ["Content-Type: application/json"], body: body)
        #expect(answer.status == 200, "\(answer)")
        #expect(try daemon.get("/").status == 200)
    }

    /// Text goes in and the same text comes out; null is for what was not sent.
    @Test func handsOutTextsAsTheyCame() throws {
        let daemon = try daemon(["NODE_ADMISSION": "open"])
        func post(_ node: String, _ texts: String) throws {
            let answer = try DaemonProcess.request(
                "POST", "/api/isems/testdrive/foobar/\(node)/data", port: daemon.port,
                headers: ["Content-Type: application/json"], body: Array("{\"batteryVoltage\":13.9\(texts)}".utf8))
            #expect(answer.status == 200, "\(answer)")
        }
        try post("empty", #","isemsRevision":"","openMPPTFirmwareVersion":"""#)
        try post("none", "")
        try post("odd", #","isemsRevision":" 1;2 ","openMPPTFirmwareVersion":" x\t""#)
        var line = Self.line("line", Self.now).split(separator: ";").map(String.init)
        (line[1], line[3]) = ("", " A ")
        _ = try importLog(daemon, [line.joined(separator: ";")])
        for (node, revision, firmware) in [
            ("empty", "\"\"", "\"\""), ("none", "null", "null"), ("odd", "\" 1;2 \"", "\" x\\t\""),
            ("line", "\"\"", "\" A \""),
        ] {
            let body = try daemon.get("/measurements/\(node)/latest").body
            #expect(body.contains("\"isemsRevision\":\(revision),"), "\(body)")
            #expect(body.contains("\"openMPPTFirmwareVersion\":\(firmware),"), "\(body)")
        }
        #expect(daemon.stop() == 0)
    }

    @Test func takesWhatNodesPost() throws {
        let daemon = try daemon(["NODE_ALLOW": "isems:n1,isems:n2", "NODE_TOKENS": "isems:n2=secret"])
        let json = Array(#"{"batteryVoltage":13.9,"isPowerSaveMode":1,"status":"50a"}"#.utf8)
        func post(_ node: String, _ body: [UInt8], _ query: String = "") throws -> Int {
            try DaemonProcess.request(
                "POST", "/api/isems/testdrive/foobar/\(node)/data\(query)", port: daemon.port,
                headers: ["Content-Type: application/json"], body: body
            ).status
        }
        #expect(try post("stranger", json) == 401)
        #expect(try post("stranger", json, "?token=secret") == 401)
        #expect(try post("n2", json) == 401)
        #expect(try post("n2", json, "?token=secret") == 200)
        #expect(try post("n1", json) == 401)
        #expect(try post("n2", Array("[]".utf8), "?token=secret") == 400)
        #expect(try post("n2", [UInt8](repeating: 32, count: 70_000), "?token=secret") == 413)
        let body = try daemon.get("/measurements/latest").body
        #expect(
            body.contains("\"nodeId\":\"n2\"") && body.contains("\"status\":\"0x50a\"")
                && body.contains("\"isPowerSaveMode\":true"))
    }

    @Test func losesNoMessageThatTheBrokerHasWhateverHappens() throws {
        let broker = try Broker(user: "nodes", password: "pw")
        try broker.start()
        let daemon = try daemon([
            "MQTT_SERVER": "127.0.0.1", "ISEMS_MQTT_PORT": "\(broker.port)", "ISEMS_MQTT_USER": "nodes",
            "ISEMS_MQTT_PASSWORD": "pw",
            "ISEMS_MQTT_TOPICS": "#",
        ])
        func rows(_ node: String) throws -> Int {
            (try daemon.json("/measurements/\(node)/latest")["measurements"] as? [Any])?.count ?? 0
        }
        try waitFor("the connection") {
            try daemon.get("/metrics").body.contains("edge_aggregator_node_broker_connected 1")
        }
        func node(_ id: String) throws -> RawMQTT {
            try RawMQTT(port: broker.port, clientID: "isems-\(id)", user: "nodes", password: "pw")
        }
        let start = Self.now - 10_000
        var random = SeededGenerator()
        // Killed in the middle of things and started again, while nodes go on to publish; a line each, so that no later
        // message brings what an earlier one has lost.
        for turn in 0..<5 {
            let publisher = try node("n1")
            for number in 0..<20 {
                try publisher.publish(
                    "/isems/n1/csvlog", Array(Self.line("n1", start + (turn * 20 + number) * 15).utf8))
                if number == 10 {
                    usleep(UInt32.random(in: 0...30_000, using: &random))
                    daemon.killNow()
                }
            }
            try daemon.start()
        }
        try waitFor("all lines of the node") { try rows("n1") == 100 }
        // Rubbish, others' lines and others' topics cost nobody else anything.
        let publisher = try node("n2")
        try publisher.publish("/isems/n2/csvlog", Array("junk".utf8))
        try publisher.publish("/isems/n2/csvlog", [0xFF, 0xFE, 0])
        try publisher.publish("/isems/n2/csvlog", Array(Self.line("n1", start + 9000).utf8))
        try publisher.publish("some/other/topic", [1, 2, 3])
        try publisher.publish("any/prefix/n2/csvlog", Array(Self.line("n2", start).utf8))
        try publisher.publish("isems/testdrive/foobar/n2/data.json", Array(#"{"batteryVoltage":1.5}"#.utf8))
        try waitFor("both forms") { try rows("n2") == 2 }
        #expect(try rows("n1") == 100)
        // Another client under the box's name, and a broker that dies.
        _ = try RawMQTT(port: broker.port, clientID: "edge-aggregator-isems-dev-pi", user: "nodes", password: "pw")
        broker.stop()
        try broker.start()
        // A broker that was killed knows no subscription until the box is back; the node repeats its lines meanwhile.
        try waitFor("the third node") {
            try node("n3").publish("/isems/n3/csvlog", Array(Self.line("n3", start).utf8))
            return try rows("n3") == 1
        }
        #expect(daemon.stop() == 0)
    }

    @Test func fetchesLogsAndRefusesPages() throws {
        let folder = try TestFolders.temporary("edge-poll")
        defer { TestFolders.remove(folder) }
        try FileManager.default.createDirectory(atPath: "\(folder)/ISEMS", withIntermediateDirectories: true)
        try "<!DOCTYPE html><p>a page".write(toFile: "\(folder)/page.log", atomically: false, encoding: .utf8)
        try [Self.line("r1", Self.now - 120), "bad", Self.line("r1", Self.now - 60)].joined(separator: "\n")
            .write(toFile: "\(folder)/ISEMS/ffopenmppt.log", atomically: false, encoding: .utf8)
        try Self.line("r2", Self.now - 60).write(toFile: "\(folder)/csv.log", atomically: false, encoding: .utf8)
        let port = try TestFolders.freePort()
        let server = try TestProgram(
            "/usr/bin/env", ["python3", "-m", "http.server", "\(port)", "--bind", "127.0.0.1", "-d", folder])
        defer { server.stop() }
        try waitFor("the nodes' server") { (try? RawConnection(port: port)) != nil }
        // One that takes the connection and never answers.
        let silent = try TestFolders.freePort()
        let mute = try TestProgram(
            "/usr/bin/env",
            ["python3", "-c", "import socket,time; s=socket.create_server(('127.0.0.1',\(silent))); time.sleep(600)"])
        defer { mute.stop() }
        try waitFor("the mute server") { (try? RawConnection(port: silent)) != nil }
        let addresses = [
            "127.0.0.1:\(silent)/csv.log", "http://127.0.0.1:\(port)/ISEMS/ffopenmppt.log", "127.0.0.1:\(port)/csv.log",
            "127.0.0.1:\(port)/page.log", "127.0.0.1:\(port)/none.log",
        ]
        let settings = [
            "ISEMS_ROUTER_IPS": addresses.joined(separator: ", "), "ISEMS_POLL_TIMEOUT_SEC": "2",
            "ISEMS_POLL_INTERVAL_MIN": "0.05",
        ]
        let cron = try DaemonProcess(settings: settings)
        let once = try cron.command("poll", "isems", "--once")
        #expect(once.status == 1)
        #expect(once.output.contains("ffopenmppt.log: 2 lines, 1 rejected"))
        #expect(once.output.contains("page.log: it answers with a page"))
        #expect(once.output.contains("none.log: it answers 404"))
        let daemon = try daemon(settings)
        try waitFor("both nodes' lines") {
            let body = try daemon.get("/measurements/latest").body
            return body.contains("\"nodeId\":\"r1\"") && body.contains("\"nodeId\":\"r2\"")
        }
        try waitFor("the failures") {
            try daemon.get("/metrics").body.contains(/edge_aggregator_node_poll_failures_total [1-9]/)
        }
    }
}
