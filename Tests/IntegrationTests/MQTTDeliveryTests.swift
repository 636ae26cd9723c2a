import EdgeTesting
import Foundation
import Store
import Testing

/// Deliveries to a real mosquitto.
@Suite(.serialized) struct MQTTDeliveryTests {
    private static let plan = DeliveryPlan(sinks: [.detections: ["mqtt"]])

    private func settings(_ broker: Broker, _ more: [String: String] = [:]) -> [String: String] {
        [
            "MQTT_HOST": "127.0.0.1", "MQTT_PORT": "\(broker.port)", "MQTT_USER": "box", "MQTT_PASSWORD": "secret",
            "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1",
            "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
        ].merging(more) { $1 }
    }

    private func object(_ text: String) throws -> [String: Any] {
        try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
    }

    @Test func tellsEachDetectionAndTheBoxsStateAlsoAfterTheBrokerWasAway() throws {
        let broker = try Broker(user: "box", password: "secret")
        let daemon = try DaemonProcess(settings: settings(broker))
        try DeliverySupport.seed(folder: daemon.folder, detections: 210, plan: Self.plan)
        // Nobody is there yet.
        try daemon.start()
        let waiting = try DeliverySupport.wait(daemon) { ($0["failures"] as? Int ?? 0) > 0 }
        #expect(waiting["state"] as? String == "waiting")
        try broker.start()
        _ = try DeliverySupport.wait(daemon) { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 210 }
        usleep(500_000)
        let heard = try broker.heard()
        let detections = try heard.filter { $0.topic == "edge-aggregator/box-1/detections" }.map {
            try object($0.payload)
        }
        #expect(Set(detections.compactMap { $0["id"] as? String }).count == 210)
        let first = detections.first {
            $0["recording"] as? String == "seeded_0.wav" && $0["offset_seconds"] as? Double == 3
        }
        #expect(first?["start"] as? String == "2026-11-21T01:27:47.000000Z")
        #expect(first?["scientific_name"] as? String == "Parus major" && first?["listener"] as? String == "seeded")
        let state = try #require(heard.last { $0.topic == "edge-aggregator/box-1/state" })
        #expect(try object(state.payload)["detections"] as? Int == 210)
        #expect(heard.contains { $0.topic == "edge-aggregator/box-1/status" && $0.payload == "online" })
        // Home Assistant's rules for a device: every component has a platform and a unique id of its own.
        let discovery = try #require(heard.last { $0.topic == "homeassistant/device/edge_aggregator_box-1/config" })
        let device = try object(discovery.payload)
        let components = device["cmps"] as? [String: [String: Any]] ?? [:]
        #expect(components.count == 5 && components.values.allSatisfy { $0["p"] is String })
        #expect(Set(components.values.compactMap { $0["unique_id"] as? String }).count == 5)
        #expect(
            (device["o"] as? [String: Any])?["name"] is String && (device["dev"] as? [String: Any])?["ids"] is [String])
        #expect(device["availability_topic"] as? String == "edge-aggregator/box-1/status")
        // Each listener is a device of its own, behind the box.
        let listener = try #require(
            heard.last { $0.topic == "homeassistant/device/edge_aggregator_box-1_listener_seeded/config" })
        let about = try object(listener.payload)["dev"] as? [String: Any] ?? [:]
        #expect(about["via_device"] as? String == "edge_aggregator_box-1")
        let listenerState = try #require(heard.last { $0.topic == "edge-aggregator/box-1/listeners/seeded" })
        #expect(try object(listenerState.payload)["connected"] as? Bool == false)
        // The last will.
        daemon.killNow()
        for _ in 0..<50 where try !broker.heard().contains(where: { $0.payload == "offline" }) { usleep(100_000) }
        #expect(try broker.heard().contains { $0.topic == "edge-aggregator/box-1/status" && $0.payload == "offline" })
    }

    @Test(arguments: ["wrong password", "denied topic"])
    func tellsThatItIsNotLetInAndLosesNothing(what: String) throws {
        let broker = try Broker(
            user: "box", password: "secret", denied: what == "denied topic" ? "edge-aggregator/box-1/detections" : nil)
        try broker.start()
        let daemon = try DaemonProcess(
            settings: settings(broker, what == "wrong password" ? ["MQTT_PASSWORD": "nonsense"] : [:]))
        try DeliverySupport.seed(folder: daemon.folder, detections: 7, plan: Self.plan)
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon) { $0["state"] as? String == "unauthorised" }
        #expect((sink["reason"] as? String ?? "").lowercased().contains("not authori"))
        #expect(!DeliverySupport.isEmpty(sink) && sink["facts_done"] as? Int == 0)
        #expect(daemon.stop() == 0)
    }
}
