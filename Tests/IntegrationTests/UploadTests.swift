import EdgeTesting
import Foundation
import Testing

@Suite(.serialized) struct UploadTests {
    private func form(_ parts: [(String, [UInt8])]) -> [UInt8] {
        var body: [UInt8] = []
        for (disposition, content) in parts {
            body += Array(
                "--XbX\r\nContent-Disposition: form-data; \(disposition)\r\nContent-Type: audio/wav\r\n\r\n".utf8)
            body += content + [13, 10]
        }
        return body + Array("--XbX--\r\n".utf8)
    }

    private func upload(_ daemon: DaemonProcess, _ parts: [(String, [UInt8])]) throws -> (status: Int, body: String) {
        try DaemonProcess.request(
            "POST", "/recordings_upload", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=XbX"], body: form(parts))
    }

    @Test func analysesWAVFLACAndMP3AndRefusesTheRest() throws {
        let models = try TestFolders.programModels()
        let daemon = try DaemonProcess(settings: [
            "ANALYZE_RECORDINGS": "true", "MODELS_DIR": models, "ANALYZER_WORKERS": "1", "PRIVACY_THRESHOLD": "1",
        ])
        try daemon.start()
        let birds = try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())))
        let wav = try upload(
            daemon,
            [
                ("name=\"listener_id\"", Array("listener01".utf8)),
                ("name=\"file\"; filename=\"listener01_20251121T012744Z.wav\"", birds),
            ])
        #expect(wav.status == 200)
        #expect(wav.body == #"{"status":"ok","filename":"listener01_20251121T012744Z.wav"}"#)
        // The same name again is another recording.
        let again = try upload(daemon, [("name=\"file\"; filename=\"listener01_20251121T012744Z.wav\"", birds)])
        #expect(again.body == #"{"status":"ok","filename":"listener01_20251121T012744Z-2.wav"}"#)
        for (name, format) in [("l2_20251121T012744Z.flac", 0x170002), ("l3_20251121T012744Z.mp3", 0x230082)] {
            let answer = try upload(daemon, [("name=\"file\"; filename=\"\(name)\"", try encoded(format))])
            #expect(answer.body == "{\"status\":\"ok\",\"filename\":\"\(name)\"}")
        }
        let before = try daemon.recordings().count
        for (name, content, status) in [
            ("a.txt", birds, 400), ("a.wav", Array("not a wav".utf8), 400), ("a.flac", birds, 400), ("a.wav", [], 400),
            ("a.mp3", [UInt8](repeating: 0xFF, count: 5000), 400),
        ] {
            let answer = try upload(daemon, [("name=\"file\"; filename=\"\(name)\"", content)])
            #expect(answer.status == status, "\(name): \(answer)")
        }
        #expect(
            try upload(daemon, [("name=\"file\"; filename=\"a.txt\"", [])]).body
                == #"{"detail":"Unsupported file type"}"#)
        #expect(try upload(daemon, [("name=\"other\"", [1])]).status == 422)
        #expect(
            try upload(
                daemon, [("name=\"listener_id\"", Array("../x".utf8)), ("name=\"file\"; filename=\"a.wav\"", birds)]
            ).status == 400)
        #expect(try daemon.recordings().count == before)
        // The folder of another kind of uploads is all that is there.
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/spool") == ["piwardrive"])
        try waitFor("all analyses") { try daemon.recordings("&analysis=done").count == 4 }
        let detections = try daemon.json("/api/v1/detections")["detections"] as? [[String: Any]] ?? []
        // What the authors' own tool finds in this recording above 0.25, window by window.
        let species = Set(detections.compactMap { $0["scientific_name"] as? String })
        #expect(species.contains("Leiothlypis peregrina"))
        #expect(
            detections.allSatisfy {
                $0["model_sha256"] as? String == "55f3e4055b1a13bfa9a2452731d0d34f6a02d6b775a334362665892794165e4c"
            })
        // Both files say the same listener and moment: what is heard in them is one detection, in one line below the head.
        let csv = try daemon.get("/api/v1/detections?format=csv&species=tennessee%20warbler")
        let listeners = csv.body.split(separator: "\r\n").dropFirst().map { $0.split(separator: ",")[1] }
        #expect(listeners.sorted() == ["l2", "l3", "listener01"])
    }

    @Test func takesAnyNameAndTellsTimesThatAreNone() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let birds = try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())))
        // Names that say a time of no recorder, or no listener, are as good as any.
        for name in ["a_99991231T235959Z.wav", "a_17000101T000000Z.wav", "forest walk_20251121T012744Z.wav"] {
            #expect(try upload(daemon, [("name=\"file\"; filename=\"\(name)\"", birds)]).status == 200, "\(name)")
        }
        #expect(try daemon.get("/api/v1/coverage?from=2025-11-22&to=2025-11-21").status == 400)
        #expect(try daemon.get("/api/v1/detections?from=\(Int64.min)").status == 400)
        #expect(try daemon.recordings("&listener=upload").count == 3)
    }

    /// The bird recording, encoded by another program (libsndfile's format number).
    private func encoded(_ format: Int) throws -> [UInt8] {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            """
            import ctypes, sys
            lib = ctypes.CDLL("libsndfile.so.1")
            class Info(ctypes.Structure):
                _fields_ = [("frames", ctypes.c_int64)] + [(n, ctypes.c_int) for n in "rate channels format sections seekable".split()]
            lib.sf_open.restype = ctypes.c_void_p
            lib.sf_close.argtypes = [ctypes.c_void_p]
            for name in ["sf_read_short", "sf_write_short"]:
                getattr(lib, name).argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
                getattr(lib, name).restype = ctypes.c_int64
            info = Info()
            source = lib.sf_open(sys.argv[1].encode(), 0x10, ctypes.byref(info))
            samples = (ctypes.c_short * info.frames)()
            lib.sf_read_short(source, samples, info.frames)
            target = lib.sf_open(sys.argv[2].encode(), 0x20, ctypes.byref(Info(0, info.rate, 1, int(sys.argv[3]), 0, 0)))
            lib.sf_write_short(target, samples, info.frames)
            lib.sf_close(target)
            """, try TestFolders.birds(), "\(folder)/out", "\(format)",
        ]
        try process.run()
        process.waitUntilExit()
        return try Array(Data(contentsOf: URL(fileURLWithPath: "\(folder)/out")))
    }

    @Test func handsOutTheSoundWithRangesAndDeletesIt() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let birds = try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())))
        _ = try upload(daemon, [("name=\"file\"; filename=\"x.wav\"", birds)])
        let name = try #require(try daemon.recordings().first?["name"] as? String)
        let connection = try RawConnection(port: daemon.port)
        try connection.send(
            "GET /api/v1/recordings/\(name)/audio HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-3\r\nConnection: close\r\n\r\n"
        )
        let part = try DaemonProcess.parse(connection.answer())
        #expect(part.status == 206)
        #expect(part.body == "RIFF")
        #expect(try DaemonProcess.request("DELETE", "/api/v1/recordings/\(name)", port: daemon.port).status == 204)
        #expect(try daemon.get("/api/v1/recordings/\(name)/audio").status == 410)
        #expect(try daemon.get("/api/v1/recordings/none").status == 404)
        #expect(try daemon.get("/api/v1/detections?limit=x").status == 400)
    }
}
