import EdgeTesting
import Foundation
import Synchronization
import Testing

/// Small files that cost hours: FLAC of silence, 1.5 MB for 38 hours.
@Suite(.serialized) struct HostileUploadTests {
    private static func form(_ name: String, _ file: [UInt8]) -> [UInt8] {
        Array(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\nContent-Type: audio/x\r\n\r\n"
                .utf8) + file + Array("\r\n--b--\r\n".utf8)
    }

    private static func head(_ listener: String, _ body: [UInt8]) -> String {
        "POST /recordings_upload?listener_id=\(listener) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(body.count)\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    }

    private static func upload(
        _ daemon: DaemonProcess, _ listener: String, _ name: String, _ file: [UInt8], within seconds: Int = 60
    ) throws -> (status: Int, body: String) {
        let body = form(name, file)
        let connection = try RawConnection(port: daemon.port)
        try connection.send(head(listener, body))
        try connection.send(body)
        return try DaemonProcess.parse(connection.answer(within: seconds))
    }

    private static let birds = Result { try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds()))) }

    /// Five of them at once from the address of an honest sender: its uploads are answered meanwhile, its stream is stored, and the
    /// daemon ends in time. What was not decoded by then was never acknowledged.
    @Test func fiveLongFilesHoldUpNobody() throws {
        let daemon = try DaemonProcess(settings: [
            "SHUTDOWN_TIMEOUT_SEC": "20", "LOG_LEVEL": "error", "MAX_UPLOAD_AUDIO_HOURS": "48",
        ])
        try daemon.start()
        let long = Self.form("long.flac", SilentFLAC.file(hours: 38))
        #expect(long.count < 1_600_000)
        let stream = try daemon.stream("honest")
        var sequence = 0
        func send(_ pages: Int) throws {
            for _ in 0..<pages {
                let page = WireMaker.ramp(from: sequence * 4800, samples: 4800)
                try stream.send(WireMaker.chunk(WireMaker.frame(sequence, page)))
                sequence += 1
            }
        }
        try send(10)
        let connections = try (0..<5).map { _ in try RawConnection(port: daemon.port) }
        for (number, connection) in connections.enumerated() {
            try connection.send(Self.head("long-\(number)", long))
            try connection.send(long)
        }
        let isWaiting = "edge_aggregator_uploads_decoding 5"
        try waitFor("the long uploads to be decoded") {
            try daemon.get("/metrics").body.split(separator: "\n").contains { $0 == isWaiting }
        }
        let wav = WireMaker.wavHeader(dataBytes: 2 * 48_000) + WireMaker.ramp(from: 0, samples: 48_000)
        for number in 0..<3 {
            let started = ContinuousClock.now
            let answer = try Self.upload(daemon, "honest-uploader", "a.wav", wav)
            #expect(answer.status == 200, "\(answer)")
            // One after the other, the five are decoded in more than a minute.
            #expect(ContinuousClock.now - started < .seconds(15), "upload \(number)")
            try send(10)
        }
        #expect(try daemon.get("/healthz").status == 200)
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        #expect(try daemon.recordings("&listener=honest-uploader").count == 3)
        let heard = try daemon.recordings("&listener=honest").compactMap { $0["frames"] as? Int }.reduce(0, +)
        #expect(heard == sequence * 4800)
        let decoded = try (0..<5).reduce(0) { try $0 + daemon.recordings("&listener=long-\($1)").count }
        #expect(decoded < 5, "the files are not long enough for this machine")
        let ending = ContinuousClock.now
        #expect(daemon.stop() == 0)
        #expect(ContinuousClock.now - ending < .seconds(20))
        // Only recordings and other folders are left: an upload that was cut off is removed from the spool.
        let spool = try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/spool")
        #expect(spool.filter { $0.hasPrefix("upload-") } == [])
    }

    /// What is decoded counts, whatever the file declares; the answer has the clients' form and names the setting.
    @Test func aFileBeyondTheLimitIsRejectedWithTheSetting() throws {
        let daemon = try DaemonProcess(settings: ["MAX_UPLOAD_AUDIO_HOURS": "1", "LOG_LEVEL": "error"])
        try daemon.start()
        for (hours, declared, status, text) in [
            (0.9, nil, 200, "ok"), (0.9, 0, 200, "ok"),
            (1.2, 0, 413, "The file holds more than 1.0 hours of sound; max_upload_audio_hours allows 1.0"),
            (0.1, 38 * 3600 * 48_000, 413, "The file holds 38.0 hours of sound; max_upload_audio_hours allows 1.0"),
        ] as [(Double, Int?, Int, String)] {
            let answer = try Self.upload(
                daemon, "silent", "a.flac", SilentFLAC.file(hours: hours, declaring: declared))
            #expect(answer.status == status, "\(hours) h: \(answer)")
            if status == 200 {
                #expect(answer.body.hasPrefix(#"{"status":"ok","filename":"#))
            } else {
                #expect(answer.body == #"{"detail":"\#(text)"}"#)
            }
        }
        let frames = try daemon.recordings("&listener=silent").compactMap { $0["frames"] as? Int }
        #expect(frames == [Int](repeating: SilentFLAC.frames(hours: 0.9), count: 2))
    }

    /// The analysis of five days of silence goes on window by window; a recording of another listener does not wait for it.
    @Test func longFilesHoldUpNoAnalysis() throws {
        let daemon = try DaemonProcess(settings: [
            "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(), "ANALYZER_WORKERS": "1",
            "PRIVACY_THRESHOLD": "1", "LOG_LEVEL": "error", "SHUTDOWN_TIMEOUT_SEC": "20",
        ])
        try daemon.start()
        let long = SilentFLAC.file(hours: 24, rate: 8000)
        for number in 0..<5 {
            #expect(try Self.upload(daemon, "long-\(number)", "long.flac", long).status == 200)
        }
        #expect(try Self.upload(daemon, "honest", "a.wav", Self.birds.get()).status == 200)
        try waitFor("the analysis of the honest recording") {
            try daemon.recordings("&listener=honest&analysis=done").count == 1
        }
        #expect(try daemon.recordings("&analysis=pending").count == 5, "the files are not long enough for this machine")
        let ending = ContinuousClock.now
        #expect(daemon.stop() == 0)
        #expect(ContinuousClock.now - ending < .seconds(20))
    }

    /// Files without a row, as after the loss of a database: the start does not wait for them, nor does the end.
    @Test func longFilesWithoutARowHoldUpNoStart() throws {
        let daemon = try DaemonProcess(settings: ["SHUTDOWN_TIMEOUT_SEC": "20", "LOG_LEVEL": "critical"])
        let folder = "\(daemon.folder)/recordings/l1"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let long = Data(SilentFLAC.file(hours: 38))
        for number in 10..<30 { try long.write(to: URL(fileURLWithPath: "\(folder)/l1_20251121T0127\(number)Z.flac")) }
        // More than four minutes of decoding.
        let starting = ContinuousClock.now
        try daemon.start()
        #expect(ContinuousClock.now - starting < .seconds(60))
        let wav = WireMaker.wavHeader(dataBytes: 2 * 48_000) + WireMaker.ramp(from: 0, samples: 48_000)
        #expect(try Self.upload(daemon, "honest", "a.wav", wav).status == 200)
        // They are taken up meanwhile, one after the other.
        try waitFor("the first of them") {
            try daemon.recordings("&listener=l1").contains { $0["frames"] as? Int == SilentFLAC.frames(hours: 38) }
        }
        let ending = ContinuousClock.now
        #expect(daemon.stop() == 0)
        #expect(ContinuousClock.now - ending < .seconds(20))
    }
}
