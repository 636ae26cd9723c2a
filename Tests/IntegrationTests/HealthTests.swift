import EdgeTesting
import Foundation
import Testing

/// A daemon whose files are spoiled while it runs: it says so, ends itself where it must, and the next start works by itself.
@Suite(.serialized) struct HealthTests {
    private static let wav = WireMaker.wavHeader(dataBytes: 192_000) + WireMaker.ramp(from: 0, samples: 96_000)

    private func daemon(_ settings: [String: String] = [:]) throws -> DaemonProcess {
        try DaemonProcess(
            settings: ["MIN_RECORDING_DURATION_SEC": "0", "SAFE_MODE_AFTER": "1"].merging(settings) { $1 })
    }

    private func upload(_ daemon: DaemonProcess, _ name: String) throws -> Int {
        let head =
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\nContent-Type: audio/wav\r\n\r\n"
        return try DaemonProcess.request(
            "POST", "/recordings_upload", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=b"],
            body: Array(head.utf8) + Self.wav + Array("\r\n--b--\r\n".utf8)
        ).status
    }

    /// Streams two seconds of sound; nil when the connection broke.
    private func stream(_ daemon: DaemonProcess, _ listener: String) -> Int? {
        do {
            let stream = try daemon.stream(listener)
            try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader())))
            for number in 1...4 {
                try stream.send(
                    WireMaker.chunk(
                        WireMaker.frame(number, WireMaker.ramp(from: (number - 1) * 24_000, samples: 24_000))))
            }
            try stream.send(WireMaker.lastChunk)
            return try DaemonProcess.parse(stream.answer()).status
        } catch {
            return nil
        }
    }

    private func hasEnded(_ daemon: DaemonProcess) -> Bool {
        guard let state = try? String(contentsOfFile: "/proc/\(daemon.pid)/stat", encoding: .utf8) else { return true }
        return state.split(separator: ")").last?.split(separator: " ").first == "Z"
    }

    /// Works with a daemon until it ends itself.
    ///
    /// - Returns: names that it acknowledged, and what `/readyz` said each time that work had just failed.
    private func workUntilItEnds(_ daemon: DaemonProcess) throws -> (acknowledged: [String], readiness: [Int]) {
        var (acknowledged, readiness): ([String], [Int]) = ([], [])
        for number in 0..<400 {
            if hasEnded(daemon) { return (acknowledged, readiness) }
            let time = String(format: "%02d%02d%02d", number / 3600, number / 60 % 60, number % 60)
            let name = "w_20260101T\(time)Z.wav"
            let status = try? upload(daemon, name)
            if status == 200 { acknowledged.append(name) }
            if let status, status >= 500, let ready = try? daemon.get("/readyz").status { readiness.append(ready) }
            usleep(150_000)
        }
        throw DaemonProcess.Failure(description: "it has not ended itself")
    }

    private func python(_ text: String, _ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", text] + arguments
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw DaemonProcess.Failure(description: "python3: \(text)") }
    }

    private func log(_ daemon: DaemonProcess) throws -> String {
        try String(contentsOfFile: "\(daemon.folder)/log", encoding: .utf8)
    }

    private func names(_ daemon: DaemonProcess) throws -> Set<String> {
        Set(try daemon.recordings().compactMap { $0["name"] as? String })
    }

    /// What must hold after a daemon has ended itself and was started again: it works, in its normal mode, and has all sound.
    private func checkNextStart(_ daemon: DaemonProcess, has acknowledged: [String]) throws {
        try daemon.start(logPath: "\(daemon.folder)/log")
        #expect(try daemon.get("/readyz").status == 200)
        #expect(try daemon.json("/api/v1/status")["mode"] as? String == "normal")
        let kept = try names(daemon)
        for name in acknowledged { #expect(kept.contains(name), "\(name) was acknowledged") }
        #expect(try upload(daemon, "after_20260202T000000Z.wav") == 200)
        #expect(stream(daemon, "after") == 200)
        #expect(try daemon.get("/readyz").status == 200)
        #expect(daemon.stop() == 0)
    }

    /// Every page of the file but the first is overwritten, with the file open.
    @Test func pagesAreOverwrittenWhileItRuns() throws {
        let daemon = try daemon()
        try daemon.start(logPath: "\(daemon.folder)/log")
        var acknowledged: [String] = []
        for number in 0..<3 {
            let name = "a_20250101T00000\(number)Z.wav"
            #expect(try upload(daemon, name) == 200)
            acknowledged.append(name)
        }
        // A clean end leaves all of it in the one file.
        #expect(daemon.stop() == 0)
        try daemon.start(logPath: "\(daemon.folder)/log")
        #expect(try daemon.get("/readyz").status == 200)
        try python(
            """
            import os, sys
            size = os.path.getsize(sys.argv[1])
            file = os.open(sys.argv[1], os.O_WRONLY)
            os.pwrite(file, os.urandom(size - 4096), 4096)
            os.fsync(file)
            """, "\(daemon.folder)/edge.db")
        let (more, readiness) = try workUntilItEnds(daemon)
        #expect(!readiness.isEmpty && !readiness.contains(200))
        let text = try log(daemon)
        #expect(daemon.stop() == 75)
        #expect(text.contains("the database \(daemon.folder)/edge.db is damaged"), "\(text)")
        #expect(text.contains("damaged-N"))
        try checkNextStart(daemon, has: acknowledged + more)
        let files = try FileManager.default.contentsOfDirectory(atPath: daemon.folder)
        #expect(files.contains("edge.db.damaged-1"))
    }

    @Test(arguments: [["recordings"], ["sessions", "listeners"], ["deliveries"], ["runs"]])
    func tablesAreDroppedWhileItRuns(tables: [String]) throws {
        let daemon = try daemon()
        try daemon.start(logPath: "\(daemon.folder)/log")
        #expect(try upload(daemon, "a_20250101T000000Z.wav") == 200)
        try python(
            """
            import sqlite3, sys
            database = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
            for table in sys.argv[2].split():
                database.execute(f"DROP TABLE {table}")
            """, "\(daemon.folder)/edge.db", tables.joined(separator: " "))
        let (more, readiness) = try workUntilItEnds(daemon)
        // An upload needs these two; of the others the sign of life tells.
        if !tables.contains("deliveries"), !tables.contains("runs") { #expect(!readiness.isEmpty) }
        #expect(!readiness.contains(200))
        #expect(try log(daemon).contains("is missing"))
        #expect(daemon.stop() == 75)
        try checkNextStart(daemon, has: ["a_20250101T000000Z.wav"] + more)
    }

    /// Nobody sends anything: the sign of life finds it.
    @Test func damageIsFoundAlsoWhenNothingIsReceived() throws {
        let daemon = try daemon()
        try daemon.start(logPath: "\(daemon.folder)/log")
        try python(
            """
            import sqlite3, sys
            sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None).execute("DROP TABLE detections")
            """, "\(daemon.folder)/edge.db")
        try waitFor("the end") { hasEnded(daemon) }
        #expect(daemon.stop() == 75)
        try checkNextStart(daemon, has: [])
    }

    @Test func theDatabaseIsRemovedWhileItRuns() throws {
        let daemon = try daemon()
        try daemon.start(logPath: "\(daemon.folder)/log")
        #expect(try upload(daemon, "a_20250101T000000Z.wav") == 200)
        #expect(stream(daemon, "s") == 200)
        let before = try daemon.json("/api/v1/coverage")["listeners"] as? [[String: Any]] ?? []
        // What was uploaded is of another year.
        #expect(before.count == 1)
        for suffix in ["", "-wal", "-shm"] {
            try FileManager.default.removeItem(atPath: "\(daemon.folder)/edge.db\(suffix)")
        }
        let (more, _) = try workUntilItEnds(daemon)
        #expect(try log(daemon).contains("was removed or replaced"))
        #expect(daemon.stop() == 75)
        try daemon.start(logPath: "\(daemon.folder)/log")
        let after = try daemon.json("/api/v1/coverage")["listeners"] as? [[String: Any]] ?? []
        // Also what no file of the recordings folder tells.
        #expect(after.count >= before.count)
        #expect(daemon.stop() == 0)
        try checkNextStart(daemon, has: ["a_20250101T000000Z.wav"] + more)
    }

    @Test(arguments: ["recordings", "spool"]) func aFolderIsRemovedWhileItRuns(name: String) throws {
        let daemon = try daemon()
        try daemon.start(logPath: "\(daemon.folder)/log")
        #expect(try upload(daemon, "a_20250101T000000Z.wav") == 200)
        #expect(stream(daemon, "before") == 200)
        try FileManager.default.removeItem(atPath: "\(daemon.folder)/\(name)")
        // At once or, where it takes a sign of life, after it: but never for good.
        var number = 0
        try waitFor("an upload") {
            number += 1
            return try upload(daemon, "b_20250101T\(String(format: "%06d", number))Z.wav") == 200
        }
        try waitFor("a stream") { stream(daemon, "after") == 200 }
        try waitFor("ready") { try daemon.get("/readyz").status == 200 }
        let kept = try daemon.recordings().filter { $0["listener"] as? String == "after" }
        #expect(try kept.contains { try daemon.sound($0).count == 192_000 })
        #expect(daemon.stop() == 0)
    }

    /// The sound of one listener cannot be written, while the disk takes everything else.
    @Test func aListenerWhoseFolderCannotBeWrittenMakesTheBoxNotReady() throws {
        let daemon = try daemon()
        try daemon.start(logPath: "\(daemon.folder)/log")
        let place = "\(daemon.folder)/recordings/s"
        try Data("not a folder".utf8).write(to: URL(fileURLWithPath: place))
        _ = stream(daemon, "s")
        try waitFor("not ready") { try daemon.get("/readyz").status == 503 }
        #expect(try daemon.get("/readyz").body.contains("recordings/s cannot be written"))
        #expect(try upload(daemon, "s_20250101T000000Z.wav") == 500)
        // What others send is kept; it says nothing about this folder.
        #expect(try upload(daemon, "a_20250101T000000Z.wav") == 200)
        Thread.sleep(forTimeInterval: 3)
        #expect(try daemon.get("/readyz").status == 503)
        try FileManager.default.removeItem(atPath: place)
        try waitFor("ready") { try daemon.get("/readyz").status == 200 }
        #expect(stream(daemon, "s") == 200)
        #expect(try daemon.get("/readyz").status == 200)
        #expect(daemon.stop() == 0)
    }

    /// A sector of the database cannot be read for good: after ten starts that end, the next one works without anybody's help.
    /// One sector, and the whole file.
    @Test(arguments: [20_480, 0]) func aDatabaseThatTheDiskNeverGivesBackDoesNotPreventStarts(from: Int) throws {
        let folder = try TestFolders.temporary("edge-unreadable")
        defer { TestFolders.remove(folder) }
        let order = "\(folder)/order"
        let daemon = try daemon([
            "LD_PRELOAD": try Interposer.make("failing_read", in: folder), "READ_FAILURE_FILE": order,
            // Starts that fail count as bad ones, and the next ones wait.
            "SAFE_MODE_AFTER": "0",
        ])
        try daemon.start(logPath: "\(daemon.folder)/log")
        #expect(try upload(daemon, "a_20250101T000000Z.wav") == 200)
        #expect(daemon.stop() == 0)
        let database = "\(daemon.folder)/edge.db"
        let inode = try #require(
            try FileManager.default.attributesOfItem(atPath: database)[.systemFileNumber] as? UInt64)
        let refusal = Data("read \(EIO) /edge.db \(inode) \(from)".utf8)
        try refusal.write(to: URL(fileURLWithPath: order))
        // The disk comes back after three starts: nothing was put aside, and the count begins anew.
        for _ in 0..<3 {
            #expect(throws: (any Error).self) { try daemon.start(logPath: "\(daemon.folder)/log") }
            #expect(daemon.stop() == 74)
        }
        try FileManager.default.removeItem(atPath: order)
        try daemon.start(logPath: "\(daemon.folder)/log")
        #expect(try names(daemon).count == 1)
        #expect(daemon.stop() == 0)
        try refusal.write(to: URL(fileURLWithPath: order))
        for _ in 0..<9 {
            #expect(throws: (any Error).self) { try daemon.start(logPath: "\(daemon.folder)/log") }
            #expect(daemon.stop() == 74)
        }
        try checkNextStart(daemon, has: ["a_20250101T000000Z.wav"])
        #expect(FileManager.default.fileExists(atPath: "\(database).damaged-1"))
        #expect(try log(daemon).contains("did not let \(database) be read in 10 starts"))
    }

    /// The disk takes no changes; it comes back by itself, and the daemon has not ended for it.
    @Test func aLockedDatabaseIsNotReadyAndComesBack() throws {
        let daemon = try daemon()
        try daemon.start(logPath: "\(daemon.folder)/log")
        let holder = Process()
        holder.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        holder.arguments = [
            "python3", "-c",
            """
            import sqlite3, sys, time
            database = sqlite3.connect(sys.argv[1], isolation_level=None)
            database.execute("BEGIN IMMEDIATE")
            time.sleep(600)
            """, "\(daemon.folder)/edge.db",
        ]
        try holder.run()
        // By a signal that cannot be blocked: a child inherits the mask of the thread that starts it.
        defer { kill(holder.processIdentifier, SIGKILL) }
        try waitFor("not ready") {
            _ = try? upload(daemon, "a_20250101T000000Z.wav")
            return try daemon.get("/readyz").status == 503
        }
        #expect(try daemon.get("/readyz").body.contains("another program holds the database"))
        kill(holder.processIdentifier, SIGKILL)
        holder.waitUntilExit()
        try waitFor("ready") { try daemon.get("/readyz").status == 200 }
        #expect(try upload(daemon, "b_20250101T000000Z.wav") == 200)
        #expect(daemon.stop() == 0)
    }
}
