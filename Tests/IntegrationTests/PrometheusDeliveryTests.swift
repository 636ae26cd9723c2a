import EdgeTesting
import Foundation
import Testing

/// Deliveries to a real Prometheus, and its own tool's judgement of the page.
@Suite(.serialized) struct PrometheusDeliveryTests {
    @Test func tellsOfTheTimesWithoutALinkWithTheirOwnTimes() throws {
        let server = try PrometheusServer()
        let daemon = try DaemonProcess(settings: [
            "PROMETHEUS_URL": "http://127.0.0.1:\(server.port)/api/v1/write", "PROM_SCRAPE_INTERVAL": "1s",
            "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1",
            "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
        ])
        try daemon.start()
        // Nobody is there for some seconds.
        _ = try DeliverySupport.wait(daemon) { sink in
            let waiting = sink["waiting"] as? [[String: Any]] ?? []
            return waiting.contains { ($0["facts"] as? Int ?? 0) >= 4 } && sink["state"] as? String == "waiting"
        }
        try server.start()
        let sink = try DeliverySupport.wait(daemon) {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) >= 5
        }
        #expect(sink["facts_refused"] as? Int == 0)
        #expect(daemon.stop() == 0)
        let done = sink["facts_done"] as? Int ?? 0
        let counts = try server.query("count_over_time(edge_aggregator_ready{aggregator_uuid=\"box-1\"}[5m])")
        // Each moment is a sample of its own; one more may have gone before the end.
        #expect(counts.count == 1 && Int(counts[0].value) >= done && Int(counts[0].value) <= done + 2)
        // What the fleet's dashboard asks for, under the node exporter's names.
        for query in [
            "node_cpu_seconds_total{mode=\"idle\",aggregator_uuid=~\"box-.*\"}",
            "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
            "node_network_receive_bytes_total", "supervisor_process_state{program=\"receiver_http\"}",
            "upload_queue_length",
            "node_memory_MemTotal_bytes{job=\"edge_aggregator\",instance=\"box-1\"}",
        ] {
            // Asked at the time of the last sample, whatever has passed since.
            #expect(try !server.query("last_over_time((\(query))[5m:1s])").isEmpty, "\(query)")
        }
    }

    /// A server that knows 2.0, one that refuses it as the specification wants, and an older one that says nothing.
    @Test(arguments: ["2.0", "415", "silent"])
    func speaksTheVersionThatTheServerKnows(kind: String) throws {
        let server = try FarEnd("remote_write.py", [kind])
        let daemon = try DaemonProcess(settings: [
            "PROMETHEUS_URL": "http://127.0.0.1:\(server.port)/write", "PROM_SCRAPE_INTERVAL": "1s",
            "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "LOG_LEVEL": "critical",
        ])
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon) { ($0["facts_done"] as? Int ?? 0) >= 3 }
        #expect(sink["facts_refused"] as? Int == 0)
        #expect(daemon.stop() == 0)
        let done = sink["facts_done"] as? Int ?? 0
        let text = try server.ask("GET", "/samples")
        let series = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]] ?? []
        let ready = try #require(
            series.first { ($0["labels"] as? [String: String])?["__name__"] == "edge_aggregator_ready" })
        #expect((ready["labels"] as? [String: String])?["aggregator_uuid"] == "box-1")
        let count = (ready["samples"] as? [[Double]] ?? []).count
        #expect(count >= done && count <= done + 2)
        let idle = series.filter {
            let labels = $0["labels"] as? [String: String]
            return labels?["__name__"] == "node_cpu_seconds_total" && labels?["mode"] == "idle"
        }
        #expect(!idle.isEmpty)
        let body = try server.ask("GET", "/log")
        let log = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [[String: Any]] ?? []
        let versions = log.compactMap { $0["version"] as? String }
        // 2.0 is tried once where it is not known.
        #expect(versions.first == "2.0.0")
        #expect(versions.dropFirst().allSatisfy { $0 == (kind == "2.0" ? "2.0.0" : "0.1.0") }, "\(versions)")
    }

    @Test func hasAPageThatPrometheusOwnToolCanRead() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let result = try PrometheusServer.check(daemon.get("/metrics").body)
        // 1 is a page that cannot be read; 3 is a matter of taste, which the former system's names are.
        #expect(result.code == 0 || result.code == 3, "\(result.text)")
        let ours = result.text.split(separator: "\n").filter { $0.hasPrefix("edge_aggregator_") }
        #expect(ours.isEmpty, "\(ours)")
        #expect(daemon.stop() == 0)
    }
}
