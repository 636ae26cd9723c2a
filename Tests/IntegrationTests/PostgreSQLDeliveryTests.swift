import EdgeTesting
import Foundation
import Store
import Testing

/// Deliveries to a real PostgreSQL.
@Suite(.serialized) struct PostgreSQLDeliveryTests {
    private static let kills = min(40, Int(ProcessInfo.processInfo.environment["EDGE_KILLS"] ?? "") ?? 4)
    private static let plan = DeliveryPlan(
        sinks: [.detections: ["postgres"], .coverage: ["postgres"], .analysis: ["postgres"]])

    private func settings(_ url: String) -> [String: String] {
        [
            "DATABASE_URL": url, "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1",
            "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
        ]
    }

    @Test func holdsExactlyTheSetAfterKillsOfTheDaemonAndTheServer() throws {
        var random = SeededGenerator()
        let server = try PostgreSQLServer(user: "edge", password: "secret", database: "field")
        let daemon = try DaemonProcess(settings: settings(server.url()))
        try DeliverySupport.seed(folder: daemon.folder, detections: 2100, plan: Self.plan)
        for kill in 0..<Self.kills {
            try DeliverySupport.seed(folder: daemon.folder, detections: 350, plan: Self.plan, listener: "k\(kill)")
            try daemon.start()
            usleep(UInt32.random(in: 0...300_000, using: &random))
            server.stop()
            usleep(UInt32.random(in: 0...100_000, using: &random))
            daemon.killNow()
            try server.start()
        }
        try daemon.start()
        let detections = 2100 + 350 * Self.kills
        let recordings = detections / 7
        let sink = try DeliverySupport.wait(daemon) {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) > 0
        }
        #expect(sink["facts_done"] as? Int == detections + recordings)
        #expect(
            try server.query("SELECT count(*), count(DISTINCT (listener_id, start_ns)) FROM edge_detections")
                == "\(detections)|\(detections)")
        #expect(try server.query("SELECT count(*), sum(windows) FROM edge_recordings") == "\(recordings)|\(detections)")
        #expect(
            try server.query(
                "SELECT scientific_name, extract(epoch from end_at - start_at)::int, extract(epoch from start_at)::bigint * 1000000000 = start_ns FROM edge_detections WHERE recording = 'seeded_0.wav' AND offset_seconds = 3"
            ) == "Parus major|3|t")
        #expect(daemon.stop() == 0)
    }

    @Test func setsAsideTheRowsThatTheServerRefusesAndTakesTheRest() throws {
        let server = try PostgreSQLServer(user: "edge", password: "secret", database: "field")
        let daemon = try DaemonProcess(settings: settings(server.url()))
        try daemon.start()
        try DeliverySupport.seed(folder: daemon.folder, detections: 7, plan: Self.plan)
        #expect(daemon.stop() == 0)
        try daemon.start()
        _ = try DeliverySupport.wait(daemon) { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 8 }
        #expect(daemon.stop() == 0)
        // Somebody believes nothing beyond 0.9.
        _ = try server.query("ALTER TABLE edge_detections ADD CHECK (confidence < 0.9)")
        try DeliverySupport.seed(folder: daemon.folder, detections: 700, plan: Self.plan, listener: "more")
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon) {
            ($0["facts_refused"] as? Int ?? 0) > 0 && $0["state"] as? String == "flowing"
        }
        // Of 0.25 + n / 1000, n from 0 to 699, fifty are not below 0.9.
        #expect(sink["facts_refused"] as? Int == 50 && sink["facts_done"] as? Int == 8 + 650 + 100)
        #expect(try server.query("SELECT count(*) FROM edge_detections") == "657")
        let refused =
            try daemon.json("/api/v1/deliveries?state=refused&limit=1")["deliveries"] as? [[String: Any]] ?? []
        let reason = refused.first?["error"] as? String
        #expect(reason?.contains("23514") == true)
        #expect(daemon.stop() == 0)
    }

    @Test func tellsThatItIsNotLetInAndLosesNothing() throws {
        let server = try PostgreSQLServer(user: "edge", password: "secret", database: "field")
        let daemon = try DaemonProcess(settings: settings(server.url(password: "nonsense")))
        try DeliverySupport.seed(folder: daemon.folder, detections: 7, plan: Self.plan)
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon) { $0["state"] as? String == "unauthorised" }
        #expect((sink["reason"] as? String ?? "").contains("password authentication failed"))
        #expect(!(sink["reason"] as? String ?? "").contains("nonsense"))
        #expect(!DeliverySupport.isEmpty(sink))
        #expect(daemon.stop() == 0)
    }
}
