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
    public let limits = SinkLimits(deliveries: 50, facts: 200, concurrency: 16, kinds: [.detections, .observations])

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
                if payload == "online" { greet() }
            })
    }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        if let failure = connection.failure { return SinkReport(farEnd: failure.farEnd) }
        var report = SinkReport()
        do {
            for delivery in deliveries {
                for (topic, payload) in try await messages(delivery) {
                    do throws(MQTTConnection.Failure) {
                        try await connection.publish(topic, payload)
                        report.bytes += Int64(payload.count)
                    } catch {
                        guard case .denied(let reason) = error else {
                            report.farEnd = error.farEnd
                            return report
                        }
                        // The broker's rules deny the topic: an alarm, and nothing is dropped.
                        report.farEnd = .unauthorised(reason: "\(topic): \(reason)")
                        return report
                    }
                }
                report.outcomes[delivery.id] = .done
            }
        } catch {
            report.farEnd = .unavailable(reason: "the store cannot be read: \(error)", retryAfterSeconds: nil)
        }
        return report
    }

    private func messages(_ delivery: DeliveryRecord) async throws(StoreError) -> [(topic: String, payload: [UInt8])] {
        switch delivery.kind {
        case .detections:
            try await store.detectionFacts(of: [delivery]).map {
                ("\(boxTopic)/detections", MQTTMessages.detection($0))
            }
        case .observations:
            MQTTMessages.together(try await store.observationFacts(of: [delivery])).map {
                ("\(boxTopic)/observations", MQTTMessages.observations($0))
            }
        case .coverage, .analysis, .upload, .metrics, .recording: []
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
        await withCheckedContinuation { continuation in
            // It waits for the thread to end.
            DispatchQueue.global(qos: .utility).async {
                connection.stop()
                continuation.resume()
            }
        }
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
