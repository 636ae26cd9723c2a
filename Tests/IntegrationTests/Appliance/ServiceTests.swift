import EdgeTesting
import Foundation
import GRDB
import Testing

/// What the daemon tells whoever looks after it, and how it looks after itself.
@Suite(.serialized) struct ServiceTests {
    /// A service manager's end of the notification socket.
    private final class Manager {
        let path: String
        private let descriptor: Int32

        init(in folder: String) throws {
            path = "\(folder)/notify"
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            guard result == 0 else { throw DaemonProcess.Failure(description: "bind: errno \(errno)") }
        }

        deinit { close(descriptor) }

        /// All that comes within so many seconds.
        func messages(_ seconds: Double) -> [String] {
            var found: [String] = []
            let end = Date().addingTimeInterval(seconds)
            while Date() < end {
                var bytes = [UInt8](repeating: 0, count: 4096)
                let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
                if count > 0 {
                    found.append(String(decoding: bytes[..<count], as: UTF8.self))
                } else {
                    usleep(20_000)
                }
            }
            return found
        }
    }

    @Test func saysThatItIsReadyAndFeedsTheWatchdogOnlyWhileTheStoreCommits() throws {
        let folder = try TestFolders.temporary("edge-notify")
        defer { TestFolders.remove(folder) }
        let manager = try Manager(in: folder)
        let daemon = try DaemonProcess(settings: ["NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1500000"])
        try daemon.start()
        var all: [String] = []
        try waitFor("readiness and three signs of life") {
            all += manager.messages(0.5)
            return all.contains { $0.hasPrefix("READY=1") } && all.count(where: { $0 == "WATCHDOG=1" }) >= 3
        }
        // Somebody holds the database: no commit comes to its end, though every thread is alive.
        let database = try DatabaseQueue(path: "\(daemon.folder)/edge.db")
        try database.writeWithoutTransaction { database in
            try database.execute(sql: "BEGIN EXCLUSIVE")
            _ = manager.messages(1.5)
            let during = manager.messages(4)
            #expect(!during.contains("WATCHDOG=1"), "\(during)")
            #expect(try daemon.get("/healthz").status == 200)
            try database.execute(sql: "ROLLBACK")
        }
        try database.close()
        all = []
        try waitFor("signs of life again") {
            all += manager.messages(0.5)
            return all.contains("WATCHDOG=1")
        }
        #expect(daemon.stop() == 0)
        #expect(manager.messages(0.5).contains { $0.hasPrefix("STOPPING=1") })
    }

    @Test func fallsIntoSafeModeAfterBadStartsAndBackWhenItHasHeld() throws {
        let models = try TestFolders.programModels()
        let daemon = try DaemonProcess(settings: [
            "SAFE_MODE_AFTER": "2", "ANALYZE_RECORDINGS": "true", "MODELS_DIR": models, "ANALYZER_WORKERS": "1",
            "S3_ENDPOINT": "http://127.0.0.1:9", "S3_BUCKET": "bucket", "S3_ACCESS_KEY": "a",
            "S3_SECRET_KEY": "s3cr3ts",
        ])
        func mode() throws -> String? { try daemon.json("/api/v1/status")["mode"] as? String }
        for _ in 0..<2 {
            try daemon.start()
            #expect(try mode() == "normal")
            daemon.killNow()
        }
        try daemon.start()
        #expect(try mode() == "safe")
        #expect(try daemon.get("/metrics").body.contains("edge_aggregator_safe_mode 1"))
        #expect(try daemon.get("/").body.contains("Safe mode"))
        // Sound is taken and kept, for an analysis to come.
        let stream = try daemon.stream("ear")
        let birds = try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())).dropFirst(44))
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 32_000))))
        for (number, start) in stride(from: 0, to: birds.count, by: 32_768).enumerated() {
            try stream.send(
                WireMaker.chunk(
                    WireMaker.frame(number + 1, Array(birds[start..<min(start + 32_768, birds.count)]))))
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        #expect(try daemon.recordings("&analysis=pending").count == 1)
        // Ended as it should be: the next start is a normal one, and catches up.
        #expect(daemon.stop() == 0)
        try daemon.start()
        #expect(try mode() == "normal")
        try waitFor("the analysis") { try daemon.recordings("&analysis=done").count == 1 }
        #expect((try daemon.json("/api/v1/detections")["detections"] as? [Any])?.isEmpty == false)
        // But one more bad start is enough.
        daemon.killNow()
        try daemon.start()
        #expect(try mode() == "safe")
        #expect(daemon.stop() == 0)
    }

    @Test func takesOverWhatCanChangeOnSIGHUP() throws {
        let daemon = try DaemonProcess(settings: ["LOG_LEVEL": ""])
        let path = "\(daemon.folder)/settings.yaml"
        func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }
        func status(_ token: String) throws -> Int {
            try DaemonProcess.request(
                "GET", "/api/v1/sinks", port: daemon.port, headers: ["Authorization: Bearer \(token)"]
            ).status
        }
        try write("api_token: first-one\n")
        try daemon.start()
        #expect(try status("first-one") == 200)
        try write("api_token: second-one\nlistener_tokens: {'*': ears}\nmax_listeners: 5\n")
        #expect(try daemon.command("settings", "check").status == 0)
        kill(daemon.pid, SIGHUP)
        try waitFor("the second token") { try status("second-one") == 200 }
        #expect(try status("first-one") == 401)
        #expect([401, 403].contains(try daemon.uploadNothing()))
        // Wrong ones: said, and nothing changes.
        try write("api_token: third-one\nmax_listners: 5\n")
        #expect(try daemon.command("settings", "check").status == 78)
        kill(daemon.pid, SIGHUP)
        usleep(500_000)
        #expect(try status("second-one") == 200)
        // Without a token of its own the box still asks for one where it has to.
        try write("require_api_token: yes\nlistener_tokens: {}\n")
        kill(daemon.pid, SIGHUP)
        try waitFor("a token of the box's own") {
            FileManager.default.fileExists(atPath: "\(daemon.folder)/api-token")
        }
        try waitFor("the end of the second token") { try status("second-one") == 401 }
        let own = try String(contentsOfFile: "\(daemon.folder)/api-token", encoding: .utf8)
        #expect(try status(own.trimmingCharacters(in: .whitespacesAndNewlines)) == 200)
        #expect(daemon.stop() == 0)
    }

    /// An editor that emptied the file, a file that is gone or cut off: nothing that protects the box is removed by it.
    @Test func keepsTheLastGoodSettingsWhenAReloadWouldOpenTheBox() throws {
        let daemon = try DaemonProcess(settings: ["LOG_LEVEL": ""])
        let path = "\(daemon.folder)/settings.yaml"
        func write(_ text: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }
        func answer() throws -> (status: Int, body: String) {
            try DaemonProcess.request(
                "GET", "/api/v1/status", port: daemon.port, headers: ["Authorization: Bearer first-one"])
        }
        func rejection() throws -> String? {
            let status = try JSONSerialization.jsonObject(with: Data(answer().body.utf8)) as? [String: Any]
            return (status?["settings"] as? [String: Any])?["rejected_reason"] as? String
        }
        func isClosed() throws -> Bool {
            let open = try daemon.get("/api/v1/status").status
            let upload = try daemon.uploadNothing()
            return open == 401 && upload == 403
        }
        let good = "api_token: first-one\nlistener_tokens: {'*': ears}\nlog_level: notice\n"
        try write(good)
        let log = "\(daemon.folder)/log"
        try daemon.start(logPath: log)
        #expect(try isClosed() && rejection() == nil)
        let cases: [(String?, String)] = [
            ("", "is empty or gone"), ("# nothing\n", "is empty or gone"), (nil, "cannot be read"),
            ("api_token: first-one\n", "listener_tokens would be removed"),
            ("listener_tokens: {'*': ears}\n", "would ask for no token"), ("api_token: [\n", "YAML"),
        ]
        for (text, expected) in cases {
            if let text { try write(text) } else { try FileManager.default.removeItem(atPath: path) }
            kill(daemon.pid, SIGHUP)
            try waitFor("the rejection: \(expected)") { try rejection()?.contains(expected) == true }
            #expect(try isClosed(), "\(expected)")
        }
        try write("api_token: first-one\n")
        kill(daemon.pid, SIGHUP)
        try waitFor("the rejection") { try rejection()?.contains("listener_tokens") == true }
        let told = try daemon.command("status").output
        #expect(told.contains("NOT TAKEN OVER"), "\(told)")
        let lines = try String(contentsOfFile: log, encoding: .utf8)
        #expect(lines.contains("The settings were not taken over") && lines.contains("is empty or gone"))
        // Put right, it is taken over; and what is written down is removed.
        try write(good)
        kill(daemon.pid, SIGHUP)
        try waitFor("the good settings") { try rejection() == nil }
        #expect(try isClosed())
        try write("api_token: first-one\nlistener_tokens: {}\n")
        kill(daemon.pid, SIGHUP)
        try waitFor("the end of the listeners' tokens") { try daemon.uploadNothing() != 403 }
        #expect(daemon.stop() == 0)
    }

    @Test func asksUpdatesToWaitWhileRecordingsAreWritten() throws {
        let folder = try TestFolders.temporary("edge-lock")
        defer { TestFolders.remove(folder) }
        let path = "\(folder)/balena/updates.lock"
        let daemon = try DaemonProcess(settings: ["UPDATE_LOCK_FILE": path])
        try daemon.start()
        #expect(!FileManager.default.fileExists(atPath: path))
        let stream = try daemon.stream("ear")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 48_000))))
        try stream.send(WireMaker.chunk(WireMaker.frame(1, [UInt8](repeating: 1, count: 32_768))))
        try waitFor("the lock") { FileManager.default.fileExists(atPath: path) }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        try waitFor("its end") { !FileManager.default.fileExists(atPath: path) }
        #expect(daemon.stop() == 0)
    }

    @Test func refusesASecondDaemonOnTheSameFiles() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let second = try daemon.command("run")
        #expect(second.status == 74)
        #expect(second.output.contains("Another daemon uses \(daemon.folder)"), "\(second.output)")
    }

    @Test func keepsEachStageToItsProcessors() throws {
        let daemon = try DaemonProcess(settings: [
            "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(), "ANALYZER_WORKERS": "2",
            "ANALYZER_CPU_AFFINITY": "1", "EVERYTHING_BUT_ANALYZER_CPU_AFFINITY": "0", "ANALYZER_NICE": "7",
        ])
        try daemon.start()
        try waitFor("the workers") { try daemon.get("/readyz").status == 200 }
        var analyzers = 0
        for task in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(daemon.pid)/task") {
            let folder = "/proc/\(daemon.pid)/task/\(task)"
            guard let status = try? String(contentsOfFile: "\(folder)/status", encoding: .utf8),
                let stat = try? String(contentsOfFile: "\(folder)/stat", encoding: .utf8)
            else { continue }
            let lines = status.split(separator: "\n")
            let name = lines.first { $0.hasPrefix("Name:") }.map { String($0.split(separator: "\t").last ?? "") } ?? ""
            let allowed = lines.first { $0.hasPrefix("Cpus_allowed_list:") }?.split(separator: "\t").last
            // proc(5): the 19th field is the nice value.
            let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
            let isAnalyzer = name.hasPrefix("analyzer-")
            #expect(allowed == (isAnalyzer ? "1" : "0"), "\(name)")
            // Decoding of uploads and silencing of voices give way to reception. Some threads of the system's libraries give
            // themselves more.
            let givesWay = name.hasPrefix("decoding-") || name == "silencing"
            let niceness = Int(fields[17]) ?? 99
            #expect(isAnalyzer ? niceness == 7 : givesWay ? niceness == 10 : niceness <= 0, "\(name)")
            if isAnalyzer { analyzers += 1 }
        }
        #expect(analyzers == 2)
        #expect(daemon.stop() == 0)
    }

    @Test func slowsTheAnalysisOnAHotBoardAndNothingElse() throws {
        let root = try TestFolders.temporary("edge-board")
        defer { TestFolders.remove(root) }
        let zone = "\(root)/sys/class/thermal/thermal_zone0"
        try FileManager.default.createDirectory(atPath: zone, withIntermediateDirectories: true)
        func heat(_ millidegrees: Int) throws {
            try Data("\(millidegrees)\n".utf8).write(to: URL(fileURLWithPath: "\(zone)/temp"))
        }
        try heat(50_000)
        let daemon = try DaemonProcess(settings: [
            "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(), "ANALYZER_WORKERS": "1",
            "SYSFS_ROOT": root, "BOARD_WATCH_INTERVAL_SEC": "1",
        ])
        try daemon.start()
        func pace() throws -> Int? {
            (try daemon.json("/api/v1/status")["analysis"] as? [String: Any])?["pace_percent"] as? Int
        }
        #expect(try pace() == 100)
        try heat(78_500)
        try waitFor("half the pace") { try pace() == 55 }
        try heat(90_000)
        try waitFor("the slowest") { try pace() == 10 }
        try heat(60_000)
        try waitFor("the full pace") { try pace() == 100 }
        // A supply that is too low, as the firmware's monitor tells it.
        let monitor = "\(root)/sys/class/hwmon/hwmon1"
        try FileManager.default.createDirectory(atPath: monitor, withIntermediateDirectories: true)
        try Data("rpi_volt\n".utf8).write(to: URL(fileURLWithPath: "\(monitor)/name"))
        try Data("1\n".utf8).write(to: URL(fileURLWithPath: "\(monitor)/in0_lcrit_alarm"))
        try waitFor("a quarter") { try pace() == 25 }
        // Memory that is short (PSI).
        try Data("0\n".utf8).write(to: URL(fileURLWithPath: "\(monitor)/in0_lcrit_alarm"))
        try FileManager.default.createDirectory(
            atPath: "\(root)/proc/pressure", withIntermediateDirectories: true)
        try waitFor("the full pace") { try pace() == 100 }
        try Data("some avg10=35.20 avg60=1.00 avg300=0.10 total=1\n".utf8)
            .write(to: URL(fileURLWithPath: "\(root)/proc/pressure/memory"))
        try waitFor("a quarter") { try pace() == 25 }
        #expect(daemon.stop() == 0)
    }
}
