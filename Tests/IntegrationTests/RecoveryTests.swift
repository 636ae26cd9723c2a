import EdgeTesting
import Foundation
import Testing

/// What a start makes of what it finds: it deletes nothing that it cannot read, and changes nothing that it did not write.
@Suite(.serialized) struct RecoveryTests {
    private static let samples = 4096
    private static let pages = 60

    private var sound: [UInt8] { WireMaker.ramp(from: 0, samples: Self.samples * Self.pages) }

    private func daemon(_ settings: [String: String] = [:]) throws -> DaemonProcess {
        try DaemonProcess(
            settings: ["SYNC_INTERVAL_MS": "50", "MIN_RECORDING_DURATION_SEC": "0"].merging(settings) { $1 })
    }

    /// Streams 5.12 s of sound and kills the daemon while the recording is open. The path of its file.
    private func killedWhileRecording(_ daemon: DaemonProcess, _ listener: String = "a") throws -> String {
        try daemon.start()
        let stream = try daemon.stream(listener)
        for number in 0..<Self.pages {
            let page = WireMaker.ramp(from: number * Self.samples, samples: Self.samples)
            try stream.send(WireMaker.chunk(WireMaker.frame(number, page)))
        }
        try waitFor("the sound and its row") {
            let listeners = try daemon.json("/api/v1/listeners")["listeners"] as? [[String: Any]] ?? []
            let connections = listeners.first { $0["id"] as? String == listener }?["connections"] as? [[String: Any]]
            return try (connections?.first?["bytes"] as? Int ?? 0) >= Self.pages * (Self.samples * 2 + 6)
                && daemon.recordings("&listener=\(listener)").first?["state"] as? String == "open"
        }
        let name = try #require(try daemon.recordings("&listener=\(listener)").first?["name"] as? String)
        daemon.killNow()
        return "\(daemon.folder)/recordings/\(listener)/\(name)"
    }

    private func bytes(_ path: String) throws -> [UInt8] { try Array(Data(contentsOf: URL(fileURLWithPath: path))) }

    private func names(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    private func overwrite(_ path: String, _ damage: Range<Int>, _ random: inout SeededGenerator) throws {
        let file = try #require(FileHandle(forWritingAtPath: path))
        try file.seek(toOffset: UInt64(damage.lowerBound))
        try file.write(
            contentsOf: Data(
                Bool.random(using: &random) ? [UInt8](repeating: 0, count: damage.count) : random.bytes(damage.count)))
        try file.close()
    }

    private func losses(_ daemon: DaemonProcess) throws -> [[String: Any]] {
        try daemon.json("/api/v1/ledger?kind=loss")["ledger"] as? [[String: Any]] ?? []
    }

    /// Every second that the sessions span was heard, or has a line.
    private func expectAccounted(_ daemon: DaemonProcess) throws {
        let coverage = try daemon.json("/api/v1/coverage")["listeners"] as? [[String: Any]] ?? []
        #expect(!coverage.isEmpty)
        for part in coverage {
            let spanned = part["spanned_seconds"] as? Double ?? -1
            let accounted = part["accounted_seconds"] as? Double ?? -2
            #expect(abs(spanned - accounted) < 0.001, "\(part)")
        }
    }

    /// 16-bit samples as another program decodes them.
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
            samples = (ctypes.c_short * 1000000)()
            count = lib.sf_read_short(file, samples, 1000000)
            sys.stdout.buffer.write(bytes(samples)[:2 * count])
            """, path,
        ]
        process.standardOutput = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Array(data)
    }

    // MARK: - Damage

    /// A power cut tears the sector in which the header is. The row knows the format.
    @Test func aTornHeaderTakesNoSoundWithIt() throws {
        var random = SeededGenerator()
        for length in [64, 44, 12, 512] {
            let daemon = try daemon()
            let path = try killedWhileRecording(daemon)
            try overwrite(path, 0..<length, &random)
            try daemon.start()
            let recording = try #require(try daemon.recordings().first)
            #expect(recording["state"] as? String == "closed")
            #expect(recording["frames"] as? Int == sound.count / 2)
            let kept = try daemon.sound(recording)
            // What the torn sector had of the sound is gone with it.
            let torn = max(0, length - 44)
            #expect(kept.count == sound.count && kept.dropFirst(torn) == sound.dropFirst(torn))
            #expect(try bytes(path)[..<44].elementsEqual(WireMaker.wavHeader(dataBytes: sound.count)))
            #expect(try losses(daemon).isEmpty)
            try expectAccounted(daemon)
            #expect(daemon.stop() == 0)
        }
    }

    /// The same of a FLAC recording: its head, and blocks in its middle.
    @Test(arguments: [0..<64, 0..<4096, 61_440..<65_536])
    func tornSectorsOfAFLACRecordingAreSilence(_ damage: Range<Int>) throws {
        var random = SeededGenerator()
        let daemon = try daemon(["RECORDING_FORMAT": "flac"])
        let noise = random.bytes(2 * Self.samples * Self.pages)
        try daemon.start()
        let stream = try daemon.stream("a")
        for number in 0..<Self.pages {
            let page = Array(noise[(number * 2 * Self.samples)..<((number + 1) * 2 * Self.samples)])
            try stream.send(WireMaker.chunk(WireMaker.frame(number, page)))
        }
        try waitFor("the sound") {
            let listeners = try daemon.json("/api/v1/listeners")["listeners"] as? [[String: Any]] ?? []
            let connections = listeners.first?["connections"] as? [[String: Any]]
            return (connections?.first?["bytes"] as? Int ?? 0) >= Self.pages * (Self.samples * 2 + 6)
        }
        let name = try #require(try daemon.recordings().first?["name"] as? String)
        let path = "\(daemon.folder)/recordings/a/\(name)"
        daemon.killNow()
        try overwrite(path, damage, &random)
        let torn = try bytes(path)
        try daemon.start()
        let recording = try #require(try daemon.recordings().first)
        #expect(recording["state"] as? String == "closed")
        let kept = try decode(path)
        #expect(kept.count == 2 * (recording["frames"] as? Int ?? -1))
        #expect(kept.count > noise.count * 3 / 4)
        let wrong = kept.indices.filter { kept[$0] != noise[$0] }
        let first = try #require(wrong.isEmpty ? 0 : wrong.first)
        // Whole blocks, and in their place nothing else.
        #expect(wrong.count <= damage.count + 4 * 2 * 4096)
        #expect(wrong.allSatisfy { kept[$0] == 0 && $0 - first < damage.count + 4 * 2 * 4096 })
        let lines = try losses(daemon)
        if damage.count == 64 {
            #expect(wrong.isEmpty && lines.isEmpty)
            #expect(try names("\(daemon.folder)/recordings/a") == [name])
        } else {
            #expect(lines.count == 1 && lines.first?["reason"] as? String == "damaged on disk")
            #expect(lines.first?["recording"] as? String == name)
            let seconds = lines.first?["seconds"] as? Double ?? 0
            #expect(seconds > 0 && seconds == recording["filled_seconds"] as? Double)
            // The original is kept beside it.
            #expect(try bytes("\(path).damaged") == torn)
        }
        try expectAccounted(daemon)
        #expect(daemon.stop() == 0)
        // Nothing is done twice.
        let repaired = try bytes(path)
        try daemon.start()
        #expect(try bytes(path) == repaired)
        #expect(try losses(daemon).count == lines.count)
        #expect(daemon.stop() == 0)
    }

    /// What nothing can be made of is put aside, and the ledger says how long it was.
    @Test func whatIsDamagedBeyondRepairIsPutAside() throws {
        var random = SeededGenerator()
        let daemon = try daemon(["RECORDING_FORMAT": "flac"])
        let path = try killedWhileRecording(daemon)
        let count = try bytes(path).count
        try overwrite(path, 0..<max(count, 100_000), &random)
        let damaged = try bytes(path)
        for _ in 0..<2 {
            try daemon.start()
            let recording = try #require(try daemon.recordings().first)
            #expect(recording["state"] as? String == "deleted")
            #expect(recording["delete_reason"] as? String == "damaged on disk")
            #expect(try bytes("\(path).damaged") == damaged)
            #expect(!FileManager.default.fileExists(atPath: path))
            let lines = try losses(daemon)
            #expect(lines.count == 1 && lines.first?["reason"] as? String == "damaged on disk")
            #expect(lines.first?["bytes"] as? Int == damaged.count)
            try expectAccounted(daemon)
            #expect(daemon.stop() == 0)
        }
    }

    /// A file that is gone is a loss with a line; should it come back, nobody deletes it.
    @Test func aFileThatIsGoneHasALineAndMayComeBack() throws {
        let daemon = try daemon()
        let path = try killedWhileRecording(daemon)
        let away = "\(daemon.folder)/away"
        try FileManager.default.moveItem(atPath: path, toPath: away)
        let before = try bytes(away)
        try daemon.start()
        let recording = try #require(try daemon.recordings().first)
        #expect(recording["state"] as? String == "deleted")
        let lines = try losses(daemon)
        #expect(lines.count == 1 && lines.first?["reason"] as? String == "lost in an unclean stop")
        try expectAccounted(daemon)
        #expect(daemon.stop() == 0)
        try FileManager.default.moveItem(atPath: away, toPath: path)
        try daemon.start()
        let back = try #require(try daemon.recordings("&state=closed").first)
        #expect(back["name"] as? String != recording["name"] as? String)
        #expect(try daemon.sound(back) == Array(before[44...]))
        try expectAccounted(daemon)
        #expect(daemon.stop() == 0)
    }

    // MARK: - Errors of the moment

    /// As long as a file cannot be read, it and its row stay as they are.
    @Test(arguments: ["wav", "flac"], [("open", EIO), ("open", EACCES), ("open", EMFILE), ("read", EIO)])
    func whatCannotBeReadNowIsTriedAgain(_ container: String, _ failure: (call: String, errnoValue: Int32)) throws {
        let folder = try TestFolders.temporary("edge-unreadable")
        defer { TestFolders.remove(folder) }
        let order = "\(folder)/order"
        let daemon = try daemon([
            "RECORDING_FORMAT": container, "LD_PRELOAD": try Interposer.make("failing_read", in: folder),
            "READ_FAILURE_FILE": order, "LOG_LEVEL": "critical",
        ])
        let path = try killedWhileRecording(daemon)
        let before = try bytes(path)
        try Data("\(failure.call) \(failure.errnoValue) .\(container)".utf8).write(to: URL(fileURLWithPath: order))
        for _ in 0..<2 {
            try daemon.start()
            #expect(try daemon.get("/healthz").status == 200)
            #expect(try daemon.recordings().first?["state"] as? String == "open")
            #expect(try losses(daemon).isEmpty)
            // Other listeners are received meanwhile; their recordings can be created, not opened.
            daemon.killNow()
            #expect(try bytes(path) == before)
        }
        try daemon.start()
        #expect(try daemon.recordings().first?["state"] as? String == "open")
        try FileManager.default.removeItem(atPath: order)
        // Without a further start.
        try waitFor("the recording") { try daemon.recordings().first?["state"] as? String == "closed" }
        let recording = try #require(try daemon.recordings().first)
        let kept = container == "wav" ? try daemon.sound(recording) : try decode(path)
        #expect(kept.count > sound.count / 2 && kept == Array(sound[..<kept.count]))
        #expect(recording["frames"] as? Int == kept.count / 2)
        #expect(try losses(daemon).isEmpty)
        try expectAccounted(daemon)
        #expect(daemon.stop() == 0)
    }

    /// The same by something else in the place of the file, without a double.
    @Test func aFolderInThePlaceOfAFileIsNoReasonToDelete() throws {
        let daemon = try daemon(["LOG_LEVEL": "critical"])
        let path = try killedWhileRecording(daemon)
        try FileManager.default.moveItem(atPath: path, toPath: "\(daemon.folder)/away")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try daemon.start()
        #expect(try daemon.recordings().first?["state"] as? String == "open")
        #expect(daemon.stop() == 0)
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: "\(daemon.folder)/away", toPath: path)
        try daemon.start()
        #expect(try daemon.sound(#require(try daemon.recordings().first)) == sound)
        try expectAccounted(daemon)
        #expect(daemon.stop() == 0)
    }

    /// A file that cannot be removed now is removed later.
    @Test func whatCannotBeRemovedNowIsRemovedLater() throws {
        let folder = try TestFolders.temporary("edge-unremovable")
        defer { TestFolders.remove(folder) }
        let order = "\(folder)/order"
        let daemon = try daemon([
            "MIN_RECORDING_DURATION_SEC": "15", "LD_PRELOAD": try Interposer.make("failing_read", in: folder),
            "READ_FAILURE_FILE": order, "LOG_LEVEL": "critical",
        ])
        let path = try killedWhileRecording(daemon)
        try Data("unlink \(EIO) .wav".utf8).write(to: URL(fileURLWithPath: order))
        for _ in 0..<2 {
            try daemon.start()
            #expect(try daemon.recordings().first?["delete_reason"] as? String == "too short")
            #expect(FileManager.default.fileExists(atPath: path))
            #expect(daemon.stop() == 0)
        }
        try FileManager.default.removeItem(atPath: order)
        try daemon.start()
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(try losses(daemon).count == 1)
        #expect(daemon.stop() == 0)
    }

    // MARK: - Rows

    /// A recording that a kill makes too short ends as one that its sender ended.
    @Test func tooShortAfterAKillIsTooShortAsEver() throws {
        let daemon = try daemon(["MIN_RECORDING_DURATION_SEC": "15"])
        let path = try killedWhileRecording(daemon, "killed")
        try daemon.start()
        let stream = try daemon.stream("ended")
        for number in 0..<Self.pages {
            let page = WireMaker.ramp(from: number * Self.samples, samples: Self.samples)
            try stream.send(WireMaker.chunk(WireMaker.frame(number, page)))
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        let rows = try ["killed", "ended"].map { try #require(try daemon.recordings("&listener=\($0)").first) }
        for key in ["state", "delete_reason", "analysis"] {
            #expect(rows[0][key] as? String == rows[1][key] as? String, "\(key)")
        }
        for key in ["seconds", "filled_seconds", "frames", "bytes", "windows"] {
            #expect("\(rows[0][key] ?? "none")" == "\(rows[1][key] ?? "none")", "\(key)")
        }
        let lines = try losses(daemon)
        #expect(lines.count == 2)
        for key in ["seconds", "bytes", "frames"] {
            #expect("\(lines[0][key] ?? "none")" == "\(lines[1][key] ?? "none")", "\(key)")
        }
        #expect(lines.allSatisfy { $0["reason"] as? String == "too short" && $0["seconds"] as? Double == 5.12 })
        #expect(!FileManager.default.fileExists(atPath: path))
        try expectAccounted(daemon)
        #expect(daemon.stop() == 0)
    }

    // MARK: - Files of others

    private func upload(_ daemon: DaemonProcess, _ name: String, _ content: [UInt8]) throws -> (
        status: Int, body: String
    ) {
        let head =
            "--XbX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\nContent-Type: audio/wav\r\n\r\n"
        return try DaemonProcess.request(
            "POST", "/recordings_upload", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=XbX"],
            body: Array(head.utf8) + content + Array("\r\n--XbX--\r\n".utf8))
    }

    /// The bird recording in another format (libsndfile's number).
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
        return try bytes("\(folder)/out")
    }

    /// What was acknowledged stays as it is, byte for byte, also when the database is lost: twice.
    @Test func uploadsOfALostDatabaseStayAsTheyAre() throws {
        let daemon = try daemon()
        try daemon.start()
        let list = WireMaker.riffChunk("LIST", Array("INFOISFT    some program  ".utf8))
        var rf64 = WireMaker.wavHeader(
            dataBytes: -1,
            extra: WireMaker.riffChunk(
                "ds64",
                WireMaker.little(0, 8) + WireMaker.little(sound.count, 8) + WireMaker.little(sound.count / 2, 8)
                    + [0, 0, 0, 0]))
        rf64.replaceSubrange(0..<4, with: Array("RF64".utf8))
        let files: [(String, [UInt8])] = [
            ("wav", WireMaker.wavHeader(dataBytes: sound.count) + sound),
            ("wav", WireMaker.wavHeader(dataBytes: sound.count) + sound + list),
            ("wav", WireMaker.wavHeader(dataBytes: sound.count) + sound + [0]),
            ("wav", WireMaker.wavHeader(dataBytes: sound.count - 1000) + sound),
            ("wav", WireMaker.wavHeader(dataBytes: sound.count + 1) + sound),
            ("wav", WireMaker.stockHeader(dataBytes: sound.count) + sound + list), ("wav", rf64 + sound + list),
            ("wav", WireMaker.wavHeader(dataBytes: sound.count, extensible: true) + sound + list),
            // Microsoft ADPCM and samples of 64 bits, which are read by libsndfile alone.
            ("wav", try encoded(0x01_0012)), ("wav", try encoded(0x01_0007)), ("flac", try encoded(0x17_0002)),
            ("mp3", try encoded(0x23_0082)),
        ]
        var known: [String: (frames: Int?, bytes: [UInt8])] = [:]
        for (number, (container, content)) in files.enumerated() {
            let name = "l\(number)_20251121T012744Z.\(container)"
            let answer = try upload(daemon, name, content)
            #expect(answer.status == 200, "\(number): \(answer.body)")
            let row = try daemon.recordings("&listener=l\(number)").first
            known["l\(number)/\(name)"] = (row?["frames"] as? Int, content)
        }
        #expect(known.count == files.count)
        #expect(daemon.stop() == 0)
        for _ in 0..<2 {
            for suffix in ["", "-wal", "-shm"] {
                try? FileManager.default.removeItem(atPath: "\(daemon.folder)/edge.db\(suffix)")
            }
            try daemon.start()
            #expect(try daemon.recordings("&state=closed").count == files.count)
            for (path, before) in known {
                #expect(try bytes("\(daemon.folder)/recordings/\(path)") == before.bytes, "\(path)")
                let name = (path as NSString).lastPathComponent
                let row = try daemon.json("/api/v1/recordings/\(name)")
                #expect(row["frames"] as? Int == before.frames, "\(path)")
            }
            #expect(daemon.stop() == 0)
        }
    }

    /// A recording that was open when the database was lost with it is ours by its header, and becomes whole.
    @Test func anOpenRecordingOfALostDatabaseBecomesWhole() throws {
        for container in ["wav", "flac"] {
            let daemon = try daemon(["RECORDING_FORMAT": container])
            let path = try killedWhileRecording(daemon)
            for suffix in ["", "-wal", "-shm"] {
                try? FileManager.default.removeItem(atPath: "\(daemon.folder)/edge.db\(suffix)")
            }
            try daemon.start()
            let recording = try #require(try daemon.recordings("&state=closed").first)
            let kept = container == "wav" ? try daemon.sound(recording) : try decode(path)
            #expect(kept.count > sound.count / 2 && kept == Array(sound[..<kept.count]))
            #expect(recording["frames"] as? Int == kept.count / 2)
            #expect(daemon.stop() == 0)
        }
    }

    /// A start removes only what this program makes and nobody has been told of.
    @Test func aStartRemovesOnlyItsOwnHalfMadeFiles() throws {
        let daemon = try daemon(["LOG_LEVEL": "critical"])
        try daemon.start()
        let wav = WireMaker.wavHeader(dataBytes: sound.count) + sound
        #expect(try upload(daemon, "l_20251121T012744Z.wav", wav).status == 200)
        #expect(daemon.stop() == 0)
        let folder = "\(daemon.folder)/recordings/l"
        let kept = ["lonely.wav.silenced", "l_20251121T012745Z.wav", "notes.txt", "l_20251121T012744Z.wav.damaged"]
        for name in kept { try Data("not sound".utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
        for name in ["l_20251121T012744Z.wav.silenced", "l_20251121T012744Z.wav.salvaged"] {
            try Data("half".utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
        }
        for name in ["upload-a1B2c3", "upload-of-mine.wav", "uploads"] {
            try Data("spool".utf8).write(to: URL(fileURLWithPath: "\(daemon.folder)/spool/\(name)"))
        }
        try daemon.start()
        #expect(try names(folder) == (kept + ["l_20251121T012744Z.wav"]).sorted())
        #expect(try bytes("\(folder)/l_20251121T012744Z.wav") == wav)
        #expect(try names("\(daemon.folder)/spool") == ["piwardrive", "upload-of-mine.wav", "uploads"])
        // A file without a row that is left alone keeps its name, too.
        #expect(try upload(daemon, "l_20251121T012745Z.wav", wav).body.contains("l_20251121T012745Z-2.wav"))
        #expect(try String(contentsOfFile: "\(folder)/l_20251121T012745Z.wav", encoding: .utf8) == "not sound")
        #expect(daemon.stop() == 0)
    }

    /// An upload is decoded to its end before it is acknowledged.
    @Test func refusesAnUploadThatIsBrokenAnywhere() throws {
        let daemon = try daemon()
        try daemon.start()
        let flac = try encoded(0x17_0002)
        #expect(try upload(daemon, "whole.flac", flac).status == 200)
        for place in [100, flac.count / 3, flac.count / 2, flac.count - 600] {
            var broken = flac
            for index in place..<(place + 512) { broken[index] ^= 0xA5 }
            #expect(try upload(daemon, "broken.flac", broken).status == 400, "from \(place)")
        }
        for part in [2, 3, 10] {
            #expect(try upload(daemon, "cut.flac", Array(flac[..<(flac.count / part)])).status == 400)
        }
        #expect(try daemon.recordings().count == 1)
        #expect(try names("\(daemon.folder)/spool") == ["piwardrive"])
        #expect(daemon.stop() == 0)
    }

    // MARK: - Analysis

    private func birdsInAStream(_ daemon: DaemonProcess) throws {
        let birds = try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())).dropFirst(44))
        let stream = try daemon.stream("a")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 32_000))))
        for (number, start) in stride(from: 0, to: birds.count, by: 32_768).enumerated() {
            let page = Array(birds[start..<min(start + 32_768, birds.count)])
            try stream.send(WireMaker.chunk(WireMaker.frame(number + 1, page)))
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
    }

    private func analysing(_ settings: [String: String], _ folder: String) throws -> DaemonProcess {
        let daemon = try DaemonProcess(
            settings: [
                "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(), "ANALYZER_WORKERS": "1",
                "PRIVACY_THRESHOLD": "1", "OVERLAP_SEC": "1", "MIN_RECORDING_DURATION_SEC": "0",
                "LD_PRELOAD": try Interposer.make("failing_read", in: folder),
                "READ_FAILURE_FILE": "\(folder)/order", "LOG_LEVEL": "critical",
            ].merging(settings) { $1 })
        try daemon.start()
        return daemon
    }

    /// What was analyzed live stays counted when the rest is gone.
    @Test func windowsOfTheFirstPassStayCounted() throws {
        let folder = try TestFolders.temporary("edge-windows")
        defer { TestFolders.remove(folder) }
        let daemon = try analysing(["ANALYSIS_WINDOWS_PER_LISTENER": "1"], folder)
        try Data("open \(ENOENT) .wav".utf8).write(to: URL(fileURLWithPath: "\(folder)/order"))
        try birdsInAStream(daemon)
        try waitFor("the failure") { try daemon.recordings("&analysis=failed").count == 1 }
        let analysis = try daemon.json("/api/v1/status")["analysis"] as? [String: Any]
        #expect(analysis?["windows_spilled"] as? Int ?? 0 > 0)
        let live = try #require(analysis?["windows"] as? Int)
        #expect(live > 0)
        #expect(try daemon.recordings().first?["windows"] as? Int == live)
        #expect(daemon.stop() == 0)
    }

    /// A disk that refuses to read at that moment says nothing about the recording: it is analyzed when it can be read.
    @Test(arguments: [EIO, EMFILE]) func analysisIsTriedAgain(number: Int32) throws {
        let folder = try TestFolders.temporary("edge-again")
        defer { TestFolders.remove(folder) }
        let daemon = try analysing(["ANALYSIS_WINDOWS_PER_LISTENER": "1"], folder)
        try Data("open \(number) .wav".utf8).write(to: URL(fileURLWithPath: "\(folder)/order"))
        try birdsInAStream(daemon)
        try waitFor("a refusal") {
            try daemon.get("/metrics").body.contains("edge_aggregator_analysis_failures_total 1\n")
        }
        #expect(try daemon.recordings("&analysis=pending").count == 1)
        try FileManager.default.removeItem(atPath: "\(folder)/order")
        try waitFor("the analysis") { try daemon.recordings("&analysis=done").count == 1 }
        // Windows of three seconds, one each two seconds, of ten seconds.
        #expect(try daemon.recordings().first?["windows"] as? Int == 5)
        #expect(daemon.stop() == 0)
    }

    /// A voice that cannot be silenced at that moment costs no sound, and nobody gets it.
    @Test func aVoiceIsSilencedWhenTheDiskLetsIt() throws {
        let folder = try TestFolders.temporary("edge-voice")
        defer { TestFolders.remove(folder) }
        // Every window counts as a voice.
        let daemon = try analysing(["PRIVACY_THRESHOLD": "0"], folder)
        try Data("open \(EIO) .wav".utf8).write(to: URL(fileURLWithPath: "\(folder)/order"))
        try birdsInAStream(daemon)
        Thread.sleep(forTimeInterval: 6)
        let row = try #require(try daemon.recordings().first)
        #expect(row["state"] as? String == "closed" && row["analysis"] as? String == "pending")
        let name = try #require(row["name"] as? String)
        let path = "\(daemon.folder)/recordings/a/\(name)"
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(before.dropFirst(44).contains { $0 != 0 })
        #expect(try daemon.get("/api/v1/recordings/\(name)/audio").status == 409)
        // Its last window reaches into the next recording: it cannot be deleted before it is analysed.
        #expect(try DaemonProcess.request("DELETE", "/api/v1/recordings/\(name)", port: daemon.port).status == 409)
        try FileManager.default.removeItem(atPath: "\(folder)/order")
        try waitFor("the silence") { try daemon.recordings("&analysis=done").count == 1 }
        let after = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(after.count == before.count && after.dropFirst(44).allSatisfy { $0 == 0 })
        let coverage = try daemon.json("/api/v1/coverage")["listeners"] as? [[String: Any]] ?? []
        #expect((coverage.first?["losses"] as? [String: Double])?["human voice"] ?? 0 > 9)
        #expect(daemon.stop() == 0)
    }
}
