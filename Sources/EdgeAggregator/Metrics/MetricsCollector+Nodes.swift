import FieldNodes
import Store
import Uplink

/// Nodes of the field.
extension MetricsCollector {
    /// At most so many silent nodes are told by name.
    static let mostSilentNodes = 200

    func addNodes(_ page: inout MetricsPage) {
        let metrics = field.house.metrics
        let prefix = "edge_aggregator_node"
        page.family("\(prefix)s", "gauge", "Nodes that are known, by fleet and by what the operator says of them.")
        let counts = field.house.registry.counts
        for kind in NodeKind.allCases {
            let count = counts[kind] ?? (0, 0, 0)
            for (state, value) in [
                ("admitted", count.admitted), ("refused", count.refused), ("waiting", count.waiting),
            ] {
                page.sample("\(prefix)s", [("kind", kind.rawValue), ("state", state)], Double(value))
            }
        }
        page.family("\(prefix)_silent", "gauge", "1 for an admitted node that was not heard of for too long.")
        for node in field.resources.watch.silentNodes.prefix(Self.mostSilentNodes) {
            page.sample("\(prefix)_silent", [("kind", node.kind), ("node", node.name)], 1)
        }
        for (name, help, counter) in [
            ("messages_total", "Messages, pushes and uploads.", \NodeMetrics.OfKind.messages),
            ("readings_total", "Readings that were taken.", \.readings),
            ("rejected_total", "Lines and rows that could not be taken.", \.rejected),
            ("refused_total", "Messages of nodes that may not send, and uploads that were refused.", \.refused),
            ("received_bytes_total", "Bytes received.", \.bytes),
        ] {
            page.family("\(prefix)_\(name)", "counter", help)
            for kind in NodeKind.allCases {
                page.sample(
                    "\(prefix)_\(name)", [("kind", kind.rawValue)], Double(metrics[kind][keyPath: counter].total))
            }
        }
        page.single(
            "\(prefix)_files_waiting", "gauge", "Files of CO2 units that hold more than was read.",
            Double(field.co2.reader.waitingCount))
        page.single(
            "\(prefix)_files_replaced_total", "counter", "Files that CO2 units began anew.",
            Double(metrics.filesReplaced.total))
        page.single(
            "\(prefix)_uploads_waiting", "gauge", "Uploads of PiWardrive units that wait to be merged.",
            metrics.uploadsWaiting.value)
        page.single(
            "\(prefix)_uploads_merged_total", "counter", "Uploads merged whole.", Double(metrics.uploadsMerged.total))
        page.single(
            "\(prefix)_uploads_broken_total", "counter", "Uploads that were damaged, or no database.",
            Double(metrics.uploadsBroken.total))
        page.single(
            "\(prefix)_poll_failures_total", "counter", "Logs of ISEMS nodes that could not be fetched.",
            Double(metrics.pollFailures.total))
        if let subscriber = field.subscriber {
            page.single(
                "\(prefix)_broker_connected", "gauge", "1 if the ISEMS nodes' broker is heard.",
                subscriber.failure == nil ? 1 : 0)
        }
    }
}
