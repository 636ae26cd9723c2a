import EdgeTesting
import Foundation
import Testing

/// What the board says of itself, at three real far ends at once.
@Suite(.serialized) struct ObservationDeliveryTests {
    @Test func arriveOnceAtEachFarEnd() throws {
        let influx = try FarEnd.influx(token: "secret")
        let database = try PostgreSQLServer(user: "edge", password: "secret", database: "field")
        let broker = try Broker(user: "box", password: "secret")
        try broker.start()
        let settings = [
            "INFLUX_URL": "http://127.0.0.1:\(influx.port)", "INFLUX_TOKEN": "secret", "DATABASE_URL": database.url(),
            "MQTT_HOST": "127.0.0.1", "MQTT_PORT": "\(broker.port)", "MQTT_USER": "box", "MQTT_PASSWORD": "secret",
            "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1",
            "HEALTH_INTERVAL_SEC": "1", "LOG_LEVEL": "critical",
        ]
        let daemon = try DaemonProcess(settings: settings)
        try daemon.start()
        // Some readings, with a death between them.
        sleep(3)
        daemon.killNow()
        try daemon.start()
        sleep(2)
        #expect(daemon.stop() == 0)
        let rest = try DaemonProcess(
            folder: daemon.folder, settings: settings.merging(["HEALTH_INTERVAL_SEC": "0"]) { $1 })
        try rest.start()
        for name in ["influx", "postgres", "mqtt"] {
            _ = try DeliverySupport.wait(rest) { $0["name"] as? String == name && DeliverySupport.isEmpty($0) }
        }
        let heard =
            try rest.json("/api/v1/observations?source=board&limit=1000")["observations"] as? [[String: Any]] ?? []
        let times = Set(heard.compactMap { $0["at"] as? String })
        #expect(heard.count > 20 && times.count >= 3)
        let loads = heard.filter { $0["quantity"] as? String == "load" }.compactMap { $0["value"] as? Double }
        // One point a reading, a field for each quantity.
        let points = try DeliverySupport.points(influx, table: "health")
        #expect(points.count == times.count)
        #expect(points.compactMap { $0["load"] as? Double }.sorted() == loads.sorted())
        #expect(points.allSatisfy { $0["aggregator_uuid"] as? String == "box-1" && $0["memory_total"] is Double })
        #expect(
            try database.query("SELECT count(*), count(DISTINCT time_ns) FROM edge_observations WHERE source = 'board'")
                == "\(heard.count)|\(times.count)")
        let messages = try broker.heard().filter { $0.topic == "edge-aggregator/box-1/observations" }.map {
            try JSONSerialization.jsonObject(with: Data($0.payload.utf8)) as? [String: Any] ?? [:]
        }
        #expect(Set(messages.compactMap { $0["id"] as? String }).count == times.count)
        #expect((messages.first?["values"] as? [String: Any])?["load"] is Double)
        // Home Assistant hears of the board's quantities as entities of the box.
        let discovery = try #require(
            try broker.heard().last { $0.topic == "homeassistant/device/edge_aggregator_box-1/config" })
        #expect(discovery.payload.contains(#""unique_id":"edge_aggregator_box-1_memory_available""#))
        let latest = try rest.json("/api/v1/observations/latest")["observations"] as? [[String: Any]] ?? []
        #expect(Set(latest.compactMap { $0["quantity"] as? String }).count == latest.count && latest.count > 10)
        #expect(rest.stop() == 0)
    }
}
