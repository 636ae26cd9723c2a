import Testing

@testable import Uplink

/// What names become in topics and ids, by the rule in docs/operations.md.
@Suite struct MQTTNamesTests {
    /// Ids as installations have them keep their topics. The rest was encoded by hand; the bytes are Python's
    /// `"ü".encode().hex()` and so on.
    @Test(arguments: [
        ("porch_1", "porch_1"), ("listener01", "listener01"), ("co2unit-30aea42a5140", "co2unit-30aea42a5140"),
        ("2f1c9a34-9f43-4c11-8a34-0e3c1f2d7b6a", "2f1c9a34-9f43-4c11-8a34-0e3c1f2d7b6a"), ("-", "-"), ("a-_", "a-_"),
        ("porch.1", "porch--2e1"), ("a#b", "a--23b"), ("a+b", "a--2bb"), ("a/b", "a--2fb"), ("a b", "a--20b"),
        ("ü", "--c3--bc"), ("u\u{308}", "u--cc--88"), ("a--b", "a--2d-b"), ("a-.", "a--2d--2e"), ("\u{7}", "--07"),
        ("---", "--2d--2d-"), ("", ""),
    ])
    func areEncodedForDiscovery(name: String, expected: String) {
        #expect(MQTTNames.discoveryID(name) == expected)
    }

    @Test(arguments: [
        ("porch.1", "porch.1"), ("Elektra Dach", "Elektra Dach"), ("größe", "größe"), ("100%", "100%"),
        ("a#b", "a--23b"), ("a+b", "a--2bb"), ("a/b", "a--2fb"), ("a\0b", "a--00b"), ("a-#", "a--2d--23"),
        ("\u{FFFF}", "--ef--bf--bf"), ("\u{85}", "--c2--85"),
    ])
    func areEncodedForALevelOfATopic(name: String, expected: String) {
        #expect(Array(MQTTNames.topicLevel(name).utf8) == Array(expected.utf8))
    }

    /// All 19,608 names of up to five of seven characters, each of which may be mistaken for a part of an escape.
    @Test func staysDifferentWhereNamesAre() {
        var names = [""]
        var longest = [""]
        for _ in 0..<5 {
            longest = longest.flatMap { name in ["-", "_", ".", "#", "2", "d", "e"].map { name + $0 } }
            names += longest
        }
        let ids = names.map { MQTTNames.discoveryID($0) }
        #expect(Set(ids).count == names.count)
        let isAllowed = ids.allSatisfy { id in
            id.utf8.allSatisfy { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || isAlphanumeric($0) }
        }
        #expect(isAllowed)
        let levels = names.map { MQTTNames.topicLevel($0) }
        #expect(Set(levels).count == names.count)
        let hasWildcard = levels.contains { $0.utf8.contains(UInt8(ascii: "#")) }
        #expect(!hasWildcard)
    }

    private func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }
}

/// What Home Assistant is told of devices whose names are alike.
@Suite struct HomeAssistantNamesTests {
    private func discovery(_ aggregator: String) -> HomeAssistantDiscovery {
        HomeAssistantDiscovery(
            aggregator: aggregator, version: "1", discoveryPrefix: "homeassistant",
            availabilityTopic: "edge-aggregator/\(aggregator)/status", boxTopic: "edge-aggregator/\(aggregator)")
    }

    private func device(_ id: String, _ levels: [String] = [], keys: [String] = ["co2"]) -> MQTTDevice {
        MQTTDevice(
            .init(id: id, stateLevels: levels), name: id, model: "", entities: keys.map { .init($0, $0) },
            values: keys.map { ($0, "1") })
    }

    @Test func devicesAndBoxesHaveTopicsOfTheirOwn() {
        let topics = [
            discovery("hut").topic(device("listener_porch.1").identity),
            discovery("hut").topic(device("listener_porch_1").identity),
            discovery("hut.1").topic(device("").identity), discovery("hut_1").topic(device("").identity),
        ]
        #expect(
            topics == [
                "homeassistant/device/edge_aggregator_hut_listener_porch--2e1/config",
                "homeassistant/device/edge_aggregator_hut_listener_porch_1/config",
                "homeassistant/device/edge_aggregator_hut--2e1/config",
                "homeassistant/device/edge_aggregator_hut_1/config",
            ])
    }

    @Test func formerTopicsAreKnownWhereTheyDiffer() {
        let former = discovery("hut").formerTopic(device("listener_porch.1").identity)
        #expect(former == "homeassistant/device/edge_aggregator_hut_listener_porch_1/config")
        #expect(discovery("hut").formerTopic(device("listener_porch_1").identity) == nil)
        let node = device("node_isems_a#b", ["nodes", "isems", "a#b"])
        #expect(node.identity.stateTopic == "nodes/isems/a--23b" && node.identity.formerStateTopic == "nodes/isems/a_b")
        #expect(device("sensor_a.b", ["sensors", "a.b"]).identity.formerStateTopic == nil)
    }

    /// Quantities of CO2 units are `signal` and `led_signal`: `node_co2_a` + `led_signal` is `node_co2_a_led` + `signal`.
    @Test func entitiesHaveUniqueIDsOfTheirOwn() {
        let devices = [
            device("node_co2_a", keys: ["led_signal", "signal"]),
            device("node_co2_a_led", keys: ["led_signal", "signal"]),
        ]
        let names = discovery("hut").uniqueIDs(devices)
        let ids = devices.flatMap { device in
            device.entities.map { names[discovery("hut").id(device.identity), $0.key] }
        }
        #expect(Set(ids).count == 4)
        // The shorter id keeps what it had, and so does whatever is not mistaken.
        #expect(
            ids == [
                "edge_aggregator_hut_node_co2_a_led_signal", "edge_aggregator_hut_node_co2_a_signal",
                "edge_aggregator_hut_node_co2_a_led_led_signal", "edge_aggregator_hut_node_co2_a_led--5fsignal",
            ])
    }

    /// Jinja has the strings of Python: `'it\'s'`.
    @Test func aQuantityIsQuotedInItsTemplate() {
        let counter = device("sensor_x", ["sensors", "x"], keys: ["it's", "a\\b"])
        let discovery = discovery("hut")
        let text = String(decoding: discovery.payload(counter, discovery.uniqueIDs([counter])), as: UTF8.self)
        // Once more for JSON.
        #expect(text.contains(#"{{ value_json['it\\'s'] }}"#) && text.contains(#"{{ value_json['a\\\\b'] }}"#))
    }
}
