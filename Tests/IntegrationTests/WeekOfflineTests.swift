import EdgeTesting
import Foundation
import Store
import Testing

/// Thirty listeners without a link for a while, then the link is back. (`make test-faults` takes a day; `make bench` a week,
/// with memory and rates.)
@Suite(.serialized) struct WeekOfflineTests {
    private static let windows = (ProcessInfo.processInfo.environment["EDGE_KILLS"] ?? "").isEmpty ? 140 : 4200

    @Test func everythingArrivesOnceAndTheImportantFirst() throws {
        let influx = try FarEnd.influx(token: "secret")
        let daemon = try DaemonProcess(settings: [
            "INFLUX_URL": "http://127.0.0.1:\(influx.port)", "INFLUX_TOKEN": "secret", "CLOCK_WAIT_SEC": "0",
            "DELIVERY_RETRY_FIRST_SEC": "0.1", "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
        ])
        let plan = DeliveryPlan(sinks: [
            .detections: ["influx"], .coverage: ["influx"], .observations: ["influx"], .analysis: ["influx"],
        ])
        let listeners = (0..<30).map { "l\($0)" }
        for listener in listeners {
            try DeliverySupport.seed(folder: daemon.folder, detections: Self.windows, plan: plan, listener: listener)
        }
        try DeliverySupport.seedRest(folder: daemon.folder, count: Self.windows, plan: plan)
        let rows = Self.windows * 30
        // Nobody answers at first.
        _ = try influx.ask("POST", "/fault", body: #"{"status":503,"count":3}"#)
        try daemon.start()
        let facts = rows + rows / 7 + 2 * Self.windows
        let sink = try DeliverySupport.wait(daemon, seconds: 600) {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) > 0
        }
        #expect(sink["facts_done"] as? Int == facts && sink["facts_refused"] as? Int == 0)
        #expect(daemon.stop() == 0)
        for (table, count) in [
            ("detections", rows), ("analysis", rows / 7), ("coverage", Self.windows), ("observations", Self.windows),
        ] {
            let points = try DeliverySupport.points(influx, table: table, fields: "count(*)")
            let counts = (points.first ?? [:]).filter { $0.key != "time" }.compactMap { $0.value as? Int }
            #expect(counts.max() == count, "\(table): \(points)")
        }
        // Requests that were stored, in their order: the first of each class comes after the last of the one before, but
        // for those that were on their way together.
        let body = try influx.ask("GET", "/log")
        let log = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [[String: Any]] ?? []
        let stored = log.filter { $0["status"] as? Int == 204 }.map { $0["tables"] as? [String] ?? [] }
        let order = ["detections", "coverage", "observations", "analysis"]
        let together = 4
        for (before, after) in zip(order, order.dropFirst()) {
            let last = try #require(stored.lastIndex { $0.contains(before) })
            let first = try #require(stored.firstIndex { $0.contains(after) })
            #expect(first > last - together, "\(after) at \(first), \(before) up to \(last)")
        }
    }
}
