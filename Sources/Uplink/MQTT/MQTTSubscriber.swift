public import Logging
public import ServiceLifecycle

/// Listens to a broker. A message is acknowledged when it has been kept, and the broker holds what comes while nobody
/// listens (QoS 1, a session with a name).
public struct MQTTSubscriber: Service {
    private let connection: MQTTConnection

    /// - Parameter onMessage: called on a thread of its own, which may wait. False when the message could not be kept: it will
    ///   come again.
    public init(
        configuration: MQTTConfiguration, logger: Logger,
        onMessage: @escaping @Sendable (_ topic: String, _ payload: [UInt8]) -> Bool
    ) throws {
        connection = try MQTTConnection(
            configuration: configuration, onConnect: {}, onMessage: onMessage,
            onWarning: { reason in
                logger.warning("The connection to the MQTT broker does not last", metadata: ["reason": "\(reason)"])
            })
    }

    /// Why there is no connection; nil when there is one.
    public var failure: String? { connection.failure?.reason }

    public func run() async throws {
        connection.start()
        try? await gracefulShutdown()
        await connection.end()
    }
}
