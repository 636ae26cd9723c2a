import EdgeTesting
import Foundation
import Store
import Testing

/// What lies between the box and a far end: TLS, HTTP/2, IPv6, proxies, names, links that are half open, and a clock that
/// is wrong.
@Suite(.serialized) struct LinkFaultTests {
    private static let plan = DeliveryPlan(sinks: [.detections: ["influx"]])

    private func settings(_ url: String, _ more: [String: String] = [:]) -> [String: String] {
        [
            "INFLUX_URL": url, "INFLUX_TOKEN": "secret", "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1",
            "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
        ].merging(more) { $1 }
    }

    private func delivered(_ daemon: DaemonProcess, _ influx: FarEnd, _ count: Int) throws {
        _ = try DeliverySupport.wait(daemon) { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == count }
        #expect(try DeliverySupport.points(influx, table: "detections").count == count)
        #expect(daemon.stop() == 0)
    }

    @Test func speaksHTTP2OverTLSThatItHasVerified() throws {
        let influx = try FarEnd.influx(token: "secret")
        let front = try Front(.tls, before: influx.port)
        let url = "https://localhost:\(front.port)"
        // Nobody has said that this authority is to be trusted.
        let wary = try DaemonProcess(settings: settings(url))
        try DeliverySupport.seed(folder: wary.folder, detections: 70, plan: Self.plan)
        try wary.start()
        let sink = try DeliverySupport.wait(wary) { ($0["failures"] as? Int ?? 0) > 0 }
        #expect((sink["reason"] as? String ?? "").contains("certificate") && !DeliverySupport.isEmpty(sink))
        #expect(wary.stop() == 0)
        #expect(!front.log.contains("POST"))
        let daemon = try DaemonProcess(
            folder: wary.folder, settings: settings(url, ["INFLUX_CA_FILE": front.certificateFile]))
        try daemon.start()
        try delivered(daemon, influx, 70)
        #expect(front.log.contains("h2 POST 204"), "\(front.log)")
    }

    @Test func tellsThatACertificateHasExpired() throws {
        let influx = try FarEnd.influx(token: "secret")
        let front = try Front(.expired, before: influx.port)
        let more = ["INFLUX_CA_FILE": front.certificateFile]
        let daemon = try DaemonProcess(settings: settings("https://localhost:\(front.port)", more))
        try DeliverySupport.seed(folder: daemon.folder, detections: 7, plan: Self.plan)
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon) { ($0["failures"] as? Int ?? 0) > 1 }
        #expect((sink["reason"] as? String ?? "").contains("expired") && sink["state"] as? String == "waiting")
        #expect(try daemon.get("/metrics").body.contains(#"edge_aggregator_sink_up{sink="influx"} 0"#))
        #expect(daemon.stop() == 0)
        let mended = try DaemonProcess(folder: daemon.folder, settings: settings("http://127.0.0.1:\(influx.port)"))
        try mended.start()
        try delivered(mended, influx, 7)
    }

    @Test func reachesAFarEndByIPv6() throws {
        let influx = try FarEnd.influx(token: "secret")
        let front = try Front(.ipv6, before: influx.port)
        let daemon = try DaemonProcess(settings: settings("http://[::1]:\(front.port)"))
        try DeliverySupport.seed(folder: daemon.folder, detections: 7, plan: Self.plan)
        try daemon.start()
        try delivered(daemon, influx, 7)
    }

    @Test func goesThroughAProxyAndSaysWhenItIsGone() throws {
        let influx = try FarEnd.influx(token: "secret")
        let proxy = try Front(.proxy, before: influx.port)
        let url = "http://127.0.0.1:\(influx.port)"
        let lost = try DaemonProcess(settings: settings(url, ["DELIVERY_PROXY": "http://127.0.0.1:9"]))
        try DeliverySupport.seed(folder: lost.folder, detections: 7, plan: Self.plan)
        try lost.start()
        let sink = try DeliverySupport.wait(lost) { ($0["failures"] as? Int ?? 0) > 0 }
        #expect((sink["reason"] as? String ?? "").contains("127.0.0.1") && sink["state"] as? String == "waiting")
        #expect(lost.stop() == 0)
        let more = ["DELIVERY_PROXY": "http://127.0.0.1:\(proxy.port)"]
        let daemon = try DaemonProcess(folder: lost.folder, settings: settings(url, more))
        try daemon.start()
        try delivered(daemon, influx, 7)
        #expect(proxy.log.contains(":\(influx.port)/api/v3/write_lp"), "\(proxy.log)")
    }

    @Test func endsARequestOnALinkThatIsHalfOpen() throws {
        let influx = try FarEnd.influx(token: "secret")
        _ = try influx.ask("POST", "/fault", body: #"{"hang":1}"#)
        let daemon = try DaemonProcess(
            settings: settings("http://127.0.0.1:\(influx.port)", ["DELIVERY_STALL_TIMEOUT_SEC": "2"]))
        try DeliverySupport.seed(folder: daemon.folder, detections: 7, plan: Self.plan)
        try daemon.start()
        let sink = try DeliverySupport.wait(daemon) { ($0["failures"] as? Int ?? 0) > 0 }
        #expect((sink["reason"] as? String ?? "").lowercased().contains("too slow"), "\(sink)")
        try delivered(daemon, influx, 7)
    }

    /// Every sink at once, at a name that nobody knows; the box goes on.
    @Test func goesOnWhenNoNameIsFound() throws {
        let plan = DeliveryPlan(sinks: [
            .detections: ["influx", "mqtt", "postgres"], .metrics: ["prometheus"], .recording: ["s3"],
        ])
        let daemon = try DaemonProcess(
            settings: settings(
                "http://nowhere.invalid:8181",
                [
                    "MQTT_HOST": "nowhere.invalid", "DATABASE_URL": "postgresql://a:b@nowhere.invalid/c",
                    "PROMETHEUS_URL": "http://nowhere.invalid/write", "PROM_SCRAPE_INTERVAL": "1s",
                    "S3_ENDPOINT": "http://nowhere.invalid", "S3_BUCKET": "bucket", "S3_ACCESS_KEY": "a",
                    "S3_SECRET_KEY": "b",
                ]))
        try DeliverySupport.seed(folder: daemon.folder, detections: 7, plan: plan)
        try daemon.start()
        let sound = WireMaker.ramp(from: 0, samples: 48_000 * 4)
        let stream = try daemon.stream("m")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(dataBytes: sound.count) + sound)))
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        for name in ["influx", "s3", "prometheus", "mqtt", "postgres"] {
            let sink = try DeliverySupport.wait(daemon) {
                $0["name"] as? String == name && ($0["failures"] as? Int ?? 0) > 0
            }
            let reason = sink["reason"] as? String ?? ""
            #expect(
                sink["state"] as? String == "waiting" && reason.contains("nowhere.invalid")
                    && !DeliverySupport.isEmpty(sink), "\(sink)")
        }
        #expect(daemon.stop() == 0)
    }

    /// The box's own clock is a day ahead; the server, a real one, sees it by the signature's time.
    @Test func waitsForTheClockWhenTheServerSaysThatItIsWrong() throws {
        let server = try FarEnd.s3("juicefs", accessKey: "key12345", secretKey: "secret12345", bucket: "field-data")
        let all = [
            "S3_ENDPOINT": "http://127.0.0.1:\(server.directPort)", "S3_BUCKET": "field-data",
            "S3_ACCESS_KEY": "key12345", "S3_SECRET_KEY": "secret12345", "CLOCK_WAIT_SEC": "0",
            "DELIVERY_RETRY_FIRST_SEC": "0.1", "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
        ]
        let clock = try ShiftedClock(seconds: 86_400, isSynchronised: true)
        let daemon = try DaemonProcess(settings: all.merging(clock.environment) { $1 })
        try daemon.start()
        let sound = WireMaker.ramp(from: 0, samples: 48_000 * 4)
        let stream = try daemon.stream("m")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(dataBytes: sound.count) + sound)))
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        let sink = try DeliverySupport.wait(daemon) { ($0["failures"] as? Int ?? 0) > 0 }
        #expect(sink["state"] as? String == "waiting" && (sink["reason"] as? String ?? "").contains("clock is wrong"))
        // It is set, and the box goes on by itself.
        try clock.set(seconds: 0, isSynchronised: true)
        _ = try DeliverySupport.wait(daemon) { DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 1 }
        #expect(daemon.stop() == 0)
    }
}
