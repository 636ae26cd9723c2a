import EdgeTesting
import Foundation
import Store
import Testing

/// Deliveries to S3: real servers that check signatures, behind a proxy that can make them fail.
@Suite(.serialized) struct S3DeliveryTests {
    private static let bucket = "field-data"

    private func server(_ kind: String) throws -> FarEnd {
        try FarEnd.s3(kind, accessKey: "key12345", secretKey: "secret12345", bucket: Self.bucket)
    }

    private func settings(_ server: FarEnd, _ more: [String: String] = [:]) -> [String: String] {
        [
            "S3_ENDPOINT": "http://127.0.0.1:\(server.port)", "S3_BUCKET": Self.bucket, "S3_PREFIX": "north/1",
            "S3_ACCESS_KEY": "key12345", "S3_SECRET_KEY": "secret12345", "AGGREGATOR_UUID": "box-1",
            "CLOCK_WAIT_SEC": "0", "DELIVERY_RETRY_FIRST_SEC": "0.1", "DELIVERY_RETRY_MAX_SEC": "1",
            "LOG_LEVEL": "critical",
        ].merging(more) { $1 }
    }

    private func wave(samples: Int, from: Int = 0) -> [UInt8] {
        let sound = WireMaker.ramp(from: from, samples: samples)
        return WireMaker.wavHeader(dataBytes: sound.count) + sound
    }

    private func upload(_ bytes: [UInt8], _ name: String, to daemon: DaemonProcess) throws -> String {
        let form =
            Array("--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\n\r\n".utf8) + bytes
            + Array("\r\n--edge--\r\n".utf8)
        let answer = try DaemonProcess.request(
            "POST", "/recordings_upload", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=edge"],
            body: form)
        guard answer.status == 200 else { throw DaemonProcess.Failure(description: "upload: \(answer)") }
        let object = try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any]
        return object?["filename"] as? String ?? ""
    }

    private func log(_ server: FarEnd) throws -> [[String: Any]] {
        let body = try server.ask("GET", "/_test/log")
        return try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [[String: Any]] ?? []
    }

    private func puts(_ server: FarEnd, _ match: String) throws -> [[String: Any]] {
        try log(server).filter { $0["method"] as? String == "PUT" && ($0["path"] as? String ?? "").contains(match) }
    }

    private func delivered(_ daemon: DaemonProcess, _ count: Int) throws {
        _ = try DeliverySupport.wait(daemon) {
            $0["name"] as? String == "s3" && DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == count
        }
    }

    private func read(_ server: FarEnd, _ key: String) throws -> [UInt8] {
        try DeliverySupport.object(server, bucket: Self.bucket, key)
    }

    @Test(arguments: ["rclone", "juicefs"])
    func uploadsEachFileOnceWithWhatIsKnownOfIt(kind: String) throws {
        let server = try server(kind)
        // The first answer is lost: the object is there, and the box does not know.
        _ = try server.ask("POST", "/_test/fault", body: #"{"method":"PUT","lose":true}"#)
        let daemon = try DaemonProcess(settings: settings(server))
        try daemon.start()
        var files: [String: [UInt8]] = [:]
        for number in 0..<3 {
            let bytes = wave(samples: 48_000 * 4, from: number * 100)
            files[try upload(bytes, "mic\(number)_20261121T01274\(number)Z.wav", to: daemon)] = bytes
        }
        try delivered(daemon, 3)
        for (name, bytes) in files {
            let listener = String(name.split(separator: "_")[0])
            #expect(try read(server, "north/1/box-1/\(listener)/\(name)") == bytes, "\(name)")
        }
        let sent = try puts(server, "north/1/box-1")
        // One was sent a second time, or found to be there.
        #expect(sent.count == 4)
        let headers = sent.first?["headers"] as? [String: String] ?? [:]
        #expect(headers["x-amz-meta-listener"] == "mic0" && headers["x-amz-meta-duration"] == "4.0")
        #expect(headers["x-amz-meta-start"] == "2026-11-21T01:27:40.000000Z" && headers["content-type"] == "audio/wav")
        #expect(headers["if-none-match"] == "*" && headers["x-amz-meta-sha256"] == headers["x-amz-content-sha256"])
        #expect(daemon.stop() == 0)
    }

    @Test(arguments: ["sha256", "crc32c", "md5", "none"])
    func sendsTheChecksumThatTheServerKnows(checksum: String) throws {
        let server = try server("juicefs")
        let daemon = try DaemonProcess(settings: settings(server, ["S3_CHECKSUM": checksum]))
        try daemon.start()
        let bytes = wave(samples: 48_000 * 4)
        let name = try upload(bytes, "m_20261121T012740Z.wav", to: daemon)
        try delivered(daemon, 1)
        #expect(try read(server, "north/1/box-1/m/\(name)") == bytes)
        #expect(daemon.stop() == 0)
    }

    @Test(arguments: ["rclone", "juicefs"])
    func goesOnWithALargeFileAfterAKill(kind: String) throws {
        let server = try server(kind)
        // Three parts arrive, then the link is gone until the box has died.
        _ = try server.ask(
            "POST", "/_test/fault", body: #"{"method":"PUT","match":"partNumber=4","count":100,"status":503}"#)
        let daemon = try DaemonProcess(
            settings: settings(server, ["S3_PART_BYTES": "5242880", "S3_MULTIPART_BYTES": "5242880"]))
        try daemon.start()
        let bytes = wave(samples: 14_000_000)
        let name = try upload(bytes, "m_20261121T012740Z.wav", to: daemon)
        _ = try DeliverySupport.wait(daemon) { ($0["failures"] as? Int ?? 0) >= 2 }
        daemon.killNow()
        let before = try puts(server, "partNumber=").compactMap { $0["path"] as? String }
        #expect(Set(before.filter { !$0.contains("partNumber=4") }).count == 3)
        // The link is there again.
        _ = try server.ask("POST", "/_test/forgive")
        try daemon.start()
        try delivered(daemon, 1)
        #expect(try read(server, "north/1/box-1/m/\(name)") == bytes)
        let parts = try puts(server, "partNumber=")
        // No part that had arrived was sent again.
        for number in 1...3 {
            #expect(
                parts.count { ($0["path"] as? String ?? "").contains("partNumber=\(number)&") } == 1, "part \(number)")
        }
        #expect(daemon.stop() == 0)
    }

    /// Half an answer, and none at all on a link that is half open.
    @Test(arguments: ["cut", "hang"])
    func sendsAFileAgainWhoseAnswerDidNotCome(fault: String) throws {
        let server = try server("juicefs")
        _ = try server.ask("POST", "/_test/fault", body: "{\"method\":\"PUT\",\"\(fault)\":true}")
        let daemon = try DaemonProcess(settings: settings(server, ["DELIVERY_STALL_TIMEOUT_SEC": "2"]))
        try daemon.start()
        let bytes = wave(samples: 48_000 * 4)
        let name = try upload(bytes, "m_20261121T012740Z.wav", to: daemon)
        let sink = try DeliverySupport.wait(daemon) { ($0["failures"] as? Int ?? 0) > 0 }
        #expect(sink["state"] as? String == "waiting" && sink["reason"] is String)
        try delivered(daemon, 1)
        #expect(try read(server, "north/1/box-1/m/\(name)") == bytes)
        #expect(daemon.stop() == 0)
    }

    @Test(arguments: ["wrong key", "wrong bucket", "clock", "busy"])
    func tellsWhatIsWrongAndLosesNothing(what: String) throws {
        let server = try server("juicefs")
        let wrong: [String: String] =
            switch what {
            case "wrong key": ["S3_SECRET_KEY": "nonsense"]
            case "wrong bucket": ["S3_BUCKET": "nothing-here"]
            default: [:]
            }
        if what == "clock" {
            _ = try server.ask("POST", "/_test/fault", body: #"{"method":"PUT","skew":86400,"count":3}"#)
        }
        if what == "busy" {
            _ = try server.ask(
                "POST", "/_test/fault",
                body:
                    #"{"method":"PUT","status":503,"count":2,"body":"<Error><Code>SlowDown</Code><Message>Please reduce</Message></Error>"}"#
            )
        }
        let daemon = try DaemonProcess(settings: settings(server, wrong))
        try daemon.start()
        let bytes = wave(samples: 48_000 * 4)
        let name = try upload(bytes, "m_20261121T012740Z.wav", to: daemon)
        let sink = try DeliverySupport.wait(daemon) { ($0["failures"] as? Int ?? 0) > 0 }
        let reason = sink["reason"] as? String ?? ""
        switch what {
        case "wrong key":
            #expect(sink["state"] as? String == "unauthorised" && reason.contains("SignatureDoesNotMatch"))
        case "wrong bucket":
            #expect(sink["state"] as? String == "waiting" && reason.contains("s3_bucket"))
        case "clock":
            #expect(sink["state"] as? String == "waiting" && reason.contains("clock is wrong"))
        default:
            #expect(sink["state"] as? String == "waiting" && reason.contains("SlowDown"))
        }
        guard !wrong.isEmpty else {
            try delivered(daemon, 1)
            #expect(try read(server, "north/1/box-1/m/\(name)") == bytes)
            #expect(daemon.stop() == 0)
            return
        }
        #expect(!DeliverySupport.isEmpty(sink))
        #expect(daemon.stop() == 0)
        let mended = try DaemonProcess(folder: daemon.folder, settings: settings(server))
        try mended.start()
        try delivered(mended, 1)
        #expect(try read(server, "north/1/box-1/m/\(name)") == bytes)
        #expect(mended.stop() == 0)
    }

    @Test func keepsAFileUntilItIsDeliveredAndThenLetsItGo() throws {
        let server = try server("rclone")
        let influx = try FarEnd.influx(token: "secret")
        let hour = Calendar.current.component(.hour, from: Date())
        // A window that is not now: it begins in two hours and lasts one.
        let window = String(format: "%02d:00-%02d:00", (hour + 2) % 24, (hour + 3) % 24)
        var all = settings(
            server,
            [
                "KEEP_RECORDINGS": "none", "UPLOAD_WINDOW": window, "INFLUX_URL": "http://127.0.0.1:\(influx.port)",
                "INFLUX_TOKEN": "secret",
            ])
        let daemon = try DaemonProcess(settings: all)
        try daemon.start()
        let bytes = wave(samples: 48_000 * 4)
        let name = try upload(bytes, "m_20261121T012740Z.wav", to: daemon)
        let sink = try DeliverySupport.wait(daemon) { ($0["reason"] as? String)?.contains("upload_window") ?? false }
        #expect(!DeliverySupport.isEmpty(sink))
        // Retention looks every five seconds.
        sleep(7)
        #expect(FileManager.default.fileExists(atPath: "\(daemon.folder)/recordings/m/\(name)"))
        #expect(daemon.stop() == 0)
        all["UPLOAD_WINDOW"] = ""
        let later = try DaemonProcess(folder: daemon.folder, settings: all)
        try later.start()
        try delivered(later, 1)
        #expect(
            try Array(
                Data(
                    contentsOf: URL(fileURLWithPath: "\(server.folder)/objects/\(Self.bucket)/north/1/box-1/m/\(name)"))
            ) == bytes)
        _ = try DeliverySupport.wait(later) {
            $0["name"] as? String == "influx" && ($0["facts_done"] as? Int ?? 0) >= 1
        }
        let uploads = try DeliverySupport.points(influx, table: "uploads")
        #expect(
            uploads.count == 1 && uploads.first?["remote"] as? String == "s3:\(Self.bucket)/north/1/box-1/m/\(name)")
        sleep(7)
        #expect(!FileManager.default.fileExists(atPath: "\(daemon.folder)/recordings/m/\(name)"))
        #expect(later.stop() == 0)
    }
}
