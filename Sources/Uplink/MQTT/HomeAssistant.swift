import TextParts

/// What Home Assistant is told of devices: one retained message for each, with all its entities (Home Assistant, "MQTT
/// device discovery").
///
/// Different devices have different topics and ids (``MQTTNames``), and so have their entities (``UniqueIDs``).
struct HomeAssistantDiscovery: Sendable {
    let aggregator: String
    let version: String
    let discoveryPrefix: String
    let availabilityTopic: String
    /// `<prefix>/<aggregator>`
    let boxTopic: String

    /// Below the box's topic, and retained: Home Assistant asks for it again when it starts.
    static let lastDetectionTopic = "last_detection"
    private static let lastDetectionKey = "last_detection"

    func topic(_ device: MQTTDevice.Identity) -> String { topic(id: id(device)) }

    /// Where earlier releases described the device; nil where that is the same.
    func formerTopic(_ device: MQTTDevice.Identity) -> String? {
        let name = device.id.isEmpty ? aggregator : "\(aggregator)_\(device.id)"
        let former = topic(id: "edge_aggregator_" + MQTTNames.formerDiscoveryID(name))
        return former.utf8.elementsEqual(topic(device).utf8) ? nil : former
    }

    private func topic(id: String) -> String { "\(discoveryPrefix)/device/\(id)/config" }

    func id(_ device: MQTTDevice.Identity) -> String {
        // Encoded apart, so that no escape reaches over the border.
        let box = "edge_aggregator_" + MQTTNames.discoveryID(aggregator)
        return device.id.isEmpty ? box : "\(box)_\(MQTTNames.discoveryID(device.id))"
    }

    /// Whether a retained description, as earlier releases wrote it too, is of one of this box's devices.
    func isOwn(_ payload: [UInt8]) -> Bool {
        String(decoding: payload, as: UTF8.self)
            .holds("\"availability_topic\":\(JSONText.quoted(availabilityTopic))")
    }

    func uniqueIDs(_ devices: [MQTTDevice]) -> UniqueIDs {
        UniqueIDs(
            devices.map { device in
                (id(device.identity), device.entities.map(\.key) + (device.id.isEmpty ? [Self.lastDetectionKey] : []))
            })
    }

    func payload(_ device: MQTTDevice, _ names: UniqueIDs) -> [UInt8] {
        let id = id(device.identity)
        var components = JSONText()
        for entity in device.entities { components.addRaw(entity.key, component(entity, names[id, entity.key])) }
        if device.id.isEmpty {
            components.addRaw(Self.lastDetectionKey, lastDetection(names[id, Self.lastDetectionKey]))
        }
        var about = JSONText()
        about.addRaw("ids", "[\(JSONText.quoted(id))]")
        about.add("name", device.name)
        about.add("mf", "Edge Aggregator")
        about.add("mdl", device.model)
        about.add("sw", version)
        if !device.id.isEmpty {
            about.add("via_device", self.id(MQTTDevice.Identity(id: "", stateLevels: [])))
        }
        var origin = JSONText()
        origin.add("name", "Edge Aggregator")
        origin.add("sw", version)
        var payload = JSONText()
        payload.addRaw("dev", about.object)
        payload.addRaw("o", origin.object)
        payload.addRaw("cmps", components.object)
        payload.add("availability_topic", availabilityTopic)
        payload.add("state_topic", "\(boxTopic)/\(device.identity.stateTopic)")
        payload.add("qos", 1 as Int64)
        return payload.bytes
    }

    private func component(_ entity: MQTTDevice.Entity, _ uniqueID: String) -> String {
        var component = JSONText()
        component.add("p", entity.platform.rawValue)
        component.add("name", entity.name)
        component.add("unique_id", uniqueID)
        let value = "value_json['\(Self.jinja(entity.key))']"
        component.add(
            "value_template", entity.platform == .sensor ? "{{ \(value) }}" : "{{ 'ON' if \(value) else 'OFF' }}")
        if !entity.unit.isEmpty { component.add("unit_of_measurement", entity.unit) }
        if !entity.deviceClass.isEmpty { component.add("device_class", entity.deviceClass) }
        if !entity.stateClass.isEmpty { component.add("state_class", entity.stateClass) }
        if entity.isDiagnostic { component.add("entity_category", "diagnostic") }
        return component.object
    }

    /// Within a string of a template, which is written as in Python.
    private static func jinja(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar == "'" || scalar == "\\" { result.append("\\") }
            result.append(scalar)
        }
        return String(result)
    }

    private func lastDetection(_ uniqueID: String) -> String {
        var last = JSONText()
        last.add("p", "sensor")
        last.add("name", "Last detection")
        last.add("unique_id", uniqueID)
        last.add("state_topic", "\(boxTopic)/\(Self.lastDetectionTopic)")
        last.add("value_template", "{{ value_json.common_name }}")
        last.add("json_attributes_topic", "\(boxTopic)/\(Self.lastDetectionTopic)")
        return last.object
    }
}

extension HomeAssistantDiscovery {
    /// The ids of entities. `<device>_<key>` names two entities alike when one device's id goes on as the other's key begins:
    /// quantity `led_signal` of node `a`, and quantity `signal` of node `a_led`. Then the longer id is set off by `--5f`, which
    /// ``MQTTNames`` writes nowhere else.
    struct UniqueIDs {
        /// The shortest device id that takes a plain unique id.
        private var shortest: [[UInt8]: Int] = [:]

        init(_ devices: [(id: String, keys: [String])]) {
            for (id, keys) in devices {
                for key in keys {
                    let plain = Array(Self.plain(id, key).utf8)
                    shortest[plain] = min(shortest[plain] ?? .max, id.utf8.count)
                }
            }
        }

        subscript(id: String, key: String) -> String {
            let plain = Self.plain(id, key)
            let isTaken = (shortest[Array(plain.utf8)] ?? .max) < id.utf8.count
            return isTaken ? "\(id)--5f\(MQTTNames.discoveryID(key))" : plain
        }

        private static func plain(_ id: String, _ key: String) -> String { "\(id)_\(MQTTNames.discoveryID(key))" }
    }
}
