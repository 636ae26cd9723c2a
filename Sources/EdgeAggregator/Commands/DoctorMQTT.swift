import Foundation
import Uplink

/// The MQTT brokers of the settings: whether they can be reached, whether they have dropped messages, and what a running daemon
/// says of its connection.
struct DoctorMQTT {
    let settings: Settings

    func examine() async -> [Doctor.Finding] {
        var findings: [Doctor.Finding] = []
        if let mqtt = settings.deliveries.mqtt {
            findings.append(await broker(mqtt, "mqtt_host"))
            if let reason = await reasonOfDaemon() {
                findings.append(
                    Doctor.Finding(subject: "mqtt_host", verdict: .warn, text: "\(reason), says the running daemon"))
            }
        }
        if let nodes = settings.nodes.isems.broker {
            findings.append(await broker(ISEMSSubscription.configuration(nodes), "mqtt_server"))
        }
        return findings
    }

    private func broker(_ configuration: MQTTConfiguration, _ subject: String) async -> Doctor.Finding {
        let address = "\(configuration.host):\(configuration.port)"
        return switch await MQTTProbe.droppedMessages(configuration) {
        case .dropped(0):
            Doctor.Finding(subject: subject, verdict: .ok, text: "\(address) is reached, and has dropped no messages")
        case .dropped(let count):
            Doctor.Finding(
                subject: subject, verdict: .warn,
                text: "\(address) has dropped \(count) messages to its subscribers since it started, although it "
                    + "acknowledged them: raise max_queued_messages in mosquitto.conf, or see which subscriber is away")
        case .silent:
            Doctor.Finding(
                subject: subject, verdict: .ok,
                text: "\(address) is reached; whether it drops messages it does not tell this user "
                    + "(\(MQTTProbe.droppedTopic))")
        case .failed(let reason):
            Doctor.Finding(subject: subject, verdict: .warn, text: "\(address) cannot be reached: \(reason)")
        }
    }

    /// Why the running daemon delivers nothing to the broker; nil when it does, or when none runs.
    private func reasonOfDaemon() async -> String? {
        guard let address = settings.box.addresses.first else { return nil }
        struct Page: Decodable {
            struct Sink: Decodable {
                let name: String
                let reason: String?
            }
            let sinks: [Sink]
        }
        guard
            let body = try? await SmallHTTPClient.ask(
                "\(address.localURL())/api/v1/sinks", bearer: settings.box.apiToken),
            let page = try? DaemonOptions.decoder.decode(Page.self, from: Data(body.utf8))
        else { return nil }
        return page.sinks.first { $0.name == "mqtt" }?.reason
    }
}
