import EdgeTesting
import Foundation
import Store
import Testing

/// Deliveries to InfluxDB: a double with its documented rules before a real parser and store.
@Suite(.serialized) struct InfluxDeliveryTests {
    private static let kills = Int(ProcessInfo.processInfo.environment["EDGE_KILLS"] ?? "") ?? 8
    private static let plan = DeliveryPlan(sinks: [
        .detections: ["influx"], .coverage: ["influx"], .analysis: ["influx"],
    ])

    private func settings(_ influx: FarEnd, _ more: [String: String] = [:]) -> [String: String] {
        [
            "INFLUX_URL": "http://127.0.0.1:\(influx.port)", "INFLUX_TOKEN": "secret", "CLOCK_WAIT_SEC": "0",
            "DELIVERY_RETRY_FIRST_SEC": "0.1", "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
        ].merging(more) { $1 }
    }

    @Test func deliversWhatWasHeardAndNothingElse() throws {
        let influx = try FarEnd.influx(token: "secret")
        let daemon = try DaemonProcess(
            settings: settings(
                influx,
                [
                    "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(),
                    "AGGREGATOR_UUID": "box 1",
                    "PRIVACY_THRESHOLD": "1",
                ]))
        try daemon.start()
        let data = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try TestFolders.birds())))
        // The same birds on two listeners, one with a gap in it.
        for listener in ["a", "b"] {
            let stream = try daemon.stream(listener)
            for (number, start) in stride(from: 0, to: data.count, by: 32_768).enumerated() {
                if listener == "b", number == 5 { continue }
                let page = Array(data[start..<min(start + 32_768, data.count)])
                try stream.send(WireMaker.chunk(WireMaker.frame(number, page)))
            }
            try stream.send(WireMaker.lastChunk)
            #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        }
        _ = try DeliverySupport.wait(daemon) { DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) >= 8 }
        let heard = try daemon.json("/api/v1/detections?limit=1000")["detections"] as? [[String: Any]] ?? []
        #expect(heard.count >= 6)
        let points = try DeliverySupport.points(influx, table: "detections")
        func identity(_ listener: Any?, _ species: Any?, _ confidence: Any?, _ recording: Any?) -> String {
            "\(listener ?? "")|\(species ?? "")|\(confidence ?? "")|\(recording ?? "")"
        }
        #expect(
            Set(points.map { identity($0["listener_id"], $0["species"], $0["confidence"], $0["recording"]) })
                == Set(heard.map { identity($0["listener"], $0["scientific_name"], $0["confidence"], $0["recording"]) })
        )
        #expect(points.count == heard.count)
        #expect(points.allSatisfy { $0["aggregator_uuid"] as? String == "box 1" })
        // One point a recording in the former system's table, with its detections as JSON.
        let analyses = try DeliverySupport.points(influx, table: "analysis")
        #expect(analyses.count == 2)
        for analysis in analyses {
            let text = analysis["detections"] as? String ?? ""
            let array = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]] ?? []
            let own = heard.filter { $0["recording"] as? String == analysis["filename"] as? String }
            #expect(
                Set(array.compactMap { $0["scientific_name"] as? String })
                    == Set(own.compactMap { $0["scientific_name"] as? String }))
        }
        let coverage = try DeliverySupport.points(influx, table: "coverage")
        #expect(coverage.contains { $0["kind"] as? String == "filled" && $0["listener_id"] as? String == "b" })
        #expect(daemon.stop() == 0)
    }

    @Test func waitsOutAFarEndThatIsIllAndSaysWhy() throws {
        let influx = try FarEnd.influx(token: "secret")
        let daemon = try DaemonProcess(settings: settings(influx))
        try DeliverySupport.seed(folder: daemon.folder, detections: 70, plan: Self.plan)
        for fault in [
            #"{"status":503,"count":2,"headers":{"Retry-After":"1"}}"#, #"{"status":500,"count":1}"#,
            #"{"status":200,"count":1,"body":"<html>Log in to the ship's network</html>"}"#,
            #"{"status":413,"count":1}"#,
            #"{"drop":1}"#, #"{"cut":1}"#, #"{"status":404,"count":1,"body":"not found"}"#,
        ] {
            _ = try influx.ask("POST", "/fault", body: fault)
        }
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon) {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) == 80
        }
        #expect(sink["facts_refused"] as? Int == 0 && sink["facts_given_up"] as? Int == 0)
        #expect(try DeliverySupport.points(influx, table: "detections").count == 70)
        #expect(try DeliverySupport.points(influx, table: "analysis").count == 10)
        #expect(daemon.stop() == 0)
    }

    @Test(arguments: ["wrong token", "dead address", "unknown name", "v2"])
    func tellsWhatIsWrongAndLosesNothing(what: String) throws {
        let influx = try FarEnd.influx(token: "secret")
        let wrong: [String: String] =
            switch what {
            case "wrong token": ["INFLUX_TOKEN": "nope"]
            case "dead address": ["INFLUX_URL": "http://127.0.0.1:9"]
            case "unknown name": ["INFLUX_URL": "http://nowhere.invalid:8181"]
            default: ["INFLUX_API": "v2"]
            }
        let daemon = try DaemonProcess(settings: settings(influx, wrong))
        try DeliverySupport.seed(folder: daemon.folder, detections: 14, plan: Self.plan)
        try daemon.start()
        if what != "v2" {
            let sink = try DeliverySupport.wait(daemon) { ($0["failures"] as? Int ?? 0) > 0 }
            let reason = sink["reason"] as? String ?? ""
            switch what {
            case "wrong token":
                #expect(sink["state"] as? String == "unauthorised" && reason.contains("401"))
            case "dead address":
                #expect(sink["state"] as? String == "waiting" && reason.contains("127.0.0.1"))
            default:
                #expect(sink["state"] as? String == "waiting" && reason.contains("nowhere.invalid"))
            }
            #expect(!DeliverySupport.isEmpty(sink))
            #expect(daemon.stop() == 0)
            // The operator mends the settings.
            let mended = try DaemonProcess(folder: daemon.folder, settings: settings(influx))
            try mended.start()
            _ = try DeliverySupport.wait(mended) {
                DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) == 16
            }
            #expect(mended.stop() == 0)
        } else {
            _ = try DeliverySupport.wait(daemon) {
                DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) == 16
            }
            #expect(try influx.ask("GET", "/log").contains("/api/v2/write?org=&bucket=recordings&precision=ns"))
            #expect(daemon.stop() == 0)
        }
        #expect(try DeliverySupport.points(influx, table: "detections").count == 14)
    }

    @Test func setsAsideWhatIsRefusedAndSendsItAgainWhenTold() throws {
        let influx = try FarEnd.influx(token: "secret")
        // Somebody wrote text where a number belongs: the far end refuses our `analysis` points by type.
        let head =
            "POST /api/v3/write_lp?db=recordings&precision=nanosecond HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer secret\r\n"
        let line =
            "analysis,aggregator_uuid=a,duration_sec=1,filename=f,listener_id=l,recorded_timestamp=r analyzed_timestamp=1.0,detections=1.0 1795224464000000001"
        let connection = try RawConnection(port: influx.port)
        try connection.send("\(head)Content-Length: \(line.utf8.count)\r\n\r\n\(line)")
        #expect(try connection.answer().hasPrefix("HTTP/1.1 204"))
        let daemon = try DaemonProcess(settings: settings(influx))
        try DeliverySupport.seed(folder: daemon.folder, detections: 21, plan: Self.plan)
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon) {
            ($0["facts_done"] as? Int ?? 0) == 21 && ($0["facts_refused"] as? Int ?? 0) == 3
        }
        #expect(sink["state"] as? String == "flowing")
        #expect(try DeliverySupport.points(influx, table: "detections").count == 21)
        let refused = try daemon.json("/api/v1/deliveries?state=refused")["deliveries"] as? [[String: Any]] ?? []
        #expect(refused.count == 3)
        #expect(
            refused.allSatisfy {
                ($0["error"] as? String)?.contains("type") ?? false && $0["kind"] as? String == "analysis"
            })
        // The table is dropped, and all is sent again.
        _ = try influx.ask("GET", "/query?db=recordings&q=DROP%20MEASUREMENT%20analysis")
        let again = try DaemonProcess.request("POST", "/api/v1/deliveries/requeue?sink=influx", port: daemon.port)
        #expect(again.status == 200 && again.body == #"{"requeued":3}"#)
        let after = try DeliverySupport.wait(daemon) {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) == 24
        }
        #expect(after["facts_refused"] as? Int == 0)
        #expect(try DeliverySupport.points(influx, table: "analysis").count == 3)
        #expect(daemon.stop() == 0)
    }

    @Test func holdsExactlyTheSetAfterKillsOfTheDaemonAndTheServer() throws {
        var random = SeededGenerator()
        let influx = try FarEnd.influx(token: "secret")
        let daemon = try DaemonProcess(settings: settings(influx))
        let count = 2100
        try DeliverySupport.seed(folder: daemon.folder, detections: count, plan: Self.plan)
        for kill in 0..<Self.kills {
            // New facts for each life, and a far end that stores and then falls silent.
            try DeliverySupport.seed(folder: daemon.folder, detections: 350, plan: Self.plan, listener: "k\(kill)")
            _ = try influx.ask("POST", "/fault", body: #"{"drop":1}"#)
            try daemon.start()
            usleep(UInt32.random(in: 0...400_000, using: &random))
            _ = try influx.ask("POST", "/kill")
            usleep(UInt32.random(in: 0...200_000, using: &random))
            daemon.killNow()
        }
        try daemon.start()
        let detections = count + 350 * Self.kills
        let analyses = count / 7 + 50 * Self.kills
        let sink = try DeliverySupport.wait(daemon) {
            DeliverySupport.isEmpty($0) && ($0["facts_done"] as? Int ?? 0) > 0
        }
        // The ledger's sum is what was made, once each, however often it was sent.
        #expect(sink["facts_done"] as? Int == detections + analyses)
        let points = try DeliverySupport.points(influx, table: "detections", fields: "confidence,listener_id")
        #expect(points.count == detections)
        #expect(Set(points.map { "\($0["listener_id"] ?? "")|\($0["time"] ?? "")" }).count == detections)
        #expect(try DeliverySupport.points(influx, table: "analysis", fields: "analyzed_timestamp").count == analyses)
        #expect(daemon.stop() == 0)
    }
}
