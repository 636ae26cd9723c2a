/// Something that Home Assistant shows as a device of its own: the box, a listener, a sensor.
public struct MQTTDevice: Sendable {
    /// One of a device's entities.
    public struct Entity: Sendable, Hashable {
        public enum Platform: String, Sendable {
            case sensor
            case binarySensor = "binary_sensor"
        }

        /// Its name among the state's JSON values, and in its id.
        public var key: String
        public var name: String
        public var platform: Platform
        public var unit: String
        /// Of Home Assistant; empty for none.
        public var deviceClass: String
        public var stateClass: String
        public var isDiagnostic: Bool

        public init(
            _ key: String, _ name: String, platform: Platform = .sensor, unit: String = "", deviceClass: String = "",
            stateClass: String = "", isDiagnostic: Bool = false
        ) {
            self.key = key
            self.name = name
            self.platform = platform
            self.unit = unit
            self.deviceClass = deviceClass
            self.stateClass = stateClass
            self.isDiagnostic = isDiagnostic
        }
    }

    /// Among the box's devices; empty for the box itself.
    public var id: String
    public var name: String
    public var model: String
    /// Below the box's topic.
    public var stateTopic: String
    public var entities: [Entity]
    /// JSON values by name.
    public var values: [(name: String, json: String)]

    public init(
        id: String, name: String, model: String, stateTopic: String, entities: [Entity],
        values: [(name: String, json: String)]
    ) {
        self.id = id
        self.name = name
        self.model = model
        self.stateTopic = stateTopic
        self.entities = entities
        self.values = values
    }

    var state: [UInt8] {
        var json = JSONText()
        for (name, value) in values { json.addRaw(name, value) }
        return json.bytes
    }
}

/// What Home Assistant is told of devices: one retained message for each, with all its entities (Home Assistant, "MQTT
/// device discovery").
struct HomeAssistantDiscovery: Sendable {
    let aggregator: String
    let version: String
    let discoveryPrefix: String
    let availabilityTopic: String
    /// `<prefix>/<aggregator>`
    let boxTopic: String

    func topic(_ device: MQTTDevice) -> String { "\(discoveryPrefix)/device/\(id(device))/config" }

    /// Only letters, digits, `_` and `-` may stand in an object id.
    func id(_ device: MQTTDevice) -> String {
        let text = device.id.isEmpty ? aggregator : "\(aggregator)_\(device.id)"
        return "edge_aggregator_"
            + String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "_" })
    }

    func payload(_ device: MQTTDevice) -> [UInt8] {
        let id = id(device)
        var components = JSONText()
        for entity in device.entities { components.addRaw(entity.key, component(entity, id)) }
        if device.id.isEmpty { components.addRaw("last_detection", lastDetection(id)) }
        var about = JSONText()
        about.addRaw("ids", "[\(JSONText.quoted(id))]")
        about.add("name", device.name)
        about.add("mf", "Edge Aggregator")
        about.add("mdl", device.model)
        about.add("sw", version)
        if !device.id.isEmpty {
            let box = MQTTDevice(id: "", name: "", model: "", stateTopic: "", entities: [], values: [])
            about.add("via_device", self.id(box))
        }
        var origin = JSONText()
        origin.add("name", "Edge Aggregator")
        origin.add("sw", version)
        var payload = JSONText()
        payload.addRaw("dev", about.object)
        payload.addRaw("o", origin.object)
        payload.addRaw("cmps", components.object)
        payload.add("availability_topic", availabilityTopic)
        payload.add("state_topic", "\(boxTopic)/\(device.stateTopic)")
        payload.add("qos", 1 as Int64)
        return payload.bytes
    }

    private func component(_ entity: MQTTDevice.Entity, _ id: String) -> String {
        var component = JSONText()
        component.add("p", entity.platform.rawValue)
        component.add("name", entity.name)
        component.add("unique_id", "\(id)_\(entity.key)")
        let value = "value_json['\(entity.key.filter { $0 != "'" && $0 != "\\" })']"
        component.add(
            "value_template", entity.platform == .sensor ? "{{ \(value) }}" : "{{ 'ON' if \(value) else 'OFF' }}")
        if !entity.unit.isEmpty { component.add("unit_of_measurement", entity.unit) }
        if !entity.deviceClass.isEmpty { component.add("device_class", entity.deviceClass) }
        if !entity.stateClass.isEmpty { component.add("state_class", entity.stateClass) }
        if entity.isDiagnostic { component.add("entity_category", "diagnostic") }
        return component.object
    }

    private func lastDetection(_ id: String) -> String {
        var last = JSONText()
        last.add("p", "sensor")
        last.add("name", "Last detection")
        last.add("unique_id", "\(id)_last_detection")
        last.add("state_topic", "\(boxTopic)/detections")
        last.add("value_template", "{{ value_json.common_name }}")
        last.add("json_attributes_topic", "\(boxTopic)/detections")
        return last.object
    }
}
