import EdgeTesting
import Foundation
import Testing

/// Disks that peers, or other programs, fill to the last byte and the last inode.
@Suite(.serialized) struct DiskGuardTests {
    // MARK: - Peers cannot use the reserve

    /// Four connections of one listener, 8 channels × 384 kHz × 32 bits, in recordings of an hour.
    @Test func streamsLeaveTheReserve() throws {
        let disk = try SmallDisk(megabytes: 96)
        defer { withExtendedLifetime(disk) {} }
        let daemon = try DaemonProcess(
            folder: disk.folder,
            settings: [
                "MIN_FREE_DISK_BYTES": "32000000", "MAX_RECORDING_DURATION_SEC": "3600",
                "MIN_RECORDING_DURATION_SEC": "0",
            ])
        try daemon.start()
        let header = WireMaker.wavHeader(channels: 8, rate: 384_000, bits: 32)
        let sound = [UInt8](repeating: 7, count: 1_228_800)
        let streams = try (0..<4).map { _ in try daemon.stream("loud") }
        for stream in streams { try stream.send(WireMaker.chunk(WireMaker.frame(0, header))) }
        var least = disk.freeBytes
        // 118 MB together: the disk has room for half of it.
        for number in 1...24 {
            for stream in streams {
                try stream.send(WireMaker.chunk(WireMaker.frame(number, sound)))
                least = min(least, disk.freeBytes)
            }
        }
        for stream in streams {
            try stream.send(WireMaker.lastChunk)
            #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        }
        least = min(least, disk.freeBytes)
        // The database and its journal grow by what they write down.
        #expect(least > 27_000_000)
        let ledger = try daemon.json("/api/v1/ledger?kind=loss")["ledger"] as? [[String: Any]] ?? []
        let lost = ledger.filter { $0["reason"] as? String == "disk full" }.compactMap { $0["seconds"] as? Double }
        let kept = try daemon.recordings().compactMap { $0["seconds"] as? Double }.reduce(0, +)
        #expect(lost.reduce(0, +) > 1)
        // What was sent: 4 × 24 frames of a tenth of a second.
        #expect(abs(kept + lost.reduce(0, +) - 9.6) < 0.001, "\(kept) kept, \(lost) lost")
        daemon.killNow()
        try daemon.start()
        #expect(try daemon.get("/healthz").status == 200)
        #expect(daemon.stop() == 0)
    }

    @Test func uploadsOfUnitsWithoutALengthStayWithinTheSpool() throws {
        let daemon = try DaemonProcess(settings: [
            "NODE_ADMISSION": "open", "PIWARDRIVE_SPOOL_MAX_BYTES": "10000000",
        ])
        try daemon.start()
        let uploads = try (0..<8).map { number in
            let connection = try RawConnection(port: daemon.port)
            try connection.send(
                "POST /upload?unit=rover-\(number) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
            )
            let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"app.db\"\r\n\r\n"
            try connection.send(WireMaker.chunk(Array(head.utf8)))
            return connection
        }
        func partBytes() throws -> Int {
            let folder = "\(daemon.folder)/spool/piwardrive"
            return try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("part") }.reduce(0)
            { sum, name in
                let size = (try? FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)"))?[.size] as? Int
                return sum + (size ?? 0)
            }
        }
        let block = [UInt8](repeating: 9, count: 65_536)
        var most = 0
        // Eight times 5 MB.
        for _ in 0..<80 {
            // Who was refused may have closed.
            for upload in uploads { try? upload.send(WireMaker.chunk(block)) }
            most = max(most, try partBytes())
        }
        #expect(most <= 10_000_000)
        let answers = uploads.map { upload in
            try? upload.send(WireMaker.chunk(Array("\r\n--b--\r\n".utf8)) + WireMaker.lastChunk)
            return (try? DaemonProcess.parse(upload.answer()).status) ?? 0
        }
        #expect(answers.contains(507), "\(answers)")
        try waitFor("no part is left") { try partBytes() == 0 }
        #expect(daemon.stop() == 0)
    }

    // MARK: - A disk that others fill

    private enum Shortage: String, CaseIterable, Sendable { case bytes, inodes }

    private func fill(_ disk: SmallDisk, _ shortage: Shortage) throws {
        switch shortage {
        case .bytes: try disk.fill()
        case .inodes: try disk.fillFiles()
        }
    }

    /// At 0 bytes, and at 0 inodes, the daemon starts after a kill, refuses what it cannot keep, and all comes back by itself.
    @Test(arguments: ["bytes", "inodes"]) func startsAndComesBackOnAFullDisk(_ name: String) throws {
        let shortage = try #require(Shortage(rawValue: name))
        let disk = try SmallDisk(megabytes: 48, files: 4000)
        defer { withExtendedLifetime(disk) {} }
        let daemon = try DaemonProcess(
            folder: disk.folder,
            settings: [
                "MIN_FREE_DISK_BYTES": "8000000", "MIN_RECORDING_DURATION_SEC": "0", "NODE_ADMISSION": "open",
                "KEEP_RECORDINGS": "all",
            ])
        try daemon.start()
        try waitFor("the start reserve") {
            FileManager.default.fileExists(atPath: "\(disk.folder)/start-reserve/bytes-4")
        }
        func stream(_ listener: String, frames: Int) throws -> Int {
            let stream = try daemon.stream(listener)
            try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader())))
            for number in 1...frames {
                try stream.send(
                    WireMaker.chunk(WireMaker.frame(number, WireMaker.ramp(from: number, samples: 24_000))))
            }
            try stream.send(WireMaker.lastChunk)
            return try DaemonProcess.parse(stream.answer()).status
        }
        var unit = StockUnit("0001", port: daemon.port)
        #expect(try stream("before", frames: 8) == 200)
        #expect(try unit.push("data/readings/readings-0000.tsv", offset: 0, Array(unit.line(0).utf8)).status == 200)
        let before = try daemon.recordings()
        #expect(before.count == 1)
        let open = try daemon.stream("open")
        try open.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader())))
        for number in 1...8 {
            try open.send(WireMaker.chunk(WireMaker.frame(number, WireMaker.ramp(from: number, samples: 24_000))))
        }
        try waitFor("the sound is on the disk") {
            try daemon.recordings().contains { $0["listener"] as? String == "open" }
        }

        // Full while it runs: nothing is acknowledged that is not kept.
        try fill(disk, shortage)
        try waitFor("not ready") { try daemon.get("/readyz").status == 503 }
        let full = try unit.push("data/readings/readings-0001.tsv", offset: 0, Array(unit.line(1).utf8))
        #expect(full.status == 507)
        let backup = try daemon.command("backup", "\(disk.folder)/backup")
        #expect(backup.status == 74 && backup.output.contains("not made"), "\(backup)")
        let bundle = try daemon.command("support-bundle", "-o", "\(disk.folder)/bundle.tar.gz")
        #expect(bundle.status == 74 && bundle.output.contains("not made"), "\(bundle)")
        daemon.killNow()

        // Started on the full disk, again and again.
        for _ in 0..<4 {
            try fill(disk, shortage)
            try daemon.start()
            #expect(try daemon.get("/healthz").status == 200)
            #expect(try daemon.get("/readyz").status == 503)
            daemon.killNow()
        }
        try fill(disk, shortage)
        try daemon.start()

        unit = StockUnit("0001", port: daemon.port)
        // Room again: everything comes back by itself, and nothing that was acknowledged has gone unsaid.
        try disk.release()
        try waitFor("ready") { try daemon.get("/readyz").status == 200 }
        #expect(try stream("after", frames: 4) == 200)
        let again = try unit.push("data/readings/readings-0001.tsv", offset: 0, Array(unit.line(1).utf8))
        #expect(again.status == 200)
        let removed = try daemon.json("/api/v1/ledger?kind=loss")["ledger"] as? [[String: Any]] ?? []
        for recording in before {
            let row = try daemon.json("/api/v1/recordings/\(recording["name"] as? String ?? "")")
            if row["state"] as? String == "closed" {
                let expected = (1...8).flatMap { WireMaker.ramp(from: $0, samples: 24_000) }
                #expect(try daemon.sound(recording) == expected)
            } else {
                #expect(row["delete_reason"] as? String == "disk short", "\(row) \(removed)")
            }
        }
        try waitFor("the start reserve is made again") {
            FileManager.default.fileExists(atPath: "\(disk.folder)/start-reserve/bytes-4")
        }
        #expect(daemon.stop() == 0)
    }

    /// Every writer at 0 bytes, and at 0 inodes: what it does not keep it does not acknowledge, what frees room works, a voice is
    /// neither handed out nor costs its recording, and all of it works again when there is room, also in the safe mode.
    @Test(arguments: ["bytes", "inodes"]) func everyWriterWaitsForRoom(_ name: String) throws {
        let shortage = try #require(Shortage(rawValue: name))
        let disk = try SmallDisk(megabytes: 64, files: 4000)
        defer { withExtendedLifetime(disk) {} }
        let daemon = try DaemonProcess(
            folder: disk.folder,
            settings: [
                "MIN_FREE_DISK_BYTES": "8000000", "MIN_RECORDING_DURATION_SEC": "0", "NODE_ADMISSION": "open",
                "KEEP_RECORDINGS": "all", "RECORDING_FORMAT": "flac", "ANALYZE_RECORDINGS": "true",
                "MODELS_DIR": try TestFolders.programModels(), "ANALYZER_WORKERS": "1",
                // Every window counts as a voice, and is silenced.
                "PRIVACY_THRESHOLD": "0", "SAFE_MODE_AFTER": "1", "SAFE_MODE_MINUTES": "60",
            ])
        try daemon.start()
        try waitFor("the start reserve") {
            FileManager.default.fileExists(atPath: "\(disk.folder)/start-reserve/bytes-4")
        }
        /// Four seconds at 48 kHz.
        func begin(_ listener: String) throws -> RawConnection {
            let stream = try daemon.stream(listener)
            try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader())))
            for number in 1...8 {
                try stream.send(
                    WireMaker.chunk(WireMaker.frame(number, WireMaker.ramp(from: number, samples: 24_000))))
            }
            return stream
        }
        func end(_ stream: RawConnection) throws -> Int {
            try stream.send(WireMaker.lastChunk)
            return try DaemonProcess.parse(stream.answer()).status
        }
        func upload(_ path: String, _ file: String, _ content: [UInt8]) throws -> Int {
            let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(file)\"\r\n\r\n"
            return try DaemonProcess.request(
                "POST", path, port: daemon.port, headers: ["Content-Type: multipart/form-data; boundary=b"],
                body: Array(head.utf8) + content + Array("\r\n--b--\r\n".utf8)
            ).status
        }
        let wav = WireMaker.wavHeader(dataBytes: 48_000) + WireMaker.ramp(from: 0, samples: 24_000)
        func row(_ listener: String) throws -> [String: Any] {
            try #require(try daemon.recordings().first { $0["listener"] as? String == listener })
        }

        #expect(try end(try begin("early")) == 200)
        try waitFor("silence") { try row("early")["analysis"] as? String == "done" }
        #expect(try row("early")["silenced_seconds"] as? Double ?? 0 > 2.9)
        // Closed on the full disk: there is no room to encode it anew without the voice.
        let late = try begin("late")
        try waitFor("the sound has arrived") {
            let status = try daemon.json("/api/v1/status")["listeners"] as? [String: Any]
            return status?["bytes_received"] as? Int ?? 0 >= 2 * 8 * 48_000
        }
        try fill(disk, shortage)
        try waitFor("not ready") { try daemon.get("/readyz").status == 503 }
        _ = try? end(late)

        let ledgerOf = { (listener: String) -> Double in
            let lines = try daemon.json("/api/v1/ledger?kind=loss&listener=\(listener)")["ledger"] as? [[String: Any]]
            return (lines ?? []).compactMap { $0["seconds"] as? Double }.reduce(0, +)
        }
        let full = try end(try begin("full"))
        var unit = StockUnit("0001", port: daemon.port)
        #expect(try upload("/recordings_upload", "u_20260101T000000Z.wav", wav) == 507)
        #expect(try unit.push("data/readings/readings-0000.tsv", offset: 0, Array(unit.line(0).utf8)).status == 507)
        #expect(try upload("/upload?unit=van7", "app.db", [UInt8](repeating: 7, count: 8192)) == 507)
        #expect(try daemon.command("backup", "\(disk.folder)/backup").status == 74)
        #expect(try daemon.command("support-bundle", "-o", "\(disk.folder)/bundle.tar.gz").status == 74)
        // What frees room needs none.
        let early = try row("early")["name"] as? String ?? ""
        #expect(try DaemonProcess.request("DELETE", "/api/v1/recordings/\(early)", port: daemon.port).status == 204)
        #expect(!FileManager.default.fileExists(atPath: "\(disk.folder)/recordings/early/\(early)"))
        try fill(disk, shortage)

        // A kill is a bad end: this start is in the safe mode, on a full disk.
        daemon.killNow()
        try daemon.start()
        #expect(try daemon.json("/api/v1/status")["mode"] as? String == "safe")
        try disk.release()
        try waitFor("ready") { try daemon.get("/readyz").status == 200 }
        unit = StockUnit("0001", port: daemon.port)
        #expect(try end(try begin("after")) == 200)
        #expect(try upload("/recordings_upload", "u_20260101T000000Z.wav", wav) == 200)
        #expect(try unit.push("data/readings/readings-0000.tsv", offset: 0, Array(unit.line(0).utf8)).status == 200)
        if full == 200 {
            let kept = try daemon.recordings().filter { $0["listener"] as? String == "full" }
                .compactMap { $0["seconds"] as? Double }.reduce(0, +)
            #expect(try abs(kept + ledgerOf("full") - 4) < 0.001)
        }
        #expect(daemon.stop() == 0)
        // Back in the normal mode: what waited is analysed and silenced, and nothing of it was removed.
        try daemon.start()
        #expect(try daemon.json("/api/v1/status")["mode"] as? String == "normal")
        try waitFor("silence") {
            try daemon.recordings().allSatisfy {
                $0["state"] as? String != "closed" || $0["analysis"] as? String == "done"
            }
        }
        let last = try row("late")
        #expect(last["state"] as? String == "closed" && last["silenced_seconds"] as? Double ?? 0 > 0.9, "\(last)")
        #expect(daemon.stop() == 0)
    }
}
