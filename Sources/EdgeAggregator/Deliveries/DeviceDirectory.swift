import Sensors
import Store
import TextParts
import Uplink

/// What an MQTT broker is told of: the box, its listeners, and what its sensors last said.
struct DeviceDirectory: Sendable {
    let house: ReceptionHouse
    private let visits = ListenerVisits()

    init(house: ReceptionHouse) { self.house = house }

    /// Listeners beyond these, the most recently seen, are left out.
    static let mostListeners = 200
    /// The same of nodes.
    static let mostNodes = 200

    func devices() async -> [MQTTDevice] {
        let latest = (try? await house.store.latestObservations()) ?? []
        let sources = Self.groups(latest, by: \.source)
        var devices = [await box(board: sources.first { $0.key == ObservationRecord.board }?.values ?? [])]
        for (source, observations) in sources where source != ObservationRecord.board {
            devices.append(device(.sensor(source), source, model: "Sensor", observations))
        }
        return devices + (await nodes()) + (await listeners())
    }

    /// All devices of which the store has anything, also those that are left out; nil when it cannot be read.
    func existing() async -> [MQTTDevice.Identity]? {
        guard let names = try? await house.store.deviceNames() else { return nil }
        return [.box] + names.sources.map { .sensor($0) } + names.nodes.map { .node($0) }
            + names.listeners.map { .listener($0) }
    }

    /// Nodes of the field, the ones heard of last, each with what it last said.
    private func nodes() async -> [MQTTDevice] {
        let latest = (try? await house.store.latestReadings(limit: Self.mostNodes)) ?? []
        let labels = ((try? await house.store.nodes()) ?? []).reduce(into: [[UInt8]: String]()) { labels, node in
            if !node.label.isEmpty { labels[Array(node.key.source.utf8)] = node.label }
        }
        return Self.groups(latest, by: \.key.source).compactMap { source, readings in
            guard let key = readings.first?.key else { return nil }
            return device(
                .node(key), labels[Array(source.utf8)] ?? key.name, model: "Node (\(key.kind))",
                readings.flatMap(\.observations))
        }
    }

    /// In the order of the bytes of their keys. Names that Unicode calls equivalent, which Swift takes for the same, are
    /// different ones.
    static func groups<Element>(
        _ elements: [Element], by key: (Element) -> String
    ) -> [(key: String, values: [Element])] {
        Dictionary(grouping: elements) { Array(key($0).utf8) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map { (String(decoding: $0.key, as: UTF8.self), $0.value) }
    }

    private func box(board: [ObservationRecord]) async -> MQTTDevice {
        let detections = (try? await house.store.detectionTotal()) ?? 0
        let backlog = (try? await house.store.pendingAnalysisCount()) ?? 0
        let health = board.map { Self.entity($0, isDiagnostic: true) }
        return MQTTDevice(
            .box, name: "Edge Aggregator \(house.boxName)", model: "Edge Aggregator",
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
        // Before the connections: a listener that connects meanwhile is connected in this look, and a visitor in the next.
        let visitors = visits.take(from: house.registry)
        let connected = Dictionary(grouping: house.registry.connections) { $0.listener.text }
        let known = (try? await house.store.lastSeen(limit: Self.mostListeners)) ?? []
        visits.keep(visitors, except: known.map(\.id))
        return known.map { known in
            let statuses = (connected[known.id] ?? []).map(\.status)
            let seen = statuses.map(\.lastReceivedNanoseconds).max() ?? known.lastSeenNanoseconds
            let rest = [
                // By the minute, so that a listener that sends does not change each time it is looked at.
                ("last_seen", "\"\(ISOTime.text(seen - seen % 60_000_000_000))\""),
                ("gaps", "\(statuses.reduce(0) { $0 + $1.gaps })"),
            ]
            return MQTTDevice(
                .listener(known.id), name: "Listener \(known.id)", model: "Listener",
                entities: [
                    .init("connected", "Connected", platform: .binarySensor, deviceClass: "connectivity"),
                    .init("last_seen", "Last heard", deviceClass: "timestamp"),
                    .init("gaps", "Gaps", stateClass: "measurement", isDiagnostic: true),
                ],
                values: [("connected", "\(!statuses.isEmpty)")] + rest,
                passedValues: statuses.isEmpty && visitors.all.contains(known.id)
                    ? [("connected", "true")] + rest : nil)
        }
    }

    private func device(
        _ identity: MQTTDevice.Identity, _ name: String, model: String, _ observations: [ObservationRecord]
    ) -> MQTTDevice {
        let newest = Self.groups(observations, by: \.quantity).compactMap {
            // A node that has sent readings of several layouts may have a quantity in more than one.
            $0.values.max { $0.timeNanoseconds < $1.timeNanoseconds }
        }
        return MQTTDevice(
            identity, name: name, model: model,
            entities: newest.map { Self.entity($0, isDiagnostic: false) },
            values: newest.map { ($0.quantity, "\($0.value)") })
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

    /// `temperature` of `temperature_1`.
    private static func stem(_ quantity: String) -> String {
        var rest = quantity.utf8[...]
        while let last = rest.last, last == UInt8(ascii: "_") || (0x30...0x39).contains(last) { rest.removeLast() }
        return String(Substring(rest))
    }

    private static func entity(_ observation: ObservationRecord, isDiagnostic: Bool) -> MQTTDevice.Entity {
        let stem = Self.stem(observation.quantity)
        let known = classes[observation.quantity] ?? classes[stem]
        let name = observation.quantity.replacingText("_", with: " ")
        return MQTTDevice.Entity(
            observation.quantity, name.prefix(1).uppercased() + name.dropFirst(), unit: observation.unit,
            deviceClass: known.map { $0.unit == observation.unit ? $0.deviceClass : "" } ?? "",
            stateClass: growing.contains(observation.quantity) ? "total_increasing" : "measurement",
            isDiagnostic: isDiagnostic)
    }
}

extension MQTTDevice.Identity {
    fileprivate static let box = Self(id: "", stateLevels: ["state"])

    fileprivate static func sensor(_ source: String) -> Self {
        Self(id: "sensor_\(source)", stateLevels: ["sensors", source])
    }

    fileprivate static func node(_ key: NodeKey) -> Self {
        Self(id: "node_\(key.kind)_\(key.name)", stateLevels: ["nodes", key.kind, key.name])
    }

    fileprivate static func listener(_ id: String) -> Self {
        Self(id: "listener_\(id)", stateLevels: ["listeners", id])
    }
}
