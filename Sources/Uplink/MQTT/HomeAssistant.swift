/// What Home Assistant is told of the box: one retained message for the device, with all its sensors (Home Assistant,
/// "MQTT device discovery").
struct HomeAssistantDiscovery: Sendable {
    let aggregator: String
    let version: String
    let discoveryPrefix: String
    let availabilityTopic: String
    let stateTopic: String
    let detectionTopic: String

    /// Only letters, digits, `_` and `-` may stand in an object id.
    var deviceID: String {
        "edge_aggregator_"
            + String(aggregator.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "_" })
    }

    var topic: String { "\(discoveryPrefix)/device/\(deviceID)/config" }

    private struct Sensor {
        let key: String
        let platform: String
        let name: String
        let template: String
        var unit = ""
        var deviceClass = ""
        var stateClass = ""
        var isDiagnostic = false
    }

    private static let sensors: [Sensor] = [
        Sensor(
            key: "detections", platform: "sensor", name: "Detections", template: "{{ value_json.detections }}",
            stateClass: "total_increasing"),
        Sensor(
            key: "listeners", platform: "sensor", name: "Listeners", template: "{{ value_json.listeners }}",
            stateClass: "measurement"),
        Sensor(
            key: "disk_free", platform: "sensor", name: "Disk free", template: "{{ value_json.disk_free_bytes }}",
            unit: "B", deviceClass: "data_size", stateClass: "measurement", isDiagnostic: true),
        Sensor(
            key: "backlog", platform: "sensor", name: "Recordings waiting for analysis",
            template: "{{ value_json.backlog_recordings }}", stateClass: "measurement", isDiagnostic: true),
        Sensor(
            key: "clock", platform: "binary_sensor", name: "Clock set",
            template: "{{ 'ON' if value_json.clock_set else 'OFF' }}", isDiagnostic: true),
        Sensor(
            key: "sound_kept", platform: "binary_sensor", name: "Sound kept",
            template: "{{ 'ON' if value_json.sound_kept else 'OFF' }}", isDiagnostic: true),
    ]

    var payload: [UInt8] {
        var components = JSONText()
        for sensor in Self.sensors {
            var component = JSONText()
            component.add("p", sensor.platform)
            component.add("name", sensor.name)
            component.add("unique_id", "\(deviceID)_\(sensor.key)")
            component.add("value_template", sensor.template)
            if !sensor.unit.isEmpty { component.add("unit_of_measurement", sensor.unit) }
            if !sensor.deviceClass.isEmpty { component.add("device_class", sensor.deviceClass) }
            if !sensor.stateClass.isEmpty { component.add("state_class", sensor.stateClass) }
            if sensor.isDiagnostic { component.add("entity_category", "diagnostic") }
            components.addRaw(sensor.key, component.object)
        }
        var last = JSONText()
        last.add("p", "sensor")
        last.add("name", "Last detection")
        last.add("unique_id", "\(deviceID)_last_detection")
        last.add("state_topic", detectionTopic)
        last.add("value_template", "{{ value_json.common_name }}")
        last.add("json_attributes_topic", detectionTopic)
        components.addRaw("last_detection", last.object)
        var device = JSONText()
        device.addRaw("ids", "[\(JSONText.quoted(deviceID))]")
        device.add("name", "Edge Aggregator \(aggregator)")
        device.add("mf", "Edge Aggregator")
        device.add("sw", version)
        var origin = JSONText()
        origin.add("name", "Edge Aggregator")
        origin.add("sw", version)
        var payload = JSONText()
        payload.addRaw("dev", device.object)
        payload.addRaw("o", origin.object)
        payload.addRaw("cmps", components.object)
        payload.add("availability_topic", availabilityTopic)
        payload.add("state_topic", stateTopic)
        payload.add("qos", 1 as Int64)
        return payload.bytes
    }
}
