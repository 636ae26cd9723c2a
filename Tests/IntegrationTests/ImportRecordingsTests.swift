import EdgeTesting
import Foundation
import Testing

/// The recordings that the replaced receiver left: a start says that they are there, and a command takes them in where they are. The files
/// are written by a script in the form that they had there, and read by Python's own `wave`.
@Suite(.serialized) struct ImportRecordingsTests {
    private static let script = "\(TestFolders.root)/Tests/Doubles/legacy_recordings.py"
    private static let command = ["import-recordings", "--in-place"]

    private func python(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3"] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    private func make(_ folder: String, _ orders: String...) throws {
        let made = try python([Self.script, "make", folder] + orders)
        guard made.status == 0 else { throw DaemonProcess.Failure(description: "\(made)") }
    }

    /// Frames, rate, channels and bits, and a checksum of the sound; nil when Python cannot read the file.
    private func read(_ path: String) throws -> String? {
        let answer = try python([Self.script, "read", path])
        return answer.status == 0 ? answer.output : nil
    }

    /// The same as it must be for so many samples, by the description of the sound and not from a file.
    private func wanted(_ samples: Int) throws -> String {
        let code = """
            import array, hashlib
            pcm = array.array("H", (n & 0xFFFF for n in range(\(samples)))).tobytes()
            print(\(samples), 48000, 1, 16, hashlib.sha256(pcm).hexdigest())
            """
        return try python(["-c", code]).output
    }

    /// What is in the two folders: names, bytes and times.
    private func files(_ folder: String) throws -> [String: String] {
        var found: [String: String] = [:]
        for part in ["recordings", "recordings_tmp"] {
            // A folder that is not there has none.
            let names = (try? FileManager.default.subpathsOfDirectory(atPath: "\(folder)/\(part)")) ?? []
            for name in names where name != ".alive" {
                let path = "\(folder)/\(part)/\(name)"
                let facts = try FileManager.default.attributesOfItem(atPath: path)
                let content = (try? Data(contentsOf: URL(fileURLWithPath: path))) ?? Data()
                found["\(part)/\(name)"] =
                    "\(content.hashValue) \(content.count) \(String(describing: facts[.modificationDate]))"
            }
        }
        return found
    }

    private func log(_ path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
            .filter { $0.contains("replaced receiver") }
    }

    private func run(_ daemon: DaemonProcess, _ folder: String? = nil) throws -> (status: Int32, output: String) {
        try folder.map { try daemon.command("import-recordings", "--in-place", $0) }
            ?? daemon.command("import-recordings", "--in-place")
    }

    // MARK: - What a start says, and what the command takes

    @Test func aStartSaysWhatLiesThereAndTheCommandTakesItIn() throws {
        let daemon = try DaemonProcess(settings: ["LISTEN": "127.0.0.1:0"])
        let folder = daemon.folder
        try make(
            folder, "finished:porch:20240101T120000Z:192000", "finished:porch:20240101T120020Z:96000",
            "uploaded:hut_2:20240102T000000Z:144000", "unsized:hut_2:20240102T000100Z:48000",
            "unfinished:porch:20240101T120040Z:72000", "headed:pond:20240103T000000Z:50000",
            "odd:pond:20240103T000100Z:50001")
        let before = try files(folder)
        let logPath = "\(folder)/log"
        try daemon.start(logPath: logPath)
        try waitFor("the two folders") { try log(logPath).count == 2 }
        let lines = try log(logPath)
        // 44 + 2 × 192,000, 44 + 2 × 96,000, 450 + 2 × 144,000 + 12, 44 + 2 × 48,000
        let finished = try #require(lines.first { $0.contains("folder=\"\(folder)/recordings\"") })
        #expect(finished.contains("files=\"4\"") && finished.contains("bytes=\"960594\""), "\(finished)")
        #expect(finished.contains("edge-aggregator import-recordings --in-place"), "\(finished)")
        // 44 + 2 × 72,000, 450 + 2 × 50,000, 44 + 2 × 50,001 + 1
        let unfinished = try #require(lines.first { $0.contains("folder=\"\(folder)/recordings_tmp\"") })
        #expect(unfinished.contains("files=\"3\"") && unfinished.contains("bytes=\"344541\""), "\(unfinished)")
        #expect(try daemon.recordings().isEmpty)
        #expect(try files(folder) == before)

        let first = try run(daemon)
        #expect(first.status == 0, "\(first.output)")
        #expect(
            first.output.contains("of 7 recordings 7 are new, 0 were there already, 0 more rejected"),
            "\(first.output)")
        #expect(first.output.contains("4 of the files were repaired"), "\(first.output)")
        // What was finished and right is the same file in the same place.
        let after = try files(folder)
        for name in ["porch_20240101T120000Z.wav", "porch_20240101T120020Z.wav", "hut_2_20240102T000000Z.WAV"] {
            #expect(after["recordings/\(name)"] == before["recordings/\(name)"], "\(name)")
        }
        #expect(!after.keys.contains { $0.hasPrefix("recordings_tmp/") })
        // Another program reads all of them, to the last whole sample.
        for (name, samples) in [
            ("porch_20240101T120000Z.wav", 192_000), ("porch_20240101T120020Z.wav", 96_000),
            ("hut_2_20240102T000000Z.WAV", 144_000), ("hut_2_20240102T000100Z.wav", 48_000),
            ("porch_20240101T120040Z.wav", 72_000), ("pond_20240103T000000Z.wav", 50_000),
            ("pond_20240103T000100Z.wav", 50_001),
        ] {
            #expect(try read("\(folder)/recordings/\(name)") == wanted(samples), "\(name)")
        }
        // The running daemon knows them, with the times of their names.
        let rows = try daemon.recordings()
        #expect(rows.count == 7 && rows.allSatisfy { $0["state"] as? String == "closed" })
        let row = try #require(rows.first { $0["name"] as? String == "pond_20240103T000000Z.wav" })
        #expect(row["listener"] as? String == "pond" && row["frames"] as? Int == 50_000)
        #expect((row["start_at"] as? String)?.hasPrefix("2024-01-03T00:00:00") == true, "\(row)")
        #expect(try daemon.get("/api/v1/recordings/hut_2_20240102T000000Z.WAV/audio").status == 200)

        let second = try run(daemon)
        #expect(second.status == 0 && second.output.contains("all of 7 recordings were there already"), "\(second)")
        #expect(try files(folder) == after && daemon.recordings().count == 7)
        #expect(daemon.stop() == 0)
        // Nothing is left to be said, and a start takes nothing from them.
        try daemon.start(logPath: logPath)
        usleep(1_000_000)
        #expect(try log(logPath).isEmpty)
        #expect(daemon.stop() == 0)
        #expect(try files(folder) == after)
    }

    @Test func worksWithoutADaemonAndInTheFolderThatIsNamed() throws {
        let daemon = try DaemonProcess()
        let folder = daemon.folder
        try make(folder, "finished:a:20240101T120000Z:4800", "unfinished:a:20240101T120020Z:4800")
        let elsewhere = try TestFolders.temporary("edge-elsewhere")
        defer { TestFolders.remove(elsewhere) }
        try make(elsewhere, "finished:b:20240101T120000Z:4800")
        let before = try files(elsewhere).filter { $0.key.hasPrefix("recordings/") }
        #expect(try daemon.command("import-recordings").status == 64)
        let other = try run(daemon, "\(elsewhere)/recordings")
        #expect(other.status == 64 && other.output.contains("recordings_dir"), "\(other.output)")
        #expect(try run(daemon, "\(elsewhere)/none").status == 74)
        #expect(try files(elsewhere).filter { $0.key.hasPrefix("recordings/") } == before)
        let one = try run(daemon, "\(folder)/recordings_tmp/")
        #expect(one.status == 0 && one.output.contains("of 1 recordings 1 are new"), "\(one.output)")
        let all = try run(daemon, folder)
        #expect(
            all.status == 0 && all.output.contains("of 2 recordings 1 are new, 1 were there already"), "\(all.output)")
        try daemon.start()
        #expect(try daemon.recordings().count == 2)
        #expect(daemon.stop() == 0)
        let nothing = try DaemonProcess()
        try FileManager.default.createDirectory(
            atPath: "\(nothing.folder)/recordings", withIntermediateDirectories: true)
        let empty = try run(nothing)
        #expect(empty.status == 0 && empty.output.contains("there are no recordings in it"), "\(empty.output)")
    }

    /// The replaced receiver's own setting for its other folder is the spool's here.
    @Test func findsUnfinishedOnesWhereTheSettingSaysTheyAre() throws {
        let daemon = try DaemonProcess(settings: [:])
        let folder = daemon.folder
        let other = try DaemonProcess(folder: folder, settings: ["RECORDINGS_TMP_DIR": "\(folder)/own_tmp"])
        try make(folder, "finished:a:20240101T120000Z:4800", "unfinished:a:20240101T120020Z:4800")
        try FileManager.default.moveItem(atPath: "\(folder)/recordings_tmp", toPath: "\(folder)/own_tmp")
        try other.start()
        let result = try run(other)
        #expect(result.status == 0 && result.output.contains("of 2 recordings 2 are new"), "\(result.output)")
        #expect(try read("\(folder)/recordings/a_20240101T120020Z.wav") == wanted(4800))
        #expect(other.stop() == 0)
    }

    // MARK: - What cannot be taken

    @Test func whatCannotBeTakenStaysAndIsCountedByItsReason() throws {
        let daemon = try DaemonProcess()
        let folder = daemon.folder
        try make(folder, "finished:good:20240101T120000Z:4800")
        let made = try python([
            "-c",
            """
            import os, sys
            place = os.path.join(sys.argv[1], "recordings").encode()
            def put(name, content): open(place + b"/" + name, "wb").write(content)
            put(b"a_20240101T120000Z.wav", b"")
            put(b"b_20240101T120000Z.wav", b"this is text and no sound")
            put(b"b_20240101T120001Z.mp3", b"no frame of MP3 " * 300)
            put(b"c_20240101T120000Z.wav", b"RIFF\\0\\0\\0\\0WAVEfmt ")
            put(b"notes.txt", b"x")
            put(b"garden mic_20240101T120000Z.wav", b"x")
            put(b"_20240101T120000Z.wav", b"x")
            put(b"x\\n\\x1b[31m_20240101T120000Z.wav", b"x")
            put(b"\\xff\\xfe_20240101T120000Z.wav", b"x")
            put(b"d_20249999T120000Z.wav", b"x")
            put(b"d_20240101T120000Z-1.wav", b"x")
            put(b"L" * 65 + b"_20240101T120000Z.wav", b"x")
            os.symlink("/etc/hostname", place + b"/e_20240101T120000Z.wav")
            os.symlink("good_20240101T120000Z.wav", place + b"/e_20240101T120001Z.wav")
            os.mkfifo(place + b"/f_20240101T120000Z.wav")
            os.mkdir(place + b"/g_20240101T120000Z.flac")
            os.mkdir(place + b"/mic.wav")
            """, folder,
        ])
        #expect(made.status == 0)
        try FileManager.default.createDirectory(atPath: "\(folder)/recordings_tmp", withIntermediateDirectories: true)
        // A header is all that was written of it.
        try Data(WireMaker.wavHeader()).write(
            to: URL(fileURLWithPath: "\(folder)/recordings_tmp/h_20240101T120000Z.wav.tmp"))
        try daemon.start()
        func names() throws -> [String: Int] {
            // Without what cannot be opened.
            Dictionary(
                uniqueKeysWithValues: try FileManager.default.contentsOfDirectory(atPath: "\(folder)/recordings")
                    .filter { $0 != ".alive" }.map { name in
                        let facts = try? FileManager.default.attributesOfItem(atPath: "\(folder)/recordings/\(name)")
                        return (name, (facts?[.size] as? NSNumber)?.intValue ?? -1)
                    })
        }
        let before = try names()
        for (found, pass) in [("of 1 recordings 1 are new", 1), ("all of 1 recordings were there already", 2)] {
            let result = try run(daemon)
            #expect(result.status == 0 && result.output.contains(found), "pass \(pass): \(result.output)")
            #expect(result.output.contains("17 more rejected"), "\(result.output)")
            for reason in [
                "1 rejected: it is empty", "4 rejected: it holds no sound", "1 rejected: the name does not end with",
                "7 rejected: the name is not LISTENER", "4 rejected: it is a link, a folder or a device",
            ] {
                #expect(result.output.contains(reason), "\(reason): \(result.output)")
            }
            // A name has no line or color of its own on a terminal.
            #expect(!result.output.utf8.contains(0x1B) && !result.output.contains("\n\u{1B}"), "\(result.output)")
            #expect(try names() == before)
        }
        #expect(try daemon.recordings().count == 1)
        // Where nothing can be used, that is an error.
        try FileManager.default.removeItem(atPath: "\(folder)/recordings/good_20240101T120000Z.wav")
        let nothing = try run(daemon)
        #expect(nothing.status == 1 && nothing.output.contains("nothing of it was taken"), "\(nothing.output)")
        #expect(daemon.stop() == 0)
    }

    /// The replaced receiver runs still, and writes on.
    @Test func aFileThatAnotherProgramWritesIsLeftAlone() throws {
        let daemon = try DaemonProcess()
        let folder = daemon.folder
        try make(folder, "finished:a:20240101T120000Z:4800", "unfinished:a:20240101T120020Z:4800")
        let path = "\(folder)/recordings_tmp/a_20240101T120020Z.wav.tmp"
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        let holder = Process()
        holder.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        holder.arguments = ["python3", Self.script, "hold", path]
        let (input, output) = (Pipe(), Pipe())
        holder.standardInput = input
        holder.standardOutput = output
        try holder.run()
        // The line may come in two parts.
        #expect(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).hasPrefix("held"))
        try daemon.start()
        let first = try run(daemon)
        #expect(first.status == 1 && first.output.contains("another program is writing it"), "\(first.output)")
        #expect(first.output.contains("of 1 recordings 1 are new"), "\(first.output)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        try input.fileHandleForWriting.close()
        holder.waitUntilExit()
        let second = try run(daemon)
        #expect(second.status == 0 && second.output.contains("of 2 recordings 1 are new"), "\(second.output)")
        #expect(try read("\(folder)/recordings/a_20240101T120020Z.wav") == wanted(4800))
        #expect(daemon.stop() == 0)
    }

    /// What the disk, or its rights, do not let be read now is taken by a later run.
    @Test(arguments: [("open", EIO), ("open", EACCES), ("read", EIO), ("list", EIO)])
    func whatCannotBeReadNowIsTakenLater(_ failure: (call: String, errnoValue: Int32)) throws {
        let place = try TestFolders.temporary("edge-unreadable")
        defer { TestFolders.remove(place) }
        let order = "\(place)/order"
        let daemon = try DaemonProcess(settings: [
            "LD_PRELOAD": try Interposer.make("failing_read", in: place), "READ_FAILURE_FILE": order,
        ])
        let folder = daemon.folder
        try make(
            folder, "finished:a:20240101T120000Z:4800", "finished:a:20240101T120020Z:4800",
            "unfinished:a:20240101T120040Z:4800")
        let end = failure.call == "list" ? "recordings_tmp" : "T120040Z.wav.tmp"
        try Data("\(failure.call) \(failure.errnoValue) \(end)".utf8).write(to: URL(fileURLWithPath: order))
        let before = try files(folder)
        let first = try run(daemon)
        #expect(first.status == 1, "\(first.output)")
        #expect(first.output.contains("of 2 recordings 2 are new"), "\(first.output)")
        let reason =
            failure.call == "list"
            ? "cannot be read to its end"
            : failure.errnoValue == EACCES ? "this user may not read" : "it cannot be read or written now"
        #expect(first.output.contains(reason), "\(first.output)")
        #expect(try files(folder) == before)
        try FileManager.default.removeItem(atPath: order)
        let second = try run(daemon)
        #expect(second.status == 0 && second.output.contains("of 3 recordings 1 are new"), "\(second.output)")
        try daemon.start()
        #expect(try daemon.recordings().count == 3)
        #expect(daemon.stop() == 0)
    }

    // MARK: - Interrupted

    /// The command is killed at random moments, again and again, while the daemon runs: at the end every file has one row.
    @Test func aKilledRunIsGoneOnWithByTheNext() throws {
        var random = SeededGenerator()
        let daemon = try DaemonProcess()
        let folder = daemon.folder
        let stamps = (0..<900).map { number in
            let (minute, second) = (number / 60, number % 60)
            return "20240101T12\(minute < 10 ? "0" : "")\(minute)\(second < 10 ? "0" : "")\(second)Z"
        }
        let orders = stamps.enumerated().map { number, stamp in
            "\(["finished", "unfinished", "headed"][number % 3]):l\(number % 5):\(stamp):\(4800 + number)"
        }
        let made = try python([Self.script, "make", folder] + orders)
        #expect(made.status == 0)
        try daemon.start()
        for _ in 0..<8 {
            let running = try TestProgram(
                TestFolders.program, Self.command,
                environment: [
                    "BASE_DIR": folder, "CONFIG_PATH": "\(folder)/settings.yaml", "ANALYZE_RECORDINGS": "false",
                ])
            usleep(UInt32.random(in: 50_000...900_000, using: &random))
            running.stop()
        }
        let last = try run(daemon)
        #expect(last.status == 0, "\(last.output)")
        let again = try run(daemon)
        #expect(again.output.contains("all of 900 recordings were there already, 0 more rejected"), "\(again.output)")
        let rows = try daemon.recordings()
        #expect(rows.count == 900 && rows.allSatisfy { $0["state"] as? String == "closed" })
        let frames = Dictionary(
            uniqueKeysWithValues: rows.compactMap { row in
                (row["name"] as? String).flatMap { name in (row["frames"] as? Int).map { (name, $0) } }
            })
        for (number, stamp) in stamps.enumerated() {
            #expect(frames["l\(number % 5)_\(stamp).wav"] == 4800 + number, "\(number)")
        }
        for number in [0, 1, 2, 449, 450, 451, 897, 898, 899] {
            #expect(
                try read("\(folder)/recordings/l\(number % 5)_\(stamps[number]).wav") == wanted(4800 + number),
                "\(number)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/recordings_tmp").isEmpty)
        #expect(daemon.stop() == 0)
    }

    /// A name that the replaced receiver gave twice, and a copy that somebody made.
    @Test func twoRecordingsOfOneNameAreBothKept() throws {
        let daemon = try DaemonProcess()
        let folder = daemon.folder
        try make(
            folder, "finished:a:20240101T120000Z:4800", "unfinished:a:20240101T120000Z:9600",
            "finished:a:20240101T120020Z:4800")
        try daemon.start()
        let first = try run(daemon)
        #expect(first.status == 0 && first.output.contains("of 3 recordings 3 are new"), "\(first.output)")
        #expect(try read("\(folder)/recordings/a_20240101T120000Z.wav") == wanted(4800))
        #expect(try read("\(folder)/recordings/a_20240101T120000Z-2.wav") == wanted(9600))
        let row = try #require(
            try daemon.recordings().first { $0["name"] as? String == "a_20240101T120000Z-2.wav" })
        #expect((row["start_at"] as? String)?.hasPrefix("2024-01-01T12:00:00") == true, "\(row)")
        // The same content under the same name is no other recording.
        try FileManager.default.copyItem(
            atPath: "\(folder)/recordings/a_20240101T120020Z.wav",
            toPath: "\(folder)/recordings_tmp/a_20240101T120020Z.wav")
        let second = try run(daemon)
        #expect(second.output.contains("all of 4 recordings were there already"), "\(second.output)")
        // One that is received later under such a name takes another.
        let disposition = "Content-Disposition: form-data; name=\"file\"; filename=\"a_20240101T120000Z.wav\""
        let sound = WireMaker.wavHeader(dataBytes: 9600) + WireMaker.ramp(from: 7, samples: 4800)
        let form = Array("--b\r\n\(disposition)\r\n\r\n".utf8) + sound + Array("\r\n--b--\r\n".utf8)
        let answer = try DaemonProcess.request(
            "POST", "/recordings_upload?listener_id=a", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=b"], body: form)
        #expect(answer.status == 200 && answer.body.contains("a_20240101T120000Z-3.wav"), "\(answer)")
        #expect(try daemon.recordings().count == 4)
        #expect(daemon.stop() == 0)
    }

    // MARK: - What becomes of them

    /// They are analyzed and uploaded as others are, and go when nothing is to be kept.
    @Test func theyAreAnalyzedDeliveredAndRemovedAsOthersAre() throws {
        let server = try FarEnd.s3("rclone", accessKey: "key12345", secretKey: "secret12345", bucket: "field-data")
        let daemon = try DaemonProcess(settings: [
            "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(), "ANALYZER_WORKERS": "1",
            "PRIVACY_THRESHOLD": "1", "S3_ENDPOINT": "http://127.0.0.1:\(server.port)", "S3_BUCKET": "field-data",
            "S3_PREFIX": "north", "S3_ACCESS_KEY": "key12345", "S3_SECRET_KEY": "secret12345",
            "AGGREGATOR_UUID": "box-1", "DELETE_RECORDINGS": "true", "HISTORY_MAX_AGE_DAYS": "0",
            "LOG_LEVEL": "critical",
        ])
        let folder = daemon.folder
        let birds = try Data(contentsOf: URL(fileURLWithPath: TestFolders.birds()))
        for part in ["recordings", "recordings_tmp"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(part)", withIntermediateDirectories: true)
        }
        // Older than deliveries wait, which counts from when they came here.
        try birds.write(to: URL(fileURLWithPath: "\(folder)/recordings/porch_20200501T040000Z.wav"))
        var cut = birds
        for range in [4..<8, 40..<44] { cut.replaceSubrange(range, with: [0, 0, 0, 0]) }
        try cut.write(to: URL(fileURLWithPath: "\(folder)/recordings_tmp/porch_20200501T040020Z.wav.tmp"))
        try daemon.start()
        let result = try run(daemon)
        #expect(result.status == 0 && result.output.contains("of 2 recordings 2 are new"), "\(result.output)")
        try waitFor("the analysis") { try daemon.recordings("&analysis=done").count == 2 }
        let detections = try daemon.json("/api/v1/detections?limit=1000")["detections"] as? [[String: Any]] ?? []
        let byRecording = Dictionary(grouping: detections) { $0["recording"] as? String ?? "" }
        // The same sound has the same birds.
        let species = byRecording.mapValues { Set($0.compactMap { $0["scientific_name"] as? String }) }
        #expect(species.count == 2 && Set(species.values).count == 1, "\(species)")
        #expect(detections.allSatisfy { ($0["start_at"] as? String)?.hasPrefix("2020-05-01T04:00:") == true })
        _ = try DeliverySupport.wait(daemon) {
            $0["name"] as? String == "s3" && DeliverySupport.isEmpty($0) && $0["facts_done"] as? Int == 2
        }
        for name in ["porch_20200501T040000Z.wav", "porch_20200501T040020Z.wav"] {
            let object = try DeliverySupport.object(server, bucket: "field-data", "north/box-1/porch/\(name)")
            #expect(object == [UInt8](birds), "\(name)")
        }
        try waitFor("their removal") {
            try FileManager.default.contentsOfDirectory(atPath: "\(folder)/recordings").filter { $0 != ".alive" }
                .isEmpty
        }
        #expect(daemon.stop() == 0)
    }
}
