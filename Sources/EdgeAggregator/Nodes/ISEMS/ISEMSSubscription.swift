import FieldNodes
import Logging
import Store
import Uplink

/// Listens to the broker to which ISEMS nodes publish. A message is acknowledged when its readings are synced: what comes
/// while the box is down, the broker keeps.
enum ISEMSSubscription {
    static func configuration(_ broker: ISEMSSettings.Broker) -> MQTTConfiguration {
        var configuration = MQTTConfiguration(host: broker.host, clientID: broker.clientID)
        configuration.port = broker.port
        configuration.user = broker.user
        configuration.password = broker.password
        configuration.isTLS = broker.isTLS
        configuration.certificateFile = broker.certificateFile
        configuration.subscriptions = broker.topics
        // As the former collector spoke.
        configuration.isOldProtocol = true
        return configuration
    }

    static func make(_ broker: ISEMSSettings.Broker, intake: ISEMSIntake) throws -> MQTTSubscriber {
        try MQTTSubscriber(configuration: configuration(broker), logger: intake.house.logger) { topic, payload in
            // Under a broad subscription others' messages come too.
            guard let place = ISEMSTopic(topic) else { return true }
            let from = "mqtt \(broker.host)"
            var contact = NodeContact(
                .isems, place.nodeID, from: from, what: place.form == .csv ? "mqtt csvlog" : "mqtt data.json")
            contact.bytes = Int64(payload.count)
            let result =
                place.form == .csv
                ? intake.lines(payload, expected: place.nodeID, from: from)
                : intake.json(payload, node: place.nodeID, from: from)
            do {
                try intake.house.store.commitBlocking(result.changes)
                contact.end(readings: result.readings, rejected: result.rejected)
                contact.reason = result.firstReason ?? ""
                intake.house.contacts.note(contact)
                return true
            } catch {
                intake.house.logger.error(
                    "A message of an ISEMS node could not be kept; the broker sends it again",
                    metadata: ["topic": "\(topic.prefix(200))", "error": "\(error)"])
                return false
            }
        }
    }
}
