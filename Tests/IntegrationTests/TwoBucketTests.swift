import EdgeTesting
import Foundation
import Store
import Testing

/// Recordings go to the bucket that the microphone aggregator named, forecast fields to the other system's: two real servers.
@Suite(.serialized) struct TwoBucketTests {
    private func settings(sound: FarEnd?, fields: FarEnd) -> [String: String] {
        var all = [
            "S3_ENDPOINT": "http://127.0.0.1:\(fields.port)", "S3_BUCKET": "fields", "S3_ACCESS_KEY": "key12345",
            "S3_SECRET_KEY": "secret12345", "AGGREGATOR_UUID": "box-1", "CLOCK_WAIT_SEC": "0",
            "DELIVERY_RETRY_FIRST_SEC": "0.1", "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "warning",
        ]
        guard let sound else { return all }
        // As its `.env` has them.
        all.merge([
            "RCLONE_CONFIG_S3_TYPE": "s3", "RCLONE_CONFIG_S3_PROVIDER": "Ceph",
            "RCLONE_CONFIG_S3_ENDPOINT": "http://127.0.0.1:\(sound.port)", "RCLONE_CONFIG_S3_ACCESS_KEY_ID": "key12345",
            "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": "secret12345", "RCLONE_REMOTE_BUCKET": "s3:sound/birds",
        ]) { $1 }
        return all
    }

    private func server(_ kind: String, bucket: String) throws -> FarEnd {
        try FarEnd.s3(kind, accessKey: "key12345", secretKey: "secret12345", bucket: bucket)
    }

    private func upload(to daemon: DaemonProcess) throws -> String {
        let sound = WireMaker.ramp(from: 0, samples: 48_000 * 4)
        let form =
            Array(
                "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"m_20261121T012740Z.wav\"\r\n\r\n"
                    .utf8)
            + WireMaker.wavHeader(dataBytes: sound.count) + sound + Array("\r\n--edge--\r\n".utf8)
        let answer = try DaemonProcess.request(
            "POST", "/recordings_upload", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=edge"], body: form)
        let object = try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any]
        return try #require(object?["filename"] as? String)
    }

    private func done(_ daemon: DaemonProcess, _ sink: String, _ count: Int) throws {
        _ = try DeliverySupport.wait(daemon) {
            $0["name"] as? String == sink && DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == count
        }
    }

    @Test func eachKindGoesToItsBucket() throws {
        let (sound, fields) = (try server("rclone", bucket: "sound"), try server("juicefs", bucket: "fields"))
        let daemon = try DaemonProcess(settings: settings(sound: sound, fields: fields))
        // As a start with one bucket alone left it: its field waits for the sink of recordings.
        try DeliverySupport.seedField(folder: daemon.folder, plan: DeliveryPlan(sinks: [.field: ["s3"]]))
        let log = "\(daemon.folder)/log"
        try daemon.start(logPath: log)
        let name = try upload(to: daemon)
        try done(daemon, "s3", 1)
        try done(daemon, "s3_forecasts", 1)
        #expect(try DeliverySupport.objects(sound, bucket: "sound") == ["birds/box-1/m/\(name)"])
        #expect(try DeliverySupport.objects(fields, bucket: "fields") == ["box-1/forecasts/wind/test.nc"])
        let metrics = try daemon.get("/metrics").body
        #expect(metrics.contains("edge_aggregator_sink_delivered_total{sink=\"s3_forecasts\"} 1"))
        #expect(metrics.contains("edge_aggregator_sink_delivered_total{sink=\"s3\"} 1"))
        #expect(daemon.stop() == 0)
        let said = try String(contentsOfFile: log, encoding: .utf8)
        #expect(said.contains("recordings go to http://127.0.0.1:\(sound.port)/sound/birds (rclone_*)"))
        #expect(said.contains("forecast fields to http://127.0.0.1:\(fields.port)/fields (s3_*)"))
    }

    /// One server is away: the other bucket gets its files, and what waits goes along when the settings change.
    @Test func oneBucketDoesNotHoldUpTheOther() throws {
        let fields = try server("juicefs", bucket: "fields")
        _ = try fields.ask("POST", "/_test/fault", body: #"{"method":"PUT","count":1000,"status":503}"#)
        let sound = try server("rclone", bucket: "sound")
        let daemon = try DaemonProcess(settings: settings(sound: sound, fields: fields))
        try DeliverySupport.seedField(folder: daemon.folder, plan: DeliveryPlan(sinks: [.field: ["s3_forecasts"]]))
        try daemon.start()
        let name = try upload(to: daemon)
        try done(daemon, "s3", 1)
        let waiting = try DeliverySupport.wait(daemon) {
            $0["name"] as? String == "s3_forecasts" && ($0["failures"] as? Int ?? 0) > 0
        }
        #expect(waiting["state"] as? String == "waiting")
        #expect(daemon.stop() == 0)
        _ = try fields.ask("POST", "/_test/forgive")

        // Back to one bucket.
        let one = try DaemonProcess(folder: daemon.folder, settings: settings(sound: nil, fields: fields))
        try one.start()
        try done(one, "s3", 2)
        #expect(try DeliverySupport.objects(fields, bucket: "fields") == ["box-1/forecasts/wind/test.nc"])
        #expect(try DeliverySupport.objects(sound, bucket: "sound") == ["birds/box-1/m/\(name)"])
        #expect(one.stop() == 0)
    }
}
