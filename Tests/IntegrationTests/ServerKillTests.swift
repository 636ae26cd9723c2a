import EdgeTesting
import Foundation
import Store
import Testing

/// Servers that are killed, and the box with them, while a known set of things is on its way. (PostgreSQL and InfluxDB
/// have theirs in their own suites.)
@Suite(.serialized) struct ServerKillTests {
    private static let kills = (ProcessInfo.processInfo.environment["EDGE_KILLS"] ?? "").isEmpty ? 3 : 20

    private func settings(_ more: [String: String]) -> [String: String] {
        [
            "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1",
            "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical", "MIN_RECORDING_DURATION_SEC": "1",
        ].merging(more) { $1 }
    }

    @Test func s3HoldsExactlyTheFiles() throws {
        var random = SeededGenerator()
        let server = try FarEnd.s3("juicefs", accessKey: "key12345", secretKey: "secret12345", bucket: "field-data")
        let daemon = try DaemonProcess(
            settings: settings([
                "S3_ENDPOINT": "http://127.0.0.1:\(server.port)", "S3_BUCKET": "field-data",
                "S3_ACCESS_KEY": "key12345", "S3_SECRET_KEY": "secret12345", "S3_PART_BYTES": "5242880",
                "S3_MULTIPART_BYTES": "5242880", "MAX_RECORDING_DURATION_SEC": "600",
            ]))
        var files: [String: [UInt8]] = [:]
        for kill in 0..<Self.kills {
            try daemon.start()
            // A small file, and one that goes in parts.
            for (number, samples) in [60_000, 3_500_000].enumerated() {
                let sound = WireMaker.ramp(from: kill, samples: samples)
                let stream = try daemon.stream("m\(number)")
                let whole = WireMaker.wavHeader(dataBytes: sound.count) + sound
                for (page, start) in stride(from: 0, to: whole.count, by: 524_288).enumerated() {
                    let bytes = Array(whole[start..<min(start + 524_288, whole.count)])
                    try stream.send(WireMaker.chunk(WireMaker.frame(page, bytes)))
                }
                try stream.send(WireMaker.lastChunk)
                #expect(try DaemonProcess.parse(stream.answer()).status == 200)
            }
            usleep(UInt32.random(in: 0...400_000, using: &random))
            _ = try server.ask("POST", "/_test/kill")
            usleep(UInt32.random(in: 0...400_000, using: &random))
            daemon.killNow()
        }
        try daemon.start()
        _ = try DeliverySupport.wait(daemon, seconds: 180) {
            DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 2 * Self.kills
        }
        for recording in try daemon.recordings() {
            let name = recording["name"] as? String ?? ""
            let listener = recording["listener"] as? String ?? ""
            let path = "\(daemon.folder)/recordings/\(listener)/\(name)"
            files["box-1/\(listener)/\(name)"] = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        }
        #expect(files.count == 2 * Self.kills)
        let held = try DeliverySupport.objects(server, bucket: "field-data")
        #expect(Set(held) == Set(files.keys) && held.count == files.count)
        for (key, bytes) in files {
            #expect(try DeliverySupport.object(server, bucket: "field-data", key) == bytes, "\(key)")
        }
        #expect(daemon.stop() == 0)
    }

    @Test func anMQTTBrokersListenersHearEachOfThem() throws {
        var random = SeededGenerator()
        let broker = try Broker(user: "box", password: "secret")
        let daemon = try DaemonProcess(
            settings: settings([
                "MQTT_HOST": "127.0.0.1", "MQTT_PORT": "\(broker.port)", "MQTT_USER": "box",
                "MQTT_PASSWORD": "secret",
            ]))
        let plan = DeliveryPlan(sinks: [.detections: ["mqtt"]])
        for kill in 0..<Self.kills {
            try DeliverySupport.seed(folder: daemon.folder, detections: 700, plan: plan, listener: "k\(kill)")
            // The one who listens is there before the box: a broker without anybody to tell forgets what it was told.
            try broker.start()
            try daemon.start()
            usleep(UInt32.random(in: 0...300_000, using: &random))
            broker.stop()
            usleep(UInt32.random(in: 0...100_000, using: &random))
            daemon.killNow()
        }
        try broker.start()
        try daemon.start()
        let all = 700 * Self.kills
        let sink = try DeliverySupport.wait(daemon, seconds: 120) {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) > 0
        }
        #expect(sink["facts_done"] as? Int == all)
        usleep(500_000)
        let heard = try broker.heard().filter { $0.topic == "edge-aggregator/box-1/detections" }
        let ids = try heard.compactMap {
            (try JSONSerialization.jsonObject(with: Data($0.payload.utf8)) as? [String: Any])?["id"] as? String
        }
        // What is told twice has the same id.
        #expect(Set(ids).count == all)
        #expect(daemon.stop() == 0)
    }

    @Test func prometheusHasASampleForEachMoment() throws {
        var random = SeededGenerator()
        let server = try PrometheusServer()
        let daemon = try DaemonProcess(
            settings: settings([
                "PROMETHEUS_URL": "http://127.0.0.1:\(server.port)/api/v1/write", "PROM_SCRAPE_INTERVAL": "1s",
            ]))
        for _ in 0..<Self.kills {
            try server.start()
            try daemon.start()
            usleep(UInt32.random(in: 500_000...2_000_000, using: &random))
            server.stop()
            usleep(UInt32.random(in: 0...1_000_000, using: &random))
            daemon.killNow()
        }
        try server.start()
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon, seconds: 120) {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) >= Self.kills
        }
        #expect(sink["facts_refused"] as? Int == 0 && sink["facts_given_up"] as? Int == 0)
        let done = sink["facts_done"] as? Int ?? 0
        #expect(daemon.stop() == 0)
        let counts = try server.query("count_over_time(edge_aggregator_ready{aggregator_uuid=\"box-1\"}[15m])")
        // Each moment is a sample of its own; one or two more may have gone before the end.
        #expect(
            counts.count == 1 && Int(counts[0].value) >= done && Int(counts[0].value) <= done + 2, "\(counts) \(done)")
    }
}
