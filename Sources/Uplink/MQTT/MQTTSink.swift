import Foundation
public import ServiceLifecycle
public import Store
import Synchronization

/// An MQTT broker: each detection as a JSON message, and the box's state for Home Assistant.
///
/// A delivery is done when the broker has acknowledged its messages (QoS 1). One that was repeated carries the same `id`.
public struct MQTTSink: Sink, Service {
    public let name = "mqtt"
    public let limits = SinkLimits(deliveries: 50, facts: 200, concurrency: 16, kinds: [.detections])

    private let prefix: String
    private let connection: MQTTConnection
    private let discovery: HomeAssistantDiscovery?
    private let store: Store
    private let state: @Sendable () async -> [(name: String, json: String)]
    private let greetings: Doorbell

    /// - Parameters:
    ///   - prefix: messages go to `<prefix>/<aggregator>/…`.
    ///   - discoveryPrefix: of Home Assistant; empty for none.
    ///   - state: what is told of the box, as JSON values by name.
    public init(
        configuration: MQTTConfiguration, prefix: String, aggregator: String, version: String, discoveryPrefix: String,
        store: Store, state: @escaping @Sendable () async -> [(name: String, json: String)]
    ) throws {
        self.prefix = "\(prefix)/\(aggregator)"
        self.store = store
        self.state = state
        discovery =
            discoveryPrefix.isEmpty
            ? nil
            : HomeAssistantDiscovery(
                aggregator: aggregator, version: version, discoveryPrefix: discoveryPrefix,
                availabilityTopic: configuration.availabilityTopic, stateTopic: "\(self.prefix)/state",
                detectionTopic: "\(self.prefix)/detections")
        let greetings = Doorbell()
        self.greetings = greetings
        var configuration = configuration
        if !discoveryPrefix.isEmpty { configuration.subscriptions.append("\(discoveryPrefix)/status") }
        connection = try MQTTConnection(
            configuration: configuration, onConnect: { greetings.ring() },
            onMessage: { _, payload in
                // Home Assistant has started: it wants to hear everything again.
                if payload == "online" { greetings.ring() }
            })
    }

    public func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport {
        if let failure = connection.failure { return SinkReport(farEnd: failure.farEnd) }
        var report = SinkReport()
        do {
            for delivery in deliveries {
                let facts = try await store.detectionFacts(of: [delivery])
                for fact in facts {
                    let payload = Self.payload(fact)
                    do throws(MQTTConnection.Failure) {
                        try await connection.publish("\(prefix)/detections", payload)
                        report.bytes += Int64(payload.count)
                    } catch {
                        guard case .denied(let reason) = error else {
                            report.farEnd = error.farEnd
                            return report
                        }
                        // The broker's rules deny the topic: an alarm, and nothing is dropped.
                        report.farEnd = .unauthorised(reason: "\(prefix)/detections: \(reason)")
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

    private static func payload(_ fact: DetectionFact) -> [UInt8] {
        let detection = fact.detection
        let start = UTCText.microseconds(detection.startNanoseconds)
        var json = JSONText()
        json.add("id", "\(detection.listenerID)|\(start)|\(detection.scientificName)|\(fact.modelSHA256.prefix(8))")
        json.add("listener", detection.listenerID)
        json.add("start", start)
        json.add("end", UTCText.microseconds(detection.endNanoseconds))
        json.add("scientific_name", detection.scientificName)
        json.add("common_name", detection.commonName)
        json.add("confidence", detection.confidence)
        json.add("recording", detection.recordingName)
        json.add("offset_seconds", detection.offsetSeconds)
        json.add("model", fact.model)
        json.add("time_quality", detection.timeQuality)
        return json.bytes
    }

    // MARK: - The box's state

    /// How often the state is told when nothing asks for it.
    static let stateInterval: Duration = .seconds(30)

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
        if let discovery { try? await connection.publish(discovery.topic, discovery.payload, retain: true) }
        var json = JSONText()
        for (name, value) in await state() { json.addRaw(name, value) }
        try? await connection.publish("\(prefix)/state", json.bytes, retain: true)
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
