import EdgeTesting
import Foundation
import Testing

/// Nodes of all fleets in one model: what they say goes out, and who is silent is told.
@Suite(.serialized) struct NodeModelTests {
    @Test func readingsArriveOnceAtTheFarEnds() throws {
        let influx = try FarEnd.influx(token: "secret")
        let database = try PostgreSQLServer(user: "edge", password: "secret", database: "field")
        let broker = try Broker(user: "box", password: "secret")
        try broker.start()
        let daemon = try DaemonProcess(settings: [
            "INFLUX_URL": "http://127.0.0.1:\(influx.port)", "INFLUX_TOKEN": "secret", "DATABASE_URL": database.url(),
            "MQTT_HOST": "127.0.0.1", "MQTT_PORT": "\(broker.port)", "MQTT_USER": "box", "MQTT_PASSWORD": "secret",
            "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1",
            "NODE_ADMISSION": "open",
        ])
        try daemon.start()
        let unit = StockUnit("co2unit-1", port: daemon.port)
        let lines = (0..<40).map { unit.line($0) }.joined()
        #expect(try unit.push("data/readings/readings-0000.tsv", offset: 0, Array(lines.utf8)).status == 200)
        daemon.killNow()
        try daemon.start()
        let again = StockUnit("co2unit-1", port: daemon.port)
        #expect(try again.push("data/readings/readings-0000.tsv", offset: 0, Array(lines.utf8)).status == 200)
        try waitFor("the readings") {
            // The daemon makes the table when it has something for it.
            (try? database.query("SELECT count(*) FROM edge_observations WHERE quantity = 'co2_10'")) == "40"
        }
        for name in ["influx", "postgres", "mqtt"] {
            _ = try DeliverySupport.wait(daemon) { $0["name"] as? String == name && DeliverySupport.isEmpty($0) }
        }
        #expect(
            try database.query(
                "SELECT count(*), count(DISTINCT (quantity, time_ns)) FROM edge_observations WHERE source = 'co2/co2unit-1'"
            )
                == "520|520")
        let points = try DeliverySupport.points(influx, table: "observations").filter {
            $0["source"] as? String == "co2/co2unit-1"
        }
        #expect(points.count == 520)
        // One message a reading, with all that it says.
        let messages = try broker.heard().filter { $0.topic == "edge-aggregator/box-1/observations" }.map {
            try JSONSerialization.jsonObject(with: Data($0.payload.utf8)) as? [String: Any] ?? [:]
        }
        #expect(Set(messages.compactMap { $0["id"] as? String }).count == 40)
        #expect((messages.first?["values"] as? [String: Any])?.count == 13)
        // It is told of with the box's own state, every half a minute.
        try waitFor("Home Assistant's news") {
            try broker.heard().contains {
                $0.topic == "homeassistant/device/edge_aggregator_box-1_node_co2_co2unit-1/config"
            }
        }
        let latest = try daemon.json("/api/v1/observations/latest")["observations"] as? [[String: Any]] ?? []
        #expect(latest.contains { $0["source"] as? String == "co2/co2unit-1" && $0["quantity"] as? String == "co2" })
        #expect(try daemon.get("/").body.contains("<td>co2unit-1</td>"))
        #expect(daemon.stop() == 0)
    }

    @Test func raisesTheAlarmForSilentNodes() throws {
        let daemon = try DaemonProcess(settings: ["NODE_ADMISSION": "open", "NODE_SILENT_AFTER_MIN": "1"])
        try daemon.start()
        try StockUnit("co2unit-quiet", port: daemon.port).ping()
        #expect(daemon.stop() == 0)
        // It was heard of two minutes ago.
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(\"UPDATE nodes SET last_seen_ns = last_seen_ns - 120000000000\"); db.commit()",
            "\(daemon.folder)/edge.db",
        ]
        try process.run()
        process.waitUntilExit()
        try daemon.start()
        try waitFor("the alarm") {
            try daemon.get("/metrics").body.contains(
                "edge_aggregator_node_silent{kind=\"co2\",node=\"co2unit-quiet\"} 1")
        }
        #expect(try daemon.json("/api/v1/nodes/co2/co2unit-quiet")["state"] as? String == "silent")
        let events = try RawConnection(port: daemon.port)
        try events.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try StockUnit("co2unit-quiet", port: daemon.port).ping()
        #expect(try daemon.json("/api/v1/nodes/co2/co2unit-quiet")["state"] as? String == "ok")
        var heard = ""
        while !heard.contains("\"state\":\"heard\"") {
            let bytes = try events.read(1, within: 40)
            guard !bytes.isEmpty else { break }
            heard += String(decoding: bytes, as: UTF8.self)
        }
        #expect(heard.contains("event: node\ndata: {\"kind\":\"co2\",\"node\":\"co2unit-quiet\",\"state\":\"heard\""))
    }
}
