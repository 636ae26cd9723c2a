import EdgeTesting
import Foundation
import Testing

/// PiWardrive units over raw sockets: uploads as their clients build them, and what is asked about them.
struct PiWardriveUnitTests {
    private func daemon(_ settings: [String: String] = [:]) throws -> DaemonProcess {
        let daemon = try DaemonProcess(settings: ["NODE_ADMISSION": "open"].merging(settings) { $1 })
        try daemon.start()
        return daemon
    }

    /// A database as a unit has it.
    private func database(
        health: [(String, Double?, Double, Double, Double)] = [], points: [(String, Double?, Double?)] = []
    ) throws -> [UInt8] {
        let folder = try TestFolders.temporary("edge-app")
        defer { TestFolders.remove(folder) }
        let rows: [String: Any] = [
            "h": health.map { [$0.0, $0.1.map { $0 as Any } ?? NSNull(), $0.2, $0.3, $0.4] as [Any] },
            "p": points.map {
                [
                    $0.0, "net", "WPA2", $0.1.map { $0 as Any } ?? NSNull(), $0.2.map { $0 as Any } ?? NSNull(),
                    1_750_000_000,
                ] as [Any]
            },
        ]
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            """
            import json, sqlite3, sys
            rows = json.loads(sys.argv[2])
            db = sqlite3.connect(sys.argv[1])
            db.executescript('''CREATE TABLE health_records (timestamp TEXT PRIMARY KEY, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL);
            CREATE TABLE ap_cache (bssid TEXT PRIMARY KEY, ssid TEXT, encryption TEXT, lat REAL, lon REAL, last_time INTEGER);
            CREATE TABLE users (username TEXT, password_hash TEXT); INSERT INTO users VALUES ('pi', 'very-secret-hash');''')
            db.executemany('INSERT INTO health_records VALUES (?,?,?,?,?)', rows['h'])
            db.executemany('INSERT INTO ap_cache VALUES (?,?,?,?,?,?)', rows['p'])
            db.commit()
            """, "\(folder)/app.db", String(decoding: try JSONSerialization.data(withJSONObject: rows), as: UTF8.self),
        ]
        try process.run()
        process.waitUntilExit()
        return Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/app.db")))
    }

    private enum Form { case aiohttp, undici }

    private func upload(
        _ daemon: DaemonProcess, _ content: [UInt8], path: String = "/upload", filename: String? = "app.db",
        name: String = "file", form: Form = .aiohttp, headers: [String] = []
    ) throws -> (status: Int, body: String) {
        let disposition = "form-data; name=\"\(name)\"" + (filename.map { "; filename=\"\($0)\"" } ?? "")
        let boundary: String
        let part: String
        switch form {
        case .aiohttp:
            boundary = "deb9548398a344f1a7f2ee83c1f5a64b"
            part = "Content-Type: application/octet-stream\r\nContent-Disposition: \(disposition)\r\n\r\n"
        case .undici:
            boundary = "----formdata-undici-078252481098"
            part = "content-disposition: \(disposition)\r\ncontent-type: application/octet-stream\r\n\r\n"
        }
        let body = Array("--\(boundary)\r\n\(part)".utf8) + content + Array("\r\n--\(boundary)--\r\n".utf8)
        return try DaemonProcess.request(
            "POST", path, port: daemon.port,
            headers: ["Accept: */*", "Content-Type: multipart/form-data; boundary=\(boundary)"] + headers, body: body)
    }

    private func waitForMerges(_ daemon: DaemonProcess, _ count: Int) throws {
        try waitFor("\(count) merges") {
            let page = try daemon.get("/metrics").body
            return page.contains("edge_aggregator_node_uploads_merged_total \(count)\n")
                && page.contains("edge_aggregator_node_uploads_waiting 0\n")
        }
    }

    /// A disk that refuses to read an upload (in the spool, `van7` in hexadecimal) says nothing about it: it is merged when it can be read.
    @Test func whatCannotBeReadAtThatMomentIsMergedLater() throws {
        let folder = try TestFolders.temporary("edge-merge")
        defer { TestFolders.remove(folder) }
        let order = "\(folder)/order"
        let daemon = try daemon([
            "LD_PRELOAD": try Interposer.make("failing_read", in: folder), "READ_FAILURE_FILE": order,
        ])
        try Data("read \(EIO) 76616e37.db".utf8).write(to: URL(fileURLWithPath: order))
        let content = try database(health: [("2025-07-01T12:00:00", 40, 10, 50, 20)], points: [("AA:01", 1, 2)])
        #expect(try upload(daemon, content, path: "/upload?unit=van7").status == 200)
        Thread.sleep(forTimeInterval: 3)
        let page = try daemon.get("/metrics").body
        #expect(page.contains("edge_aggregator_node_uploads_waiting 1\n"))
        #expect(page.contains("edge_aggregator_node_uploads_broken_total 0\n"))
        try FileManager.default.removeItem(atPath: order)
        try waitForMerges(daemon, 1)
        #expect(try daemon.get("/overlay?bins=1").body == "{\"points\":[[1.0,2.0,1]]}")
        #expect(daemon.stop() == 0)
    }

    @Test func agreesWithTheFormerService() throws {
        let daemon = try daemon()
        #expect(try daemon.get("/stats").body == "{}")
        #expect(try daemon.get("/overlay").body == "{\"points\":[]}")
        let content = try database(
            health: [("2025-07-01T12:00:00.123456", 40, 10, 50, 20), ("2025-07-01T12:00:10.123456", 50, 20, 40, 30)],
            points: [("AA:01", 1.0, 2.0), ("AA:02", 1.1, 2.1), ("AA:03", nil, nil)])
        let answer = try upload(daemon, content, path: "/upload?unit=van%207")
        #expect(answer.status == 200 && answer.body == "{\"saved\":\"uploads/app.db\"}")
        try waitForMerges(daemon, 1)
        #expect(
            try daemon.get("/stats").body == "{\"temp_avg\":45.0,\"cpu_avg\":15.0,\"mem_avg\":45.0,\"disk_avg\":25.0}")
        #expect(try daemon.get("/overlay?bins=1").body == "{\"points\":[[1.05,2.05,2]]}")
        #expect(try daemon.get("/overlay").body == "{\"points\":[[1.0005,2.0005,1],[1.0995000000000001,2.0995,1]]}")
        // The same again changes nothing.
        #expect(try upload(daemon, content, path: "/?unit=van%207", form: .undici).status == 200)
        try waitForMerges(daemon, 2)
        #expect(try daemon.get("/overlay?bins=1").body == "{\"points\":[[1.05,2.05,2]]}")
        #expect(
            try daemon.get("/stats").body == "{\"temp_avg\":45.0,\"cpu_avg\":15.0,\"mem_avg\":45.0,\"disk_avg\":25.0}")
        // Another unit at the same moment is another record; a point moves the bounds.
        let other = try database(health: [("2025-07-01T12:00:00.123456", nil, 30, 0, 0)], points: [("AA:01", 3.0, 4.0)])
        #expect(try upload(daemon, other, headers: ["Authorization: Basic dmFuODpz"]).status == 200)
        try waitForMerges(daemon, 3)
        #expect(
            try daemon.get("/stats").body
                == "{\"temp_avg\":45.0,\"cpu_avg\":20.0,\"mem_avg\":30.0,\"disk_avg\":\(50.0 / 3)}")
        #expect(
            try daemon.get("/stats?unit=van8").body
                == "{\"temp_avg\":null,\"cpu_avg\":30.0,\"mem_avg\":0.0,\"disk_avg\":0.0}")
        #expect(
            try daemon.get("/stats?since=2025-07-01T12:00:05Z").body
                == "{\"temp_avg\":50.0,\"cpu_avg\":20.0,\"mem_avg\":40.0,\"disk_avg\":30.0}")
        #expect(try daemon.get("/overlay?bins=1").body == "{\"points\":[[2.0,3.0,3]]}")
        // One by itself.
        #expect(try daemon.get("/overlay?unit=van8").body == "{\"points\":[[3.0,4.0,1]]}")
        #expect(try daemon.get("/overlay?since=2030-01-01").body == "{\"points\":[]}")
        let nodes = try daemon.json("/api/v1/nodes?kind=piwardrive")["nodes"] as? [[String: Any]] ?? []
        #expect(nodes.compactMap { $0["id"] as? String } == ["van 7", "van8"])
        let rows = try daemon.json("/api/v1/observations?source=piwardrive/van8")["observations"] as? [[String: Any]]
        #expect(rows?.count == 3)
        // Nothing of the file stays.
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/spool/piwardrive").isEmpty)
        #expect(!FileManager.default.fileExists(atPath: "\(daemon.folder)/piwardrive"))
        let stored =
            try Data(contentsOf: URL(fileURLWithPath: "\(daemon.folder)/edge.db"))
            + Data(contentsOf: URL(fileURLWithPath: "\(daemon.folder)/edge.db-wal"))
        #expect(stored.range(of: Data("very-secret-hash".utf8)) == nil)
    }

    @Test func answersWhatTheFormerServiceAnswers() throws {
        let daemon = try daemon()
        for name in ["../x.db", "../../etc/passwd", "a b.db", "..", "x/y.db"] {
            let answer = try upload(daemon, [1], filename: name)
            #expect(answer.status == 400 && answer.body == "{\"detail\":\"Invalid filename: \(name)\"}", "\(answer)")
        }
        let missing =
            "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"file\"],\"msg\":\"Field required\",\"input\":null}]}"
        #expect(try upload(daemon, [1], name: "other").body == missing)
        let plain = try upload(daemon, [1], filename: nil)
        #expect(plain.status == 422 && plain.body.contains("\"type\":\"value_error\",\"loc\":[\"body\",\"file\"]"))
        for body in ["", "text", "{\"dbPath\":\"x\"}", "\"path\""] {
            let answer = try DaemonProcess.request("POST", "/upload", port: daemon.port, body: Array(body.utf8))
            #expect(answer.status == 422 && answer.body == missing, "\(body)")
        }
        for (bins, status) in [("abc", 422), ("0", 422), ("-1", 422), ("501", 422), ("500", 200), ("1", 200)] {
            #expect(try daemon.get("/overlay?bins=\(bins)").status == status, "\(bins)")
        }
        #expect(
            try daemon.get("/overlay?bins=abc").body
                == "{\"detail\":[{\"type\":\"int_parsing\",\"loc\":[\"query\",\"bins\"],\"msg\":\"Input should be a valid integer, unable to parse string as an integer\",\"input\":\"abc\"}]}"
        )
        #expect(try daemon.get("/upload").status == 405)
        #expect(try DaemonProcess.request("POST", "/stats", port: daemon.port).status == 405)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/spool/piwardrive").isEmpty)
    }

    @Test func takesTheRecordsOfTheOtherForm() throws {
        let daemon = try daemon()
        let records =
            #"[{"timestamp": "2025-07-01T12:00:00.123456", "cpu_temp": null, "cpu_percent": 1.5, "memory_percent": 2.0, "disk_percent": 3.0}, {"timestamp": "never"}]"#
        for _ in 0..<2 {
            let answer = try DaemonProcess.request(
                "POST", "/u/van9/upload", port: daemon.port,
                headers: ["Content-Type: text/plain; charset=utf-8"], body: Array(records.utf8))
            #expect(answer.status == 200)
        }
        try waitForMerges(daemon, 2)
        #expect(
            try daemon.get("/stats?unit=van9").body
                == "{\"temp_avg\":null,\"cpu_avg\":1.5,\"mem_avg\":2.0,\"disk_avg\":3.0}")
    }

    @Test func hostileFilesHarmNobody() throws {
        let daemon = try daemon(["NODE_TOKENS": "piwardrive:van7=s3cret"])
        let good = try database(health: [("2025-07-01T12:00:00", 40, 10, 50, 20)])
        // Without its token a unit's name is of no use.
        #expect(try upload(daemon, good, path: "/upload?unit=van7").status == 401)
        let authorization = ["Authorization: Basic dmFuNzpzM2NyZXQ="]
        var torn = good
        torn.replaceSubrange(4096..<8192, with: [UInt8](repeating: 0xA5, count: 4096))
        for content in [[], Array("junk".utf8), torn, Array(good.prefix(5000)), [UInt8](repeating: 7, count: 100_000)] {
            #expect(try upload(daemon, content, headers: authorization).status == 200)
        }
        #expect(try upload(daemon, good, headers: authorization).status == 200)
        try waitFor("the good one") { try daemon.get("/stats?unit=van7").body.contains("\"temp_avg\":40.0") }
        let rejected = try daemon.json("/api/v1/nodes/rejected?kind=piwardrive")["rejected"] as? [Any]
        #expect((rejected?.count ?? 0) >= 3)
        #expect(daemon.stop() == 0)
    }

    /// A unit sends its one file while it has it open: what is in the log beside it does not come.
    @Test func saysWhatWasInADatabaseThatCameWithoutItsLog() throws {
        let daemon = try daemon()
        func errors() throws -> [String] {
            let errors = try daemon.json("/api/v1/nodes/piwardrive/van/errors")["errors"] as? [[String: Any]]
            return errors?.compactMap { $0["message"] as? String } ?? []
        }
        func rejected() throws -> [String] {
            let lines = try daemon.json("/api/v1/nodes/rejected?kind=piwardrive")["rejected"] as? [[String: Any]]
            return lines?.compactMap { $0["reason"] as? String } ?? []
        }
        // As the file of a live database is: in WAL mode.
        func live(_ content: [UInt8]) -> [UInt8] {
            var content = content
            content.replaceSubrange(18..<20, with: [2, 2])
            return content
        }
        let row = ("2025-07-01T12:00:00", 40.0 as Double?, 10.0, 50.0, 20.0)
        #expect(try upload(daemon, live(database(health: [row])), path: "/upload?unit=van").status == 200)
        try waitForMerges(daemon, 1)
        #expect(try daemon.get("/stats?unit=van").body.contains("\"temp_avg\":40.0"))
        #expect(try errors().count == 1)
        #expect(try errors().first?.contains("1 health records and 0 access points") == true)
        #expect(try rejected().isEmpty)
        // Nothing in it at all: the upload failed.
        #expect(try upload(daemon, live(database()), path: "/upload?unit=van").status == 200)
        try waitFor("the empty one") { try rejected().contains { $0.contains("-wal did not come") } }
        // Of each unit the last one counts.
        #expect(try errors().count == 1)
        #expect(try errors().first?.contains("0 health records and 0 access points") == true)
        let listed = try daemon.command("nodes", "errors", "piwardrive", "van")
        #expect(listed.status == 0 && listed.output.contains("without its -wal"), "\(listed)")
        // Not in WAL mode, and empty: there is nothing to say. Without a table there is.
        #expect(try upload(daemon, database(), path: "/upload?unit=other").status == 200)
        try waitForMerges(daemon, 2)
        #expect(try rejected().count == 1)
        #expect(try upload(daemon, [], path: "/upload?unit=other").status == 200)
        try waitFor("the one without tables") { try rejected().contains { $0.contains("neither a table") } }
    }

    @Test func keepsUploadsOnlyWhereItIsSaid() throws {
        // In the former service's own words.
        let folder = try TestFolders.temporary("edge-agg")
        defer { TestFolders.remove(folder) }
        let port = try TestFolders.freePort()
        let daemon = try daemon([
            "PIWARDRIVE_KEEP_UPLOADS": "true", "PIWARDRIVE_MAX_UPLOAD_BYTES": "50000", "PW_AGG_DIR": folder,
            "PW_AGG_PORT": "\(port)", "PW_AGG_POOL_SIZE": "5",
        ])
        let good = try database(health: [("2025-07-01T12:00:00", 40, 10, 50, 20)])
        #expect(try upload(daemon, good, path: "/upload?unit=v").status == 200)
        try waitForMerges(daemon, 1)
        // `v` is 76 in hexadecimal.
        let kept = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/uploads/76/app.db"))
        #expect(Array(kept) == good)
        #expect(try upload(daemon, [UInt8](repeating: 1, count: 60_000)).status == 413)
        #expect(try DaemonProcess.request("GET", "/stats", port: port).body.contains("\"temp_avg\":40.0"))
    }

    @Test func mergesAfterAKillWhatWasAcknowledged() throws {
        let daemon = try daemon()
        var random = SeededGenerator()
        for turn in 0..<5 {
            let content = try database(
                health: (0..<200).map {
                    (String(format: "2025-07-%02dT12:%02d:%02d", turn + 1, $0 / 60, $0 % 60), 40, 10, 50, 20)
                },
                points: (0..<200).map { ("\(turn)-\($0)", Double(turn), Double($0) / 100) })
            #expect(try upload(daemon, content, path: "/upload?unit=van").status == 200)
            usleep(UInt32.random(in: 0...40_000, using: &random))
            daemon.killNow()
            try daemon.start()
        }
        try waitFor("all of it") {
            let points = try daemon.json("/overlay?bins=1")["points"] as? [[Double]]
            let rows =
                try daemon.json("/api/v1/observations?source=piwardrive/van&quantity=cpu&limit=1000")["observations"]
                as? [Any]
            return points?.first?.last == 1000 && rows?.count == 1000
        }
        let imported = "\(daemon.folder)/more.db"
        try Data(try database(points: [("new", 2, 1)])).write(to: URL(fileURLWithPath: imported))
        #expect(try daemon.command("import", "piwardrive", "--unit", "van", imported).status == 0)
        try waitFor("the imported file") {
            (try daemon.json("/overlay?bins=1")["points"] as? [[Double]])?.first?.last == 1001
        }
    }

    /// The former service merges before it answers, so a question right after the answer sees what was sent.
    @Test func aQuestionAfterTheAnswerSeesTheUpload() throws {
        let daemon = try daemon()
        let content = try database(health: [("2025-07-01T12:00:00", 40, 10, 50, 20)])
        var seen = 0
        for number in 0..<20 {
            #expect(try upload(daemon, content, path: "/upload?unit=van\(number)").status == 200)
            if try daemon.get("/stats?unit=van\(number)").body.contains("\"temp_avg\":40.0") { seen += 1 }
        }
        // The answer waits for a second at most, which may be too short on a machine that does much else.
        #expect(seen > 10, "\(seen) of 20")
        #expect(daemon.stop() == 0)
    }

    /// A merge that takes long does not hold up the answer: the unit waits for five seconds.
    @Test func theAnswerDoesNotWaitForAMergeThatCannotBeDone() throws {
        let folder = try TestFolders.temporary("edge-merge")
        defer { TestFolders.remove(folder) }
        let order = "\(folder)/order"
        let daemon = try daemon([
            "LD_PRELOAD": try Interposer.make("failing_read", in: folder), "READ_FAILURE_FILE": order,
        ])
        try Data("read \(EIO) 76616e37.db".utf8).write(to: URL(fileURLWithPath: order))
        let content = try database(health: [("2025-07-01T12:00:00", 40, 10, 50, 20)])
        #expect(try upload(daemon, content, path: "/upload?unit=van7").status == 200)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/spool/piwardrive").count == 1)
        try FileManager.default.removeItem(atPath: order)
        try waitForMerges(daemon, 1)
        #expect(daemon.stop() == 0)
    }

    @Test func rowsWithoutADateAreToldAtTheNode() throws {
        let daemon = try daemon()
        let content = try database(health: [
            ("2025-07-01T12:00:00", 40, 10, 50, 20), ("yesterday", 1, 1, 1, 1), ("2025-13-45T12:00:00", 1, 1, 1, 1),
        ])
        #expect(try upload(daemon, content, path: "/upload?unit=van7").status == 200)
        try waitForMerges(daemon, 1)
        let page = try daemon.json("/api/v1/nodes/piwardrive/van7/errors")["errors"] as? [[String: Any]] ?? []
        #expect(page.count == 1 && page.first?["type"] as? String == "timestamp")
        let message = page.first?["message"] as? String ?? ""
        #expect(message.contains("2 rows") && message.contains("1 rows were taken"), "\(message)")
        let metrics = try daemon.get("/metrics").body
        #expect(metrics.contains("edge_aggregator_node_rejected_total{kind=\"piwardrive\"} 2\n"))
        let records = #"[{"timestamp": "never", "cpu_percent": 1.5}]"#
        #expect(
            try DaemonProcess.request(
                "POST", "/u/van9/upload", port: daemon.port, headers: ["Content-Type: text/plain; charset=utf-8"],
                body: Array(records.utf8)
            ).status == 200)
        try waitForMerges(daemon, 2)
        #expect(try daemon.get("/api/v1/nodes/piwardrive/van9/errors").body.contains("`never`"))
        #expect(daemon.stop() == 0)
    }
}
