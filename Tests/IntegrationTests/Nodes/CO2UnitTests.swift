import EdgeTesting
import Foundation
import Testing

/// CO2 units over raw sockets, as they are in the field.
struct CO2UnitTests {
    private static let id = "co2unit-30aea42a5140"
    private static let readings = "data/readings/readings-0000.tsv"

    private func daemon(_ settings: [String: String] = [:]) throws -> (DaemonProcess, StockUnit) {
        let daemon = try DaemonProcess(settings: ["NODE_ALLOW": "co2:\(Self.id)"].merging(settings) { $1 })
        try daemon.start()
        return (daemon, StockUnit(Self.id, port: daemon.port))
    }

    private func stored(_ daemon: DaemonProcess, _ path: String = readings, unit: String = id) -> [UInt8]? {
        FileManager.default.contents(atPath: "\(daemon.folder)/remote_data/\(unit)/\(path)").map { Array($0) }
    }

    @Test func hasTheMannersOfTheUnitsClient() throws {
        let (daemon, unit) = try daemon()
        for answer in [
            try unit.ping(), try unit.ping(""), try unit.push(Self.readings, offset: 0, Array("x\n".utf8)),
            try unit.push(Self.readings, offset: 9, [1]), try unit.ask("GET", "updates?recursive=False"),
            try unit.ask("GET", "push-sequential/\(Self.readings)"),
            try unit.ask("PUT", "push-sequential/data/x", body: []),
            try unit.ask("GET", "alive"), try unit.push("updates/update-9/flash/main.py", offset: 0, [1]),
        ] {
            let head = answer.raw.components(separatedBy: "\r\n\r\n")[0]
            // Read to the end above; the length is there as well, and nothing is chunked or redirected.
            #expect(head.lowercased().contains("content-length: \(answer.body.utf8.count)"))
            #expect(!head.lowercased().contains("transfer-encoding") && !head.contains("Location:"))
            #expect(head.lowercased().contains("content-type: application/json"))
            #expect(answer.body.hasSuffix("\n"))
        }
        #expect(try unit.ping().body == "{}\n")
        #expect(try unit.ask("GET", "updates?recursive=False").status == 404)
        #expect(try unit.ask("GET", "push-sequential/\(Self.readings)").body == "null\n")
        #expect(try unit.ask("PUT", "push-sequential/data/x", body: []).status == 400)
        #expect(
            try unit.ask("GET", "alive").body
                == "{\"message\": \"The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.\"}\n"
        )
        // Others that speak HTTP/1.0 wait for the end too.
        for path in ["/stats", "/measurements/latest", "/status/alive/recent", "/nothing", "/api/v1/status"] {
            let connection = try RawConnection(port: daemon.port)
            try connection.send("GET \(path) HTTP/1.0\r\nHost: x\r\n\r\n")
            #expect(try connection.readToEnd().hasPrefix("HTTP/1.1 "))
        }
        // curl's usual form type is no reason to see an empty body.
        let connection = try RawConnection(port: daemon.port)
        try connection.send(
            "PUT /ou/\(Self.id)/push-sequential/data/f.tsv?offset=0 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b"
        )
        #expect(try connection.readToEnd().hasSuffix("{\"ack_file\": [\"f.tsv\", 3, 3]}\n"))
    }

    @Test func acknowledgesSoThatTheFileBecomesTheUnits() throws {
        let (daemon, unit) = try daemon()
        let file = Array((0..<120).map { unit.line($0) }.joined().utf8)
        func push(_ offset: Int, _ end: Int) throws -> (status: Int, body: String, raw: String) {
            try unit.push(Self.readings, offset: offset, Array(file[offset..<end]))
        }
        #expect(try push(0, 4096).body == "{\"ack_file\": [\"readings-0000.tsv\", 4096, 4096]}\n")
        // An answer that was lost: the same again.
        #expect(try push(0, 4096).body == "{\"ack_file\": [\"readings-0000.tsv\", 4096, 4096]}\n")
        // Another server was told of more.
        let gap = try push(8192, 9000)
        #expect(gap.status == 416)
        #expect(
            gap.body == "{\"error\": \"SKIPPED_PART_OF_FILE\", \"ack_file\": [\"readings-0000.tsv\", 4096, 4096]}\n")
        #expect(try push(4097, 4200).status == 416)
        #expect(
            try unit.push("data/readings/readings-0003.tsv", offset: 5, [1]).body.contains(
                "[\"readings-0003.tsv\", 0, 0]"))
        #expect(stored(daemon, "data/readings/readings-0003.tsv") == nil)
        #expect(try push(4096, 8192).status == 200)
        #expect(try push(3000, file.count).body.contains("\(file.count), \(file.count)"))
        #expect(stored(daemon) == file)
        // A file that was begun anew on the unit: the old one is kept beside.
        let other = Array("co2unit-x\tother\n".utf8)
        #expect(try unit.push(Self.readings, offset: 0, other).body.contains("\(other.count), \(other.count)"))
        #expect(stored(daemon) == other)
        #expect(stored(daemon, "data/readings/.readings-0000.tsv.replaced-1") == file)
        // A chunk that breaks off is not taken.
        let cut = try RawConnection(port: daemon.port)
        try cut.send(
            "PUT /ou/\(Self.id)/push-sequential/data/cut.tsv?offset=0 HTTP/1.0\r\nHost: x\r\nContent-Length: 4096\r\n\r\nhalf"
        )
        cut.reset()
        #expect(try unit.ping().status == 200)
        #expect(stored(daemon, "data/cut.tsv") == nil)
    }

    @Test func tellsReadingsAtOnceAndEachOnce() throws {
        let (daemon, unit) = try daemon()
        let lines = (0..<30).map { unit.line($0) } + (30..<60).map { unit.line($0, columns: 21) }
        let bad = ["\(Self.id)\tn\t1970-01-01\t00:00:10\(String(repeating: "\t1", count: 12))\n", "junk\n"]
        let file = Array((lines[..<20] + bad + lines[20...] + [unit.line(60).prefix(80) + ""]).joined().utf8)
        for start in stride(from: 0, to: file.count, by: 4096) {
            try unit.push(Self.readings, offset: start, Array(file[start..<min(start + 4096, file.count)]))
        }
        try unit.push(Self.readings, offset: 0, Array(file[..<4096]))
        func rows(_ quantity: String) throws -> [[String: Any]] {
            try daemon.json("/api/v1/observations?source=co2/\(Self.id)&quantity=\(quantity)&limit=1000")[
                "observations"]
                as? [[String: Any]] ?? []
        }
        try waitFor("the readings") { try rows("co2").count == 60 }
        #expect(try rows("zero_point").count == 30)
        let first = try rows("co2").last
        #expect(first?["at"] as? String == "2019-01-02T00:00:10.000Z")
        // The third to the tenth value: 700 to 770.
        #expect(first?["value"] as? Double == 735)
        // Of the line that is not whole nothing is told, also when the unit goes on in another file: it may come back.
        try unit.push("data/readings/readings-0001.tsv", offset: 0, Array(unit.line(61).utf8))
        try waitFor("the next file") { try rows("temperature").count == 61 }
        try unit.push(Self.readings, offset: file.count, Array(unit.line(60).utf8.dropFirst(80)))
        try waitFor("the whole line") { try rows("temperature").count == 62 }
        #expect(try rows("co2_10").count == 62)
        let rejected = try daemon.json("/api/v1/nodes/rejected")["rejected"] as? [[String: Any]] ?? []
        #expect(rejected.count == 2)
        #expect(Set(rejected.compactMap { $0["count"] as? Int }) == [1])
        let csv = try daemon.get("/api/v1/observations?source=co2/\(Self.id)&quantity=co2&format=csv").body
        // The head as well.
        #expect(csv.split(separator: "\r\n").count == 63)
        // A log of errors as well, with empty lines and bytes that are no text; read in pieces or at once, it is the same.
        let log = Array(
            "----- 2019-09-16 10:55:57 EXC   Uncaught x\n\nTraceback \u{FF}\n\n----- 2019-09-16 10:56:00 WARN  y\n".utf8
        )
        .filter { $0 != 0xC3 }
        func errors() throws -> [String] {
            let errors = try daemon.json("/api/v1/nodes/co2/\(Self.id)/errors")["errors"] as? [[String: Any]]
            return errors?.compactMap { $0["message"] as? String } ?? []
        }
        try unit.push("errors/errors-0000.txt", offset: 0, Array(log[..<60]))
        try waitFor("the first error") { try errors() == ["Uncaught x"] }
        try unit.push("errors/errors-0000.txt", offset: 60, Array(log[60...]))
        try waitFor("both errors") { try errors() == ["y", "Uncaught x"] }
        #expect(try daemon.command("import", "co2", "\(daemon.folder)/remote_data").status == 0)
        #expect(try errors() == ["y", "Uncaught x"])
    }

    @Test func keepsPingsInTheStoreAndInTheFormerFiles() throws {
        let (daemon, unit) = try daemon()
        try unit.ping()
        try unit.ping("?site_code=evil%0aname&rssi_raw=999")
        let recent = try daemon.get("/status/alive/recent?refresh=7")
        #expect(recent.status == 200)
        let lines = recent.body.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines[0].hasSuffix("\t(now)"))
        #expect(lines[2].hasSuffix("\t30aea42a5140\tvaranger-03\t8\t-97"))
        #expect(lines[1].hasSuffix("\t30aea42a5140\tNone\tNone\tNone"))
        #expect(try daemon.get("/status/alive/recent?asc=1").body.hasSuffix("\t(now)\n"))
        let file = try String(contentsOfFile: "\(daemon.folder)/var/pings/pings-0000.tsv", encoding: .utf8)
        #expect(file.split(separator: "\n").count == 2)
        #expect(
            file.firstMatch(
                of: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\tco2unit-30aea42a5140\tvaranger-03\t8\t-97\n/) != nil)
        let node = try daemon.json("/api/v1/nodes/co2/\(Self.id)")
        #expect(node["name"] as? String == "varanger-03" && node["state"] as? String == "ok")
        for path in ["/status/alive/summary", "/data/co2/summary"] {
            #expect(try daemon.get(path).body.contains("<td>\(Self.id)</td>"))
        }
        for path in [
            "/status/alive/pings_all_tiered.svg", "/data/co2/co2_tiered_all_hires.svg",
            "/data/co2/co2_tiered_recent_hires.svg",
        ] {
            #expect(try daemon.get(path).body.hasPrefix("<svg "))
        }
        #expect(try daemon.get("/var/pub/edge.db").status == 404)
    }

    @Test func admitsWhomTheOperatorAdmits() throws {
        let (daemon, _) = try daemon()
        let stranger = StockUnit("co2unit-ffffffffffff", port: daemon.port)
        #expect(try stranger.ping().status == 403)
        #expect(try stranger.push("data/readings/readings-0000.tsv", offset: 0, [65]).status == 403)
        #expect(!FileManager.default.fileExists(atPath: "\(daemon.folder)/remote_data/\(stranger.id)"))
        try waitFor("the stranger in the list") {
            (try daemon.json("/api/v1/nodes?state=waiting")["nodes"] as? [[String: Any]])?.count == 1
        }
        let listed = try daemon.command("nodes")
        #expect(listed.output.contains("co2/co2unit-ffffffffffff, waiting"))
        #expect(try daemon.command("nodes", "admit", "co2", stranger.id).status == 0)
        #expect(try stranger.ping().status == 200)
        #expect(try daemon.command("nodes", "refuse", "co2", stranger.id).status == 0)
        #expect(try stranger.ping().status == 403)
        for bad in ["../x", "a%2fb", ".x", String(repeating: "x", count: 65)] {
            #expect([400, 404].contains(try StockUnit(bad, port: daemon.port).ping().status), "\(bad)")
        }
    }

    @Test func handsOutUpdatesThatTheOperatorPublishes() throws {
        let (daemon, unit) = try daemon(["CO2_GROUPS": "tundra=\(Self.id) co2unit-000000000002"])
        let update = "\(daemon.folder)/update-2026-11-21"
        for (path, text) in [
            ("conf-patch/ou-id.json", "{\"site_code\": \"new\"}"), ("flash/lib/fileutil.mpy", "M\u{5}\u{0}x"),
        ] {
            let place = "\(update)/\(path)"
            try FileManager.default.createDirectory(
                atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try text.write(toFile: place, atomically: false, encoding: .utf8)
        }
        let published = try daemon.command("nodes", "publish", update, unit.id)
        #expect(published.status == 0, "\(published.output)")
        #expect(try unit.ask("GET", "updates?recursive=False").body == "[\"update-2026-11-21\"]\n")
        #expect(
            try unit.ask("GET", "updates/update-2026-11-21?recursive=True").body
                == "[\"conf-patch/ou-id.json\", \"flash/lib/fileutil.mpy\"]\n")
        let file = try unit.ask("GET", "updates/update-2026-11-21/flash/lib/fileutil.mpy")
        #expect(file.status == 200 && file.body == "M\u{5}\u{0}x")
        // The same name again, an earlier one, and names that would stop the unit.
        #expect(try daemon.command("nodes", "publish", update, unit.id).status == 1)
        for bad in ["update-2020", "fix-1"] {
            try FileManager.default.copyItem(atPath: update, toPath: "\(daemon.folder)/\(bad)")
            #expect(try daemon.command("nodes", "publish", "\(daemon.folder)/\(bad)", unit.id).status == 1)
        }
        let put = "/api/v1/nodes/co2/\(unit.id)/updates/update-3?path="
        for path in ["..%2f..%2fx", "flash%2f..%2fx", "etc%2fpasswd", "conf-patch%2fx.json"] {
            #expect(
                try DaemonProcess.request("PUT", put + path, port: daemon.port, body: Array("x".utf8)).status == 409)
        }
        #expect(try daemon.command("nodes", "withdraw", "update-2026-11-21", unit.id).status == 0)
        #expect(try unit.ask("GET", "updates?recursive=False").body == "[]\n")
        // A group sees it together.
        let grouped = try daemon.command("nodes", "publish", update, "@tundra")
        #expect(grouped.status == 0, "\(grouped.output)")
        for id in [unit.id, "co2unit-000000000002"] {
            let names = try daemon.json("/api/v1/nodes/co2/\(id)/updates")["updates"] as? [String]
            #expect(names == ["update-2026-11-21"])
        }
        #expect(try daemon.command("nodes", "publish", update, "@nobody").status == 1)
        // Units cannot write there.
        for path in ["updates/update-9/flash/main.py", "data/../updates/x/y", "var/x/y"] {
            #expect(try unit.push(path, offset: 0, [65]).status == 404)
        }
        #expect(stored(daemon, "updates/update-9/flash/main.py") == nil)
    }

    @Test func refusesMoreThanAUnitMayKeep() throws {
        let (daemon, unit) = try daemon(["CO2_UNIT_MAX_BYTES": "102400", "CO2_MAX_PUSH_BYTES": "65536"])
        let block = [UInt8](repeating: 65, count: 65_536)
        #expect(try unit.push("data/a.bin", offset: 0, block).status == 200)
        #expect(try unit.push("data/a.bin", offset: 65_536, block).status == 413)
        #expect(try unit.push("data/b.bin", offset: 0, block + [1]).status == 413)
        #expect(stored(daemon, "data/a.bin")?.count == 65_536)
        #expect(try unit.ping().status == 200)
    }

    @Test func takesOverAFormerServersFolder() throws {
        let (daemon, unit) = try daemon()
        let old = "\(daemon.folder)/old/remote_data"
        func write(_ path: String, _ text: String) throws {
            let place = "\(old)/\(path)"
            try FileManager.default.createDirectory(
                atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try text.write(toFile: place, atomically: false, encoding: .utf8)
        }
        let other = StockUnit("co2unit-000000000001", port: daemon.port)
        try write("\(other.id)/data/readings/readings-0000.tsv", (0..<50).map { other.line($0) }.joined())
        try write("\(other.id)/data/readings/readings-0001.tsv", other.line(50) + other.line(51).prefix(60))
        try write("\(other.id)/errors/errors-0000.txt", "----- 2019-09-16 10:55:57 WARN  x\n")
        try write("\(other.id)/updates/update-1/flash/x.py", "x")
        try write(
            "server-box/var/pings/pings-0000.tsv",
            "2019-08-01T01:24:01.564991\t\(other.id)\tvaranger-09\t8\t-97\nbad line\n")
        for _ in 0..<2 {
            let result = try daemon.command("import", "co2", old)
            #expect(result.status == 0, "\(result.output)")
            #expect(result.output.contains("1 units, 3 files: 52 readings, 1 pings, 1 lines rejected"))
        }
        #expect(
            stored(daemon, "data/readings/readings-0001.tsv", unit: other.id)
                == Array((other.line(50) + other.line(51).prefix(60)).utf8))
        let rows =
            try daemon.json("/api/v1/observations?source=co2/\(other.id)&quantity=co2_01&limit=1000")["observations"]
            as? [[String: Any]]
        #expect(rows?.count == 51)
        // The unit goes on where the former server stood, without being admitted by hand.
        #expect(try other.ping().status == 200)
        #expect(try other.ask("GET", "updates?recursive=False").body == "[\"update-1\"]\n")
        let size = stored(daemon, "data/readings/readings-0001.tsv", unit: other.id)?.count ?? 0
        let rest = Array((other.line(50) + other.line(51)).utf8.dropFirst(size))
        #expect(try other.push("data/readings/readings-0001.tsv", offset: size, rest).status == 200)
        #expect(try unit.ping().status == 200)
    }
}
