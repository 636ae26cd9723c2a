import Foundation
public import ServiceLifecycle
public import Store
import Synchronization

/// An MQTT broker: detections and observations as JSON messages, and the state of the box and what is behind it for Home
/// Assistant.
///
/// A delivery is done when the broker has acknowledged its messages (QoS 1). One that was repeated carries the same `id`.
public struct MQTTSink: Sink, Service {
    public let name = "mqtt"
    public let limits = SinkLimits(deliveries: 64, facts: 512, concurrency: 2, kinds: [.detections, .observations])

    private let boxTopic: String
    private let connection: MQTTConnection
    private let discovery: HomeAssistantDiscovery?
    private let store: Store
    private let devices: @Sendable () async -> [MQTTDevice]
    private let greetings: Doorbell
    private let told: Told

    /// What the broker keeps already, so that it is sent again only when it changes or is asked for.
    private final class Told: Sendable {
        private let payloads = Mutex<[String: [UInt8]]>([:])

        func forget() { payloads.withLock { $0 = [:] } }
        func isNew(_ topic: String, _ payload: [UInt8]) -> Bool { payloads.withLock { $0[topic] != payload } }
        func note(_ topic: String, _ payload: [UInt8]) { payloads.withLock { $0[topic] = payload } }
    }

    /// - Parameters:
    ///   - prefix: messages go to `<prefix>/<aggregator>/…`.
    ///   - discoveryPrefix: of Home Assistant; empty for none.
    ///   - devices: what is told of the box and what is behind it.
    public init(
        configuration: MQTTConfiguration, prefix: String, aggregator: String, version: String, discoveryPrefix: String,
        store: Store, devices: @escaping @Sendable () async -> [MQTTDevice]
    ) throws {
        boxTopic = "\(prefix)/\(aggregator)"
        self.store = store
        self.devices = devices
        discovery =
            discoveryPrefix.isEmpty
            ? nil
            : HomeAssistantDiscovery(
                aggregator: aggregator, version: version, discoveryPrefix: discoveryPrefix,
                availabilityTopic: configuration.availabilityTopic, boxTopic: boxTopic)
        let greetings = Doorbell()
        let told = Told()
        self.greetings = greetings
        self.told = told
        var configuration = configuration
        if !discoveryPrefix.isEmpty { configuration.subscriptions.append("\(discoveryPrefix)/status") }
        let greet: @Sendable () -> Void = {
            told.forget()
            greetings.ring()
        }
        connection = try MQTTConnection(
            configuration: configuration, onConnect: greet,
            onMessage: { _, payload in
                // Home Assistant has started: it wants to hear everything again.
                if payload == Array("online".utf8) { greet() }
                return true
            })
    }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        if let failure = connection.failure { return SinkReport(farEnd: failure.farEnd) }
        var report = SinkReport()
        do {
            for delivery in deliveries {
                let messages = try await messages(delivery)
                let (sent, failure) = await publish(messages)
                report.bytes += messages[..<sent].reduce(0) { $0 + Int64($1.payload.count) }
                guard let failure else {
                    report.outcomes[delivery.id] = .done
                    continue
                }
                if sent > 0 { report.outcomes[delivery.id] = .sent(throughID: messages[sent - 1].lastID) }
                switch failure {
                case .denied(let reason):
                    // The broker's rules deny the topic: an alarm, and nothing is dropped.
                    report.farEnd = .unauthorised(reason: "\(messages[sent].topic): \(reason)")
                case .notConnected, .unauthorised:
                    report.farEnd = failure.farEnd
                }
                return report
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

    private func messages(_ delivery: DeliveryRecord) async throws(StoreError) -> [Message] {
        switch delivery.kind {
        case .detections:
            try await store.detectionFacts(of: [delivery]).map { fact in
                Message(
                    topic: "\(boxTopic)/detections", payload: MQTTMessages.detection(fact),
                    lastID: fact.detection.id ?? 0)
            }
        case .observations:
            try await store.observationFacts(of: [delivery]).byMoment.map { together in
                Message(
                    topic: "\(boxTopic)/observations", payload: MQTTMessages.observations(together),
                    lastID: together.last?.id ?? 0)
            }
        case .coverage, .analysis, .upload, .metrics, .catalogue, .field, .fieldRemoval, .recording: []
        }
    }

    // MARK: - What is behind the box

    /// How often it is looked at when nothing asks for it.
    static let stateInterval: Duration = .seconds(30)
    /// More are left out.
    static let mostDevices = 500

    public func run() async throws {
        connection.start()
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                if connection.failure == nil { await tell() }
                await greetings.wait(atMost: Self.stateInterval)
            }
        }
        await connection.end()
    }

    private func tell() async {
        for device in await devices().prefix(Self.mostDevices) {
            if let discovery { await retain(discovery.topic(device), discovery.payload(device)) }
            await retain("\(boxTopic)/\(device.stateTopic)", device.state)
        }
    }

    private func retain(_ topic: String, _ payload: [UInt8]) async {
        guard told.isNew(topic, payload) else { return }
        do throws(MQTTConnection.Failure) {
            try await connection.publish(topic, payload, retain: true)
            told.note(topic, payload)
        } catch {
            // It is new the next time too.
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
