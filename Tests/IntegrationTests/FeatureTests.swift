import EdgeTesting
import Foundation
import Testing

/// Parts of the daemon that a user turns on.
@Suite(.serialized) struct FeatureTests {
    private func birds() throws -> [UInt8] {
        try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())).dropFirst(44))
    }

    private func send(_ sound: [UInt8], to daemon: DaemonProcess, listener: String, rate: Int = 32_000) throws {
        let stream = try daemon.stream(listener)
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: rate))))
        for (number, start) in stride(from: 0, to: sound.count, by: 32_768).enumerated() {
            let page = Array(sound[start..<min(start + 32_768, sound.count)])
            try stream.send(WireMaker.chunk(WireMaker.frame(number + 1, page)))
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
    }

    private func analysed(_ settings: [String: String]) throws -> DaemonProcess {
        let daemon = try DaemonProcess(
            settings: settings.merging([
                "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(), "ANALYZER_WORKERS": "1",
            ]) { mine, _ in mine })
        try daemon.start()
        return daemon
    }

    @Test(arguments: ["wav", "flac"]) func keepsNoSoundInWhichAVoiceIsHeard(format: String) throws {
        // At a threshold of nothing every window counts as a voice.
        let daemon = try analysed(["PRIVACY_THRESHOLD": "0", "RECORDING_FORMAT": format])
        try send(birds(), to: daemon, listener: "private")
        try waitFor("the analysis") { try daemon.recordings("&analysis=done").count == 1 }
        let recording = try #require(try daemon.recordings().first)
        let name = recording["name"] as? String ?? ""
        let path = "\(daemon.folder)/recordings/private/\(name)"
        // Decoded by another program: nothing but silence in the three whole windows of 96,000 samples each.
        let raw = try decode(path)
        #expect(raw.count == 2 * 324_263)
        #expect(raw[..<(2 * 288_000)].allSatisfy { $0 == 0 })
        #expect(raw[(2 * 288_000)...].contains { $0 != 0 })
        #expect(recording["silenced_seconds"] as? Double == 9)
        let coverage = try daemon.json("/api/v1/coverage")["listeners"] as? [[String: Any]] ?? []
        #expect((coverage.first?["losses"] as? [String: Double])?["human voice"] == 9)
        #expect(try daemon.get("/api/v1/recordings/\(name)/audio").status == 200)
    }

    /// 47.5 s make three recordings; the windows that reach over their ends are silenced on both sides, also where the next file
    /// is still being encoded when they are analysed.
    @Test(arguments: ["wav", "flac"]) func silencesAVoiceOverTheEndOfARecording(format: String) throws {
        let daemon = try analysed(["PRIVACY_THRESHOLD": "0", "RECORDING_FORMAT": format, "ANALYZER_WORKERS": "2"])
        let one = try birds()
        try send(one + one + one + one + one[..<448_000], to: daemon, listener: "private")
        try waitFor("the analysis") { try daemon.recordings("&analysis=done").count == 3 }
        let names = try daemon.recordings().compactMap { $0["name"] as? String }.sorted()
        var sound: [UInt8] = []
        for name in names { sound += try decode("\(daemon.folder)/recordings/private/\(name)") }
        // 324,263 samples four times and 224,000, in 16 windows of three seconds, the last of them padded.
        #expect(sound.count == 8 * 324_263 + 448_000)
        let loud = sound.indices.filter { sound[$0] != 0 }
        #expect(loud.isEmpty, "from \(loud.first ?? 0) to \(loud.last ?? 0) of \(sound.count)")
        for name in names { #expect(try daemon.get("/api/v1/recordings/\(name)/audio").status == 200) }
    }

    /// Sound for which there is no room needs no silence; its analysis comes to its end all the same.
    @Test func analysesSoundThatIsNotKeptWhereVoicesAreSilenced() throws {
        let daemon = try analysed(["PRIVACY_THRESHOLD": "0", "MIN_FREE_DISK_BYTES": "1000000000000000"])
        try send(birds(), to: daemon, listener: "private")
        try waitFor("the analysis") { try daemon.recordings("&analysis=done").count == 1 }
        #expect(try daemon.recordings().first?["state"] as? String == "unkept")
    }

    /// Linux tells an error of writing back once; sound that it was about is never acknowledged.
    @Test func doesNotAcknowledgeWhatTheDiskRefusedOnce() throws {
        let folder = try TestFolders.temporary("edge-sync")
        defer { TestFolders.remove(folder) }
        let order = "\(folder)/fail"
        let daemon = try DaemonProcess(settings: [
            "LD_PRELOAD": try Interposer.make("failing_sync", in: folder), "SYNC_FAILURE_FILE": order,
            "SYNC_INTERVAL_MS": "50",
        ])
        try daemon.start()
        let sound = try birds()
        try send(sound, to: daemon, listener: "well")
        let stream = try daemon.stream("ill")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 32_000))))
        #expect(FileManager.default.createFile(atPath: order, contents: nil))
        for number in 0..<8 {
            try stream.send(
                WireMaker.chunk(WireMaker.frame(number + 1, Array(sound[number * 32_768..<(number + 1) * 32_768]))))
        }
        try waitFor("the failure") { !FileManager.default.fileExists(atPath: order) }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 500)
        try send(sound, to: daemon, listener: "well")
        #expect(daemon.stop() == 0)
        // The next start finds out what is there.
        try daemon.start()
        let found = try daemon.recordings("&listener=ill")
        #expect(found.allSatisfy { $0["state"] as? String == "closed" })
    }

    @Test func recordsFLACBitForBitAndMendsItAfterAKill() throws {
        let daemon = try DaemonProcess(settings: ["RECORDING_FORMAT": "flac", "SYNC_INTERVAL_MS": "50"])
        try daemon.start()
        let sound = try birds()
        try send(sound, to: daemon, listener: "whole")
        let stream = try daemon.stream("cut")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 32_000))))
        for number in 0..<12 {
            try stream.send(
                WireMaker.chunk(WireMaker.frame(number + 1, Array(sound[number * 32_768..<(number + 1) * 32_768]))))
        }
        try waitFor("the pages") {
            let listeners = try daemon.json("/api/v1/listeners")["listeners"] as? [[String: Any]] ?? []
            let connections = listeners.first { $0["id"] as? String == "cut" }?["connections"] as? [[String: Any]]
            return (connections?.first?["bytes"] as? Int ?? 0) > 12 * 32_768
        }
        daemon.killNow()
        try daemon.start()
        for recording in try daemon.recordings("&state=closed") {
            let listener = recording["listener"] as? String ?? ""
            let name = recording["name"] as? String ?? ""
            let raw = try decode("\(daemon.folder)/recordings/\(listener)/\(name)")
            #expect(raw.count == 2 * (recording["frames"] as? Int ?? -1))
            #expect(raw == Array(sound[..<raw.count]))
            if listener == "whole" { #expect(raw.count == sound.count) }
            // The encoder holds back no more than what it has not filled a block and its buffer with.
            if listener == "cut" { #expect(raw.count > 8 * 32_768) }
        }
        #expect(try daemon.recordings("&state=closed").count == 2)
    }

    private func decode(_ path: String) throws -> [UInt8] {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            """
            import ctypes, sys
            lib = ctypes.CDLL("libsndfile.so.1")
            class Info(ctypes.Structure):
                _fields_ = [("frames", ctypes.c_int64)] + [(n, ctypes.c_int) for n in "rate channels format sections seekable".split()]
            info = Info()
            lib.sf_open.restype = ctypes.c_void_p
            file = lib.sf_open(sys.argv[1].encode(), 0x10, ctypes.byref(info))
            lib.sf_read_short.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
            lib.sf_read_short.restype = ctypes.c_int64
            samples = (ctypes.c_short * info.frames)()
            count = lib.sf_read_short(file, samples, info.frames)
            sys.stdout.buffer.write(bytes(samples)[:2 * count])
            """, path,
        ]
        process.standardOutput = output
        try process.run()
        return Array(output.fileHandleForReading.readDataToEndOfFile())
    }

    @Test func keepsWhatItIsToldToKeep() throws {
        let daemon = try DaemonProcess(settings: ["RETENTION_MAX_BYTES": "1000000"])
        try daemon.start()
        for number in 0..<3 { try send(birds(), to: daemon, listener: "r\(number)") }
        try waitFor("the oldest to go") { try daemon.recordings("&state=deleted").count == 2 }
        #expect(try daemon.recordings("&state=closed").compactMap { $0["listener"] as? String } == ["r2"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/recordings/r0").isEmpty)
        // What is removed later was heard all the same.
        let coverage = try daemon.json("/api/v1/coverage")["listeners"] as? [[String: Any]] ?? []
        #expect(coverage.count == 3)
    }

    @Test func finishesAfterAKillWhatItHadNotAnalysedAndKeepsOnlyWhatHasDetections() throws {
        let daemon = try analysed(["PRIVACY_THRESHOLD": "1", "KEEP_RECORDINGS": "detections", "MIN_CONFIDENCE": "0.3"])
        try send(birds(), to: daemon, listener: "birds")
        // Below the level gate there is nothing to be found in it.
        try send([UInt8](repeating: 0, count: 640_000), to: daemon, listener: "silence")
        daemon.killNow()
        try daemon.start()
        try waitFor("both analyses") {
            try daemon.recordings().allSatisfy { ["done", "skipped"].contains($0["analysis"] as? String) }
        }
        try waitFor("the silence to go") { try daemon.recordings("&state=deleted").count == 1 }
        #expect(try daemon.recordings("&state=closed").compactMap { $0["listener"] as? String } == ["birds"])
        let detections = try daemon.json("/api/v1/detections")["detections"] as? [[String: Any]] ?? []
        // The three windows of the sample, as `analyze` prints them too.
        #expect(
            Set(detections.compactMap { $0["scientific_name"] as? String })
                == ["Setophaga castanea", "Leiothlypis peregrina", "Setophaga fusca"])
    }

    @Test func streamsMadeUpSoundToItselfThroughTheWholePath() throws {
        let daemon = try analysed([
            "GENERATE_MOCK_AUDIO": "true", "MAX_RECORDING_DURATION_SEC": "3", "MIN_RECORDING_DURATION_SEC": "1",
            "PRIVACY_THRESHOLD": "1",
        ])
        try waitFor("a recording of it") { try daemon.recordings("&analysis=done").isEmpty == false }
        #expect(
            try daemon.recordings().allSatisfy {
                $0["listener"] as? String == "mock" && $0["source"] as? String == "mock"
            })
        #expect(daemon.stop() == 0)
    }

    @Test func tellsOfDetectionsAsTheyComeAndShowsThemOnThePage() throws {
        let daemon = try analysed(["PRIVACY_THRESHOLD": "1", "METRICS_PORT": "0"])
        let events = try RawConnection(port: daemon.port)
        try events.send("GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        try send(birds(), to: daemon, listener: "e<script>".filter(\.isLetter))
        try waitFor("detections") { (try daemon.json("/api/v1/detections")["detections"] as? [Any] ?? []).count >= 3 }
        let page = try daemon.get("/")
        #expect(page.status == 200 && page.body.contains("Tennessee Warbler"))
        #expect(!page.body.contains("<script"))
        let metrics = try daemon.get("/metrics").body
        for name in [
            "analyze_queue_length", "upload_queue_length", "publish_analysis_queue_length",
            "publish_upload_queue_length",
            "analyze_jobs_processed_total", "upload_jobs_processed_total", "publish_analysis_jobs_processed_total",
            "publish_upload_jobs_processed_total", "supervisor_process_state", "supervisor_process_exitcode",
            "edge_aggregator_inference_seconds", "edge_aggregator_detection_lag_seconds",
            "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_max_fds",
        ] {
            #expect(metrics.contains("# TYPE \(name) "), "\(name)")
        }
        #expect(!metrics.contains("python_") && !metrics.contains("_created"))
        #expect(metrics.contains("\nedge_aggregator_windows_total 3\n"))
        // Ended by the daemon, the subscription's text is whole.
        #expect(daemon.stop() == 0)
        let text = try events.answer()
        #expect(text.contains("event: detection") && text.contains("Leiothlypis peregrina"))
        #expect(text.contains("event: recording"))
    }

    @Test func asksForTheTokenAndLeavesStreamsAndHealthOpen() throws {
        let daemon = try DaemonProcess(settings: ["API_TOKEN": "key"])
        try daemon.start()
        #expect(try daemon.get("/api/v1/status").status == 401)
        #expect(try daemon.get("/").status == 401)
        #expect(try daemon.get("/healthz").status == 200)
        let answer = try DaemonProcess.request(
            "GET", "/api/v1/status", port: daemon.port, headers: ["Authorization: Bearer key"])
        #expect(answer.status == 200)
        try send(birds(), to: daemon, listener: "open")
    }

    @Test func refusesChangesThatAnotherPageAsksFor() throws {
        let daemon = try DaemonProcess(settings: ["HOST_NAMES": "box.local"])
        try daemon.start()
        func status(_ method: String, _ path: String, _ origin: String?) throws -> Int {
            let connection = try RawConnection(port: daemon.port)
            let line = origin.map { "Origin: \($0)\r\n" } ?? ""
            try connection.send(
                "\(method) \(path) HTTP/1.1\r\nHost: box.local:8000\r\nConnection: close\r\n\(line)Content-Length: 0\r\n\r\n"
            )
            return try DaemonProcess.parse(connection.answer()).status
        }
        let change = "/api/v1/deliveries/requeue"
        #expect(try status("POST", change, nil) == 200)
        #expect(try status("POST", change, "http://box.local:8000") == 200)
        for other in ["http://evil.example", "null", "http://box.local:8001", "http://box.local:8000.evil.example"] {
            #expect(try status("POST", change, other) == 403, "\(other)")
        }
        #expect(try status("DELETE", "/api/v1/recordings/a.wav", "http://evil.example") == 403)
        // Looking is no change, and listeners are no browsers.
        #expect(try status("GET", "/api/v1/status", "http://evil.example") == 200)
        #expect(daemon.stop() == 0)
    }
}
