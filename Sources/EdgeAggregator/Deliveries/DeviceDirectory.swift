import Sensors
import Store
import Uplink

/// What an MQTT broker is told of: the box, its listeners, and what its sensors last said.
struct DeviceDirectory: Sendable {
    let house: ReceptionHouse

    /// Listeners beyond these, the most recently seen, are left out.
    static let mostListeners = 200
    /// The same of nodes.
    static let mostNodes = 200

    func devices() async -> [MQTTDevice] {
        let latest = (try? await house.store.latestObservations()) ?? []
        let sources = Dictionary(grouping: latest, by: \.source)
        var devices = [await box(board: sources[ObservationRecord.board] ?? [])]
        for (source, observations) in sources.sorted(by: { $0.key < $1.key }) where source != ObservationRecord.board {
            devices.append(sensor(source, observations))
        }
        return devices + (await nodes()) + (await listeners())
    }

    /// Nodes of the field, the ones heard of last, each with what it last said.
    private func nodes() async -> [MQTTDevice] {
        let latest = (try? await house.store.latestReadings(limit: Self.mostNodes)) ?? []
        let names = Dictionary(
            ((try? await house.store.nodes()) ?? []).map { ($0.key, $0.label) }, uniquingKeysWith: { $1 })
        return Dictionary(grouping: latest, by: \.key).sorted { $0.key.source < $1.key.source }.map { key, readings in
            let name = names[key].flatMap { $0.isEmpty ? nil : $0 } ?? key.name
            return device(
                "node_\(key.kind)_\(key.name)", name, model: "Node (\(key.kind))",
                topic: "nodes/\(key.kind)/\(Self.topicPart(key.name))", readings.flatMap(\.observations))
        }
    }

    private func box(board: [ObservationRecord]) async -> MQTTDevice {
        let detections = (try? await house.store.detectionTotal()) ?? 0
        let backlog = (try? await house.store.pendingAnalysisCount()) ?? 0
        let health = board.map { Self.entity($0, isDiagnostic: true) }
        return MQTTDevice(
            id: "", name: "Edge Aggregator \(house.boxName)", model: "Edge Aggregator", stateTopic: "state",
            entities: [
                .init("detections", "Detections", stateClass: "total_increasing"),
                .init("listeners", "Listeners", stateClass: "measurement"),
                .init(
                    "backlog_recordings", "Recordings waiting for analysis", stateClass: "measurement",
                    isDiagnostic: true),
                .init("sound_kept", "Sound kept", platform: .binarySensor, isDiagnostic: true),
            ] + health,
            values: [
                ("detections", "\(detections)"),
                ("listeners", "\(Set(house.registry.connections.map(\.listener)).count)"),
                ("backlog_recordings", "\(backlog)"), ("sound_kept", "\(house.storageGuard.mayKeepSound)"),
            ] + board.map { ($0.quantity, "\($0.value)") })
    }

    private func listeners() async -> [MQTTDevice] {
        let connected = Dictionary(grouping: house.registry.connections) { $0.listener.text }
        let known = (try? await house.store.lastSeen(limit: Self.mostListeners)) ?? []
        return known.map { known in
            let statuses = (connected[known.id] ?? []).map(\.status)
            let seen = statuses.map(\.lastReceivedNanoseconds).max() ?? known.lastSeenNanoseconds
            return MQTTDevice(
                id: "listener_\(known.id)", name: "Listener \(known.id)", model: "Listener",
                stateTopic: "listeners/\(Self.topicPart(known.id))",
                entities: [
                    .init("connected", "Connected", platform: .binarySensor, deviceClass: "connectivity"),
                    .init("last_seen", "Last heard", deviceClass: "timestamp"),
                    .init("gaps", "Gaps", stateClass: "measurement", isDiagnostic: true),
                ],
                values: [
                    ("connected", "\(!statuses.isEmpty)"),
                    // By the minute, so that a listener that sends does not change each time it is looked at.
                    ("last_seen", "\"\(ISOTime.text(seen - seen % 60_000_000_000))\""),
                    ("gaps", "\(statuses.reduce(0) { $0 + $1.gaps })"),
                ])
        }
    }

    private func sensor(_ source: String, _ observations: [ObservationRecord]) -> MQTTDevice {
        device(
            "sensor_\(source)", source, model: "Sensor", topic: "sensors/\(Self.topicPart(source))", observations)
    }

    private func device(
        _ id: String, _ name: String, model: String, topic: String, _ observations: [ObservationRecord]
    ) -> MQTTDevice {
        MQTTDevice(
            id: id, name: name, model: model, stateTopic: topic,
            entities: observations.map { Self.entity($0, isDiagnostic: false) },
            values: observations.map { ($0.quantity, "\($0.value)") })
    }

    /// What would be another level or a pattern in a topic.
    private static func topicPart(_ text: String) -> String {
        String(text.map { "/+#".contains($0) ? "_" : $0 })
    }

    /// By the quantity's name up to its first `_` and a number, such as `temperature_1` (Home Assistant, "Sensor entity",
    /// device classes and their units).
    private static let classes: [String: (deviceClass: String, unit: String)] = [
        "co2": ("carbon_dioxide", "ppm"), "temperature": ("temperature", "°C"), "humidity": ("humidity", "%"),
        "pressure": ("atmospheric_pressure", "hPa"), "voltage": ("voltage", "V"), "current": ("current", "A"),
        "power": ("power", "W"), "signal": ("signal_strength", "dBm"), "illuminance": ("illuminance", "lx"),
        "battery": ("battery", "%"),
        "wifi_signal": ("signal_strength", "dBm"), "uptime": ("duration", "s"), "disk_free": ("data_size", "B"),
        "disk_total": ("data_size", "B"), "disk_written": ("data_size", "B"), "memory_available": ("data_size", "B"),
        "memory_total": ("data_size", "B"), "network_received": ("data_size", "B"), "network_sent": ("data_size", "B"),
        "cpu_frequency": ("frequency", "Hz"),
    ]

    private static let growing: Set<String> = ["disk_written", "network_received", "network_sent", "uptime"]

    private static func entity(_ observation: ObservationRecord, isDiagnostic: Bool) -> MQTTDevice.Entity {
        let stem = String(observation.quantity.reversed().drop { $0.isNumber || $0 == "_" }.reversed())
        let known = classes[observation.quantity] ?? classes[stem]
        let name = observation.quantity.replacing("_", with: " ")
        return MQTTDevice.Entity(
            observation.quantity, name.prefix(1).uppercased() + name.dropFirst(), unit: observation.unit,
            deviceClass: known.map { $0.unit == observation.unit ? $0.deviceClass : "" } ?? "",
            stateClass: growing.contains(observation.quantity) ? "total_increasing" : "measurement",
            isDiagnostic: isDiagnostic)
    }
}
