import Foundation
public import Logging
public import ServiceLifecycle
public import Store

/// An MQTT broker: detections and observations as JSON messages, and the state of the box and what is behind it for Home
/// Assistant.
///
/// A delivery is done when the broker has acknowledged its messages (QoS 1). One that was repeated carries the same `id`.
public struct MQTTSink: Sink, Service {
    public let name = "mqtt"
    public let limits = SinkLimits(deliveries: 64, facts: 512, concurrency: 2, kinds: [.detections, .observations])

    let boxTopic: String
    let connection: MQTTConnection
    let discovery: HomeAssistantDiscovery?
    let store: Store
    let devices: @Sendable () async -> [MQTTDevice]
    let existing: @Sendable () async -> [MQTTDevice.Identity]?
    let wake: Doorbell
    let retained: RetainedState

    /// - Parameters:
    ///   - prefix: messages go to `<prefix>/<aggregator>/…`.
    ///   - discoveryPrefix: of Home Assistant; empty for none.
    ///   - devices: what is told of the box and what is behind it.
    ///   - existing: all devices that there are, also those that are not told of; nil when they cannot be read now.
    public init(
        configuration: MQTTConfiguration, prefix: String, aggregator: String, version: String, discoveryPrefix: String,
        store: Store, logger: Logger, devices: @escaping @Sendable () async -> [MQTTDevice],
        existing: @escaping @Sendable () async -> [MQTTDevice.Identity]?
    ) throws {
        boxTopic = "\(prefix)/\(aggregator)"
        self.store = store
        self.devices = devices
        self.existing = existing
        let discovery =
            discoveryPrefix.isEmpty
            ? nil
            : HomeAssistantDiscovery(
                aggregator: aggregator, version: version, discoveryPrefix: discoveryPrefix,
                availabilityTopic: configuration.availabilityTopic, boxTopic: boxTopic)
        let wake = Doorbell()
        let retained = RetainedState()
        self.discovery = discovery
        self.wake = wake
        self.retained = retained
        let homeAssistant = "\(discoveryPrefix)/status"
        var configuration = configuration
        if discovery != nil { configuration.subscriptions.append(homeAssistant) }
        connection = try MQTTConnection(
            configuration: configuration,
            onConnect: {
                retained.forget()
                wake.ring()
            },
            onMessage: { topic, payload in
                if topic == homeAssistant {
                    // Home Assistant has started: it wants to hear everything again.
                    guard payload == Array("online".utf8) else { return true }
                    retained.forget()
                    wake.ring()
                } else if !payload.isEmpty, retained.foundFormer(topic, isOwn: { discovery?.isOwn(payload) ?? false }) {
                    wake.ring()
                }
                return true
            },
            onWarning: { reason in
                logger.warning("The connection to the MQTT broker does not last", metadata: ["reason": "\(reason)"])
            })
    }

    /// While another client ends the connections, one is used only when it lasts.
    public func pauseReason() -> String? { connection.isTakenOver ? connection.warning : nil }

    public func warning() -> String? { connection.warning }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        if let failure = connection.failure { return SinkReport(farEnd: failure.farEnd) }
        var report = SinkReport()
        // The broker's rules deny a topic: an alarm, and nothing is dropped. Other topics may be allowed.
        var denied: [DeliveryKind: String] = [:]
        do {
            for delivery in deliveries where denied[delivery.kind] == nil {
                let (messages, newest) = try await messages(delivery)
                let (sent, failure) = await publish(messages)
                report.bytes += messages[..<sent].reduce(0) { $0 + Int64($1.payload.count) }
                guard let failure else {
                    report.outcomes[delivery.id] = .done
                    if let newest, retained.noteDetection(newest) { wake.ring() }
                    continue
                }
                if sent > 0 { report.outcomes[delivery.id] = .sent(throughID: messages[sent - 1].lastID) }
                switch failure {
                case .denied(let reason): denied[delivery.kind] = "\(messages[sent].topic): \(reason)"
                case .notConnected, .unauthorised:
                    report.farEnd = failure.farEnd
                    return report
                }
            }
            if !denied.isEmpty {
                report.farEnd = .unauthorised(reason: denied.values.sorted().joined(separator: "; "))
                report.scope = .kinds
            }
        } catch {
            report.farEnd = .unavailable(reason: "the store cannot be read: \(error)", retryAfterSeconds: nil)
        }
        return report
    }

    private struct Message: Sendable {
        let topic: String
        let payload: [UInt8]
        /// The last of the facts that it tells.
        let lastID: Int64
    }

    /// Messages of one delivery that wait for the broker's word at a time.
    private static let mostInFlight = 32

    /// Sends messages, some at a time; returns how many of them, from the first, the broker has.
    private func publish(_ messages: [Message]) async -> (sent: Int, failure: MQTTConnection.Failure?) {
        for start in stride(from: 0, to: messages.count, by: Self.mostInFlight) {
            let window = start..<min(messages.count, start + Self.mostInFlight)
            let failures = await withTaskGroup(of: (Int, MQTTConnection.Failure)?.self) { group in
                for place in window {
                    group.addTask {
                        do throws(MQTTConnection.Failure) {
                            try await connection.publish(messages[place].topic, messages[place].payload)
                            return nil
                        } catch {
                            return (place, error)
                        }
                    }
                }
                return await group.reduce(into: [Int: MQTTConnection.Failure]()) { all, one in
                    if let one { all[one.0] = one.1 }
                }
            }
            if let first = failures.keys.min() { return (first, failures[first]) }
        }
        return (messages.count, nil)
    }

    /// The messages, and the newest of the detections among them.
    private func messages(
        _ delivery: DeliveryRecord
    ) async throws(StoreError) -> (messages: [Message], newest: RetainedState.Detection?) {
        switch delivery.kind {
        case .detections:
            let messages = try await store.detectionFacts(of: [delivery]).map { fact in
                Message(
                    topic: "\(boxTopic)/detections", payload: MQTTMessages.detection(fact),
                    lastID: fact.detection.id ?? 0)
            }
            return (messages, messages.last.map { RetainedState.Detection(id: $0.lastID, payload: $0.payload) })
        case .observations:
            let messages = try await store.observationFacts(of: [delivery]).byMoment.map { together in
                Message(
                    topic: "\(boxTopic)/observations", payload: MQTTMessages.observations(together),
                    lastID: together.last?.id ?? 0)
            }
            return (messages, nil)
        case .coverage, .analysis, .upload, .metrics, .catalogue, .field, .fieldRemoval, .recording: return ([], nil)
        }
    }
}

extension MQTTConnection.Failure {
    fileprivate var farEnd: SinkReport.FarEnd {
        switch self {
        case .notConnected(let reason): .unavailable(reason: reason, retryAfterSeconds: nil)
        case .unauthorised(let reason), .denied(let reason): .unauthorised(reason: reason)
        }
    }
}
