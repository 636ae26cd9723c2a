import EdgeTesting
import Foundation
import Testing

/// The central server's files: what they ask for must be what the boxes tell.
@Suite struct DeployTests {
    private static let rules = "\(TestFolders.root)/deploy/prometheus/rules.yml"
    private static let dashboard = "\(TestFolders.root)/deploy/grafana/dashboards/fleet.json"

    @Test func namesOnlyMetricsThatThePageHas() throws {
        let daemon = try DaemonProcess(settings: [
            "INFLUX_URL": "http://127.0.0.1:9", "CLOCK_WAIT_SEC": "0", "LOG_LEVEL": "critical",
        ])
        try daemon.start()
        let page = try daemon.get("/metrics").body
        #expect(daemon.stop() == 0)
        let families = Set(
            page.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] })
        let text = try [Self.rules, Self.dashboard].map { try String(contentsOfFile: $0, encoding: .utf8) }.joined()
        let named = Set(
            text.matches(
                of:
                    /\b(?:edge_aggregator|node|supervisor_process|analyze|upload|publish_analysis|publish_upload)_[a-z0-9A-Z_]+/
            ).map { $0.output })
        #expect(named.count > 30)
        for name in named where name != "upload_window" {
            let base =
                ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) }.map { name.dropLast($0.count) } ?? name
            #expect(families.contains(base) || families.contains(name), "\(name) is not on the page")
        }
    }

    @Test func hasRulesThatPrometheusTakes() throws {
        let result = try PrometheusServer.check(rules: Self.rules)
        #expect(result.code == 0, "\(result.text)")
    }

    /// Every query of the dashboard, with its variables filled in, is understood by a real Prometheus.
    @Test func hasPanelsWhoseQueriesPrometheusUnderstands() throws {
        let server = try PrometheusServer()
        try server.start()
        let data = try Data(contentsOf: URL(fileURLWithPath: Self.dashboard))
        let dashboard = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
        let panels = dashboard["panels"] as? [[String: Any]] ?? []
        var count = 0
        for panel in panels {
            for target in panel["targets"] as? [[String: Any]] ?? [] {
                let source = (target["datasource"] as? [String: Any])?["uid"] as? String
                #expect(source == "edge-prometheus" || source == "edge-influxdb")
                guard let expression = target["expr"] as? String else { continue }
                count += 1
                let filled = expression.replacing("$aggregator", with: ".*").replacing("$core", with: ".*")
                    .replacing("$listener_interval", with: "20")
                // An empty answer is an answer; what cannot be parsed throws.
                _ = try server.query(filled)
            }
        }
        #expect(count >= 20)
    }
}
