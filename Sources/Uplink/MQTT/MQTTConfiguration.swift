/// How a broker is reached.
public struct MQTTConfiguration: Sendable {
    public var host: String
    public var port = 1883
    public var user = ""
    public var password = ""
    public var isTLS = false
    /// Certificates to trust instead of the system's.
    public var certificateFile = ""
    /// Known to the broker, which keeps the session of that name.
    public var clientID: String
    /// Retained: `online`, and `offline` as the last will; empty for none.
    public var availabilityTopic: String
    public var subscriptions: [String] = []
    /// MQTT 3.1.1 instead of 5, for brokers of any age.
    public var isOldProtocol = false
    /// Whether the broker keeps the session, and what comes for it, while there is no connection.
    public var keepsSession = true

    public init(host: String, clientID: String, availabilityTopic: String = "") {
        self.host = host
        self.clientID = clientID
        self.availabilityTopic = availabilityTopic
    }
}
