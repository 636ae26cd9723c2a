import EdgeTesting
import Foundation
import GRDB
import Store
import Testing

/// Topics of names that are alike, what the broker keeps, and brokers on which something is wrong, with a real mosquitto.
@Suite(.serialized) struct MQTTTopicTests {
    private static let plan = DeliveryPlan(sinks: [.detections: ["mqtt"], .observations: ["mqtt"]])

    private func settings(_ broker: Broker, _ more: [String: String] = [:]) -> [String: String] {
        [
            "MQTT_HOST": "127.0.0.1", "MQTT_PORT": "\(broker.port)", "MQTT_USER": "box", "MQTT_PASSWORD": "secret",
            "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1",
            "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
        ].merging(more) { $1 }
    }

    private func object(_ text: String?) throws -> [String: Any] {
        try JSONSerialization.jsonObject(with: Data((text ?? "{}").utf8)) as? [String: Any] ?? [:]
    }

    private func wait(_ what: String, seconds: Double = 90, until isThere: () throws -> Bool) throws {
        for _ in 0..<Int(seconds * 5) {
            if try isThere() { return }
            usleep(200_000)
        }
        throw DaemonProcess.Failure(description: "it did not come to that: \(what)")
    }

    private static let node = "homeassistant/device/edge_aggregator_box-1_node_isems_"
    private static let listener = "homeassistant/device/edge_aggregator_box-1_listener_"

    @Test func namesThatAreAlikeHaveTopicsOfTheirOwnAndNothingIsSentAgain() throws {
        let broker = try Broker(user: "box", password: "secret")
        try broker.start()
        let daemon = try DaemonProcess(settings: settings(broker))
        for listener in ["porch.1", "porch_1", "old.1"] {
            try DeliverySupport.seed(folder: daemon.folder, detections: 7, plan: Self.plan, listener: listener)
        }
        // What an earlier release left there, and what box `box-2` has under the same topic as a listener's former one.
        let earlier = try RawMQTT(port: broker.port, clientID: "earlier", user: "box", password: "secret")
        func leave(_ topic: String, _ payload: String) throws {
            try earlier.publish(topic, Array(payload.utf8), isRetained: true)
        }
        try leave("\(Self.node)a_b/config", #"{"dev":{},"availability_topic":"edge-aggregator/box-1/status","qos":1}"#)
        try leave("edge-aggregator/box-1/nodes/isems/a_b", #"{"battery":1.0}"#)
        try leave("\(Self.listener)old_1/config", #"{"availability_topic":"edge-aggregator/box-2/status"}"#)
        let log = "\(daemon.folder)/isems.csv"
        try ["a#b", "a+b", "e\u{301}", "\u{E9}"].map { ISEMSNodeTests.line($0, 1_530_364_575) }
            .joined(separator: "\n").write(toFile: log, atomically: false, encoding: .utf8)
        let imported = try daemon.command("import", "isems", log)
        #expect(imported.status == 0, "\(imported.output)")
        try daemon.start()
        // Home Assistant, "MQTT", discovery topic: [a-zA-Z0-9_-]. The bytes of the two forms of é are Python's.
        let configs = [
            "\(Self.listener)porch--2e1/config", "\(Self.listener)porch_1/config", "\(Self.listener)old--2e1/config",
            "\(Self.node)a--23b/config", "\(Self.node)a--2bb/config", "\(Self.node)e--cc--81/config",
            "\(Self.node)--c3--a9/config",
        ]
        let states = [
            "edge-aggregator/box-1/listeners/porch.1", "edge-aggregator/box-1/listeners/porch_1",
            "edge-aggregator/box-1/nodes/isems/a--23b", "edge-aggregator/box-1/nodes/isems/a--2bb",
        ]
        try wait("all topics") {
            let topics = Set(try broker.heard().map(\.topic))
            return topics.isSuperset(of: configs + states)
        }
        try wait("what was left is removed") {
            let kept = try broker.retained()
            return kept["\(Self.node)a_b/config"] == nil && kept["edge-aggregator/box-1/nodes/isems/a_b"] == nil
        }
        _ = try DeliverySupport.wait(daemon) { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int ?? 0 >= 21 }
        let kept = try broker.retained()
        #expect(kept["\(Self.listener)old_1/config"]?.contains("box-2") == true)
        for (config, state) in zip(
            [configs[0], configs[1], configs[3], configs[4]], states)
        {
            let told = try object(kept[config])["state_topic"] as? String
            #expect(told == state && kept[state] != nil, "\(config)")
        }
        // A look and a half later: each description and state once, since nothing has changed.
        sleep(45)
        let heard = try broker.heard().filter { !$0.isRetained && !$0.payload.isEmpty }
        for topic in configs + states {
            let count = heard.count { $0.topic == topic }
            #expect(count == 1, "\(topic) \(count)")
        }
        #expect(daemon.stop() == 0)
    }

    /// A listener that the store forgets is removed at the broker, and so at Home Assistant (Home Assistant, "MQTT", "Discovery
    /// messages": an empty message removes a device).
    @Test func aListenerThatIsGoneIsRemovedAtTheBroker() throws {
        let broker = try Broker(user: "box", password: "secret")
        try broker.start()
        let daemon = try DaemonProcess(settings: settings(broker))
        for listener in ["gone", "stays"] {
            try DeliverySupport.seed(folder: daemon.folder, detections: 1, plan: Self.plan, listener: listener)
        }
        try daemon.start()
        let gone = ["\(Self.listener)gone/config", "edge-aggregator/box-1/listeners/gone"]
        let stays = ["\(Self.listener)stays/config", "edge-aggregator/box-1/listeners/stays"]
        try wait("both listeners") { try Set(broker.retained().keys).isSuperset(of: gone + stays) }
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(10)
        let database = try DatabaseQueue(path: "\(daemon.folder)/edge.db", configuration: configuration)
        try database.write { try $0.execute(sql: "DELETE FROM listeners WHERE id = 'gone'") }
        try wait("the removal") { try Set(broker.retained().keys).isDisjoint(with: gone) }
        #expect(try Set(broker.retained().keys).isSuperset(of: stays))
        #expect(daemon.stop() == 0)
    }

    /// mosquitto.conf(5), `acl_file`: nobody may write this topic.
    @Test func aTopicThatIsDeniedHoldsUpNoOther() throws {
        let broker = try Broker(user: "box", password: "secret", denied: "edge-aggregator/box-1/detections")
        try broker.start()
        let daemon = try DaemonProcess(settings: settings(broker))
        try DeliverySupport.seed(folder: daemon.folder, detections: 7, plan: Self.plan)
        try DeliverySupport.seedRest(folder: daemon.folder, count: 5, plan: Self.plan)
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon) { ($0["facts_done"] as? Int ?? 0) >= 5 }
        #expect(sink["facts_done"] as? Int == 5)
        let heard = try broker.heard().filter { $0.topic == "edge-aggregator/box-1/observations" }
        #expect(heard.count >= 5)
        let alarm = try DeliverySupport.wait(daemon) { $0["state"] as? String == "unauthorised" }
        #expect((alarm["reason"] as? String ?? "").contains("edge-aggregator/box-1/detections"))
        #expect(daemon.stop() == 0)
    }

    @Test func theLastDetectionIsKeptAlsoAfterTheBrokerAndTheBoxHaveForgottenIt() throws {
        let broker = try Broker(user: "box", password: "secret")
        try broker.start()
        let daemon = try DaemonProcess(settings: settings(broker))
        try DeliverySupport.seed(folder: daemon.folder, detections: 9, plan: Self.plan)
        try daemon.start()
        _ = try DeliverySupport.wait(daemon) { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 9 }
        let topic = "edge-aggregator/box-1/last_detection"
        // The ninth: the second window of the second recording.
        func isNinth() throws -> Bool {
            let last = try object(try broker.retained()[topic])
            return last["recording"] as? String == "seeded_1.wav" && last["offset_seconds"] as? Double == 3
        }
        try wait("the last detection", until: isNinth)
        let config = try object(try broker.retained()["homeassistant/device/edge_aggregator_box-1/config"])
        let components = config["cmps"] as? [String: [String: Any]] ?? [:]
        #expect(components["last_detection"]?["state_topic"] as? String == topic)
        // This broker keeps nothing on disk.
        daemon.killNow()
        broker.stop()
        try broker.start()
        try daemon.start()
        try wait("the last detection again", until: isNinth)
        #expect(daemon.stop() == 0)
    }

    @Test func aListenerThatWasThereForASecondIsSeen() throws {
        let broker = try Broker(user: "box", password: "secret")
        try broker.start()
        let daemon = try DaemonProcess(settings: settings(broker))
        try daemon.start()
        // The next look is half a minute away.
        try wait("the box's state") { try broker.heard().contains { $0.topic == "edge-aggregator/box-1/state" } }
        let stream = try daemon.stream("brief")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.ramp(from: 0, samples: 16_384))))
        sleep(1)
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        func connected() throws -> [Bool] {
            try broker.heard().filter { $0.topic == "edge-aggregator/box-1/listeners/brief" && !$0.isRetained }
                .compactMap { try object($0.payload)["connected"] as? Bool }
        }
        try wait("that it left") { try connected().last == false }
        #expect(try connected() == [true, false])
        #expect(daemon.stop() == 0)
    }

    @Test func aSecondClientWithTheSameIDIsNamed() throws {
        let broker = try Broker(user: "box", password: "secret")
        try broker.start()
        // Readings of the board each second, so that there is something to deliver.
        let daemon = try DaemonProcess(
            settings: settings(broker, ["HEALTH_INTERVAL_SEC": "1", "LOG_LEVEL": "warning"]))
        let log = "\(daemon.folder)/log"
        try daemon.start(logPath: log)
        try wait("the box's state") { try broker.heard().contains { $0.topic == "edge-aggregator/box-1/state" } }
        // Comes back whenever the box has taken the connection from it.
        func takeOver() throws -> RawMQTT {
            try RawMQTT(port: broker.port, clientID: "edge-aggregator-box-1", user: "box", password: "secret")
        }
        var rival = try takeOver()
        var isNamed = false
        var isToldByDoctor = false
        var questions = 0
        for _ in 0..<120 where !isToldByDoctor && questions < 8 {
            if rival.isClosed(within: 0) { rival = try takeOver() }
            usleep(500_000)
            let sinks = try daemon.json("/api/v1/sinks")["sinks"] as? [[String: Any]] ?? []
            guard sinks.contains(where: { ($0["reason"] as? String ?? "").contains("`edge-aggregator-box-1`") }) else {
                continue
            }
            isNamed = true
            questions += 1
            let doctor = try daemon.command("doctor").output
            isToldByDoctor = doctor.contains("WARN  mqtt_host:") && doctor.contains("`edge-aggregator-box-1`")
        }
        #expect(isNamed && isToldByDoctor)
        let said = try String(contentsOfFile: log, encoding: .utf8)
        #expect(said.contains("does not last") && said.contains("edge-aggregator-box-1"))
        #expect(daemon.stop() == 0)
    }

    @Test func theDoctorSaysWhatABrokerHasDropped() throws {
        let broker = try Broker(
            user: "box", password: "secret", tellsOfItself: true, settings: ["max_queued_messages 1"])
        try broker.start()
        let daemon = try DaemonProcess(settings: settings(broker))
        try DeliverySupport.seed(folder: daemon.folder, detections: 70, plan: Self.plan)
        let before = try daemon.command("doctor").output
        #expect(before.contains("127.0.0.1:\(broker.port) is reached, and has dropped no messages"), "\(before)")
        try broker.leaveSession("away")
        try daemon.start()
        // The broker has acknowledged all of them.
        _ = try DeliverySupport.wait(daemon) { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 70 }
        var said = ""
        try wait("the broker's count") {
            said = try daemon.command("doctor").output
            return said.contains("max_queued_messages")
        }
        let dropped = said.firstMatch(of: /has dropped (\d+) messages/).flatMap { Int($0.1) } ?? 0
        // One of them is in the queue.
        #expect(dropped >= 69, "\(said)")
        #expect(said.contains("WARN  mqtt_host"))
        #expect(daemon.stop() == 0)
    }

    @Test func theDoctorSaysWhatItDoesNotKnowAndWhatItCannotReach() throws {
        let broker = try Broker(user: "box", password: "secret")
        try broker.start()
        let daemon = try DaemonProcess(settings: settings(broker))
        let silent = try daemon.command("doctor").output
        #expect(silent.contains("it does not tell this user"), "\(silent)")
        let wrong = try DaemonProcess(settings: settings(broker, ["MQTT_PASSWORD": "nonsense"]))
        let refused = try wrong.command("doctor").output
        #expect(refused.contains("WARN  mqtt_host: 127.0.0.1:\(broker.port) cannot be reached"), "\(refused)")
    }
}
