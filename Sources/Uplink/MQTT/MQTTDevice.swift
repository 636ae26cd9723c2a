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

    public var identity: Identity
    public var name: String
    public var model: String
    public var entities: [Entity]
    /// JSON values by name.
    public var values: [(name: String, json: String)]
    /// Values that held for a moment since the device was last looked at, and hold no more; they are sent before ``values``.
    public var passedValues: [(name: String, json: String)]?

    public init(
        _ identity: Identity, name: String, model: String, entities: [Entity],
        values: [(name: String, json: String)], passedValues: [(name: String, json: String)]? = nil
    ) {
        self.identity = identity
        self.name = name
        self.model = model
        self.entities = entities
        self.values = values
        self.passedValues = passedValues
    }

    /// What its topics are made of.
    public struct Identity: Sendable {
        /// Among the box's devices; empty for the box itself.
        public let id: String
        /// The levels of its topic below the box's, as they are named.
        public let stateLevels: [String]

        public init(id: String, stateLevels: [String]) {
            self.id = id
            self.stateLevels = stateLevels
        }

        /// Below the box's topic.
        var stateTopic: String { stateLevels.map { MQTTNames.topicLevel($0) }.joined(separator: "/") }

        /// Where earlier releases sent its state; nil where that is the same.
        var formerStateTopic: String? {
            let former = stateLevels.map(MQTTNames.formerTopicLevel).joined(separator: "/")
            return former.utf8.elementsEqual(stateTopic.utf8) ? nil : former
        }
    }

    /// Among the box's devices; empty for the box itself.
    public var id: String { identity.id }

    /// Its states to send, in this order.
    var states: [[UInt8]] {
        [passedValues, values].compactMap(\.self).map { values in
            var json = JSONText()
            for (name, value) in values { json.addRaw(name, value) }
            return json.bytes
        }
    }
}
