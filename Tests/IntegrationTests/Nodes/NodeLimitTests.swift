import EdgeTesting
import Foundation
import Testing

/// What one peer can take of what all nodes share: names, inodes, memory and writes.
@Suite(.serialized) struct NodeLimitTests {
    private static let file = "data/readings/readings-0000.tsv"

    private func daemon(_ settings: [String: String]) throws -> DaemonProcess {
        let daemon = try DaemonProcess(settings: ["LOG_LEVEL": "critical"].merging(settings) { $1 })
        try daemon.start()
        return daemon
    }

    private func nodes(_ daemon: DaemonProcess) throws -> [String] {
        let page = try daemon.json("/api/v1/nodes")["nodes"] as? [[String: Any]] ?? []
        return page.compactMap { $0["id"] as? String }.sorted()
    }

    private func upload(_ daemon: DaemonProcess, _ unit: String, _ query: String = "") throws -> Int {
        try DaemonProcess.request(
            "POST", "/u/\(unit)/upload\(query)", port: daemon.port, body: Array("[]".utf8)
        ).status
    }

    /// Whoever has not shown a token is not remembered, under whatever names.
    @Test func strangersLeaveRoomForTheUnitWithAToken() throws {
        let daemon = try daemon([
            "NODE_ADMISSION": "open", "MAX_NODES": "5", "NODE_TOKENS": "piwardrive:*=of-all,isems:*=of-all",
        ])
        for number in 0..<30 {
            let status = try upload(daemon, "stranger\(number)", number % 2 == 0 ? "" : "?token=wrong")
            #expect(status == 401)
            let posted = try DaemonProcess.request(
                "POST", "/api/isems/x/stranger\(number)/data", port: daemon.port,
                body: Array(#"{"batteryVoltage":13.9}"#.utf8)
            ).status
            #expect(posted == 401)
        }
        let listed = try nodes(daemon)
        #expect(listed.isEmpty)
        let status = try upload(daemon, "van7", "?token=of-all")
        #expect(status == 200)
        try waitFor("the unit") { try nodes(daemon) == ["van7"] }
        let metrics = try daemon.get("/metrics").body
        #expect(metrics.contains(#"edge_aggregator_nodes{kind="piwardrive",state="admitted"} 1"#))
        #expect(metrics.contains(#"edge_aggregator_node_refused_total{kind="piwardrive"} 30"#))
        #expect(daemon.stop() == 0)
    }

    /// Without tokens, an address adds so many nodes and no more. Others, and whoever the operator has named, are not locked out.
    @Test func oneAddressDoesNotTakeTheRoomOfOthers() throws {
        let daemon = try daemon([
            "NODE_ADMISSION": "open", "MAX_NODES": "40", "MAX_NODES_PER_ADDRESS": "10",
            "NODE_ALLOW": "co2:co2unit-named", "TRUSTED_PROXIES": "127.0.0.1",
        ])
        func ping(_ unit: String, _ address: String) throws -> Int {
            try DaemonProcess.request(
                "POST", "/ou/\(unit)/alive", port: daemon.port, headers: ["X-Forwarded-For: \(address)"]
            ).status
        }
        for number in 0..<30 {
            // An IPv6 client has all addresses of its network.
            let status = try ping("co2unit-\(number)", "2001:db8:1:2::\(number + 1)")
            #expect(status == (number < 10 ? 200 : 403))
        }
        let known = try ping("co2unit-3", "2001:db8:1:2::99")
        let other = try ping("co2unit-other", "192.0.2.1")
        let named = try ping("co2unit-named", "2001:db8:1:2::1")
        #expect(known == 200 && other == 200 && named == 200)
        // It is the same after a restart: the rows say where the nodes came from.
        #expect(daemon.stop() == 0)
        try daemon.start()
        let again = try ping("co2unit-new", "2001:db8:1:2::1")
        let elsewhere = try ping("co2unit-new", "192.0.2.2")
        #expect(again == 403 && elsewhere == 200)
        #expect(daemon.stop() == 0)
    }

    /// Files and folders count, not only bytes.
    @Test func emptyAndSmallFilesTakeABoundedNumberOfInodes() throws {
        let daemon = try daemon(["NODE_ADMISSION": "open", "CO2_UNIT_MAX_FILES": "100"])
        let unit = StockUnit("co2unit-1", port: daemon.port)
        let root = "\(daemon.folder)/remote_data/\(unit.id)"
        func entries() -> [String] {
            FileManager.default.enumerator(atPath: root)?.allObjects as? [String] ?? []
        }
        for number in 0..<150 {
            let answer = try unit.push("data/readings/empty-\(number).tsv", offset: 0, [])
            #expect(answer.status == 200)
            #expect(answer.body == "{\"ack_file\": [\"empty-\(number).tsv\", 0, 0]}\n")
        }
        #expect(entries().isEmpty)
        let first = try unit.push(Self.file, offset: 0, Array(unit.line(0).utf8)).status
        #expect(first == 200)
        var taken = 0
        for number in 0..<150 where try unit.push("data/x/\(number).tsv", offset: 0, [65]).status == 200 { taken += 1 }
        // The unit's folder counts too.
        #expect(taken > 50 && entries().count + 1 == 100, "\(taken), \(entries().count)")
        // What it has it goes on with; and others are not touched.
        let more = try unit.push(Self.file, offset: unit.line(0).utf8.count, Array(unit.line(1).utf8)).status
        let other = try StockUnit("co2unit-2", port: daemon.port).push("data/x.tsv", offset: 0, [65]).status
        #expect(more == 200 && other == 200)
        #expect(daemon.stop() == 0)

        // What earlier versions have left empty goes when it is a day old.
        let old = Date(timeIntervalSinceNow: -172_800)
        for name in ["old.tsv", "new.tsv"] {
            try Data().write(to: URL(fileURLWithPath: "\(root)/data/x/\(name)"))
        }
        try FileManager.default.setAttributes([.modificationDate: old], ofItemAtPath: "\(root)/data/x/old.tsv")
        try FileManager.default.removeItem(atPath: "\(root)/data/x/0.tsv")
        try FileManager.default.removeItem(atPath: "\(root)/data/x/1.tsv")
        try daemon.start()
        let again = try StockUnit(unit.id, port: daemon.port).push("data/x/again.tsv", offset: 0, [65]).status
        #expect(again == 200)
        #expect(!entries().contains("data/x/old.tsv") && entries().contains("data/x/new.tsv"))
        #expect(daemon.stop() == 0)
    }

    /// The units of one address share a limit, so that names bring no room.
    @Test func theUnitsOfOneAddressShareALimit() throws {
        let daemon = try daemon([
            "NODE_ADMISSION": "open", "CO2_ADDRESS_MAX_FILES": "100", "NODE_ALLOW": "co2:co2unit-named",
        ])
        var taken = 0
        for number in 0..<60 {
            let unit = StockUnit("co2unit-\(number)", port: daemon.port)
            // A unit's folder, `data`, and the file.
            if try unit.push("data/x.tsv", offset: 0, [65]).status == 200 { taken += 1 }
        }
        #expect(taken == 33)
        let named = try StockUnit("co2unit-named", port: daemon.port).push("data/x.tsv", offset: 0, [65]).status
        #expect(named == 200)
        #expect(daemon.stop() == 0)
    }

    /// The old content stays where it is on the disk and gets another name: nothing of it is written again.
    @Test func replacingAFileCopiesNothingOfIt() throws {
        let daemon = try daemon(["NODE_ADMISSION": "open"])
        let unit = StockUnit("co2unit-1", port: daemon.port)
        let folder = "\(daemon.folder)/remote_data/\(unit.id)/data/readings"
        func number(_ name: String) throws -> UInt64? {
            try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.systemFileNumber] as? UInt64
        }
        func content(_ number: Int) -> [UInt8] { Array((0..<40).map { unit.line(number * 40 + $0) }.joined().utf8) }
        var numbers: [UInt64?] = []
        for version in 0..<12 {
            let status = try unit.push(Self.file, offset: 0, content(version)).status
            #expect(status == 200)
            numbers.append(try number("readings-0000.tsv"))
        }
        for place in 1...8 {
            let name = ".readings-0000.tsv.replaced-\(place)"
            #expect(FileManager.default.contents(atPath: "\(folder)/\(name)").map { Array($0) } == content(place + 2))
            let kept = try number(name)
            #expect(kept != nil && kept == numbers[place + 2])
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 9)
        // As a run leaves it that is killed between the two names: one content under both.
        try FileManager.default.linkItem(
            atPath: "\(folder)/readings-0000.tsv", toPath: "\(folder)/.readings-0000.tsv.replaced-9")
        let status = try unit.push(Self.file, offset: 0, content(12)).status
        #expect(status == 200)
        for place in 1...8 {
            let name = ".readings-0000.tsv.replaced-\(place)"
            #expect(FileManager.default.contents(atPath: "\(folder)/\(name)").map { Array($0) } == content(place + 3))
        }
        #expect(FileManager.default.contents(atPath: "\(folder)/readings-0000.tsv").map { Array($0) } == content(12))
        #expect(daemon.stop() == 0)
    }

    /// A change in the middle of a large file costs a copy of what is before it: that is bounded, and the file stays whole.
    @Test func changesInTheMiddleOfLargeFilesAreBounded() throws {
        let daemon = try daemon(["NODE_ADMISSION": "open"])
        let unit = StockUnit("co2unit-1", port: daemon.port)
        let part = [UInt8](repeating: 65, count: 262_144)
        let parts = 100
        for number in 0..<parts {
            let status = try unit.push("data/x.bin", offset: number * part.count, part).status
            #expect(status == 200)
        }
        let end = parts * part.count - 1
        let first = try unit.push("data/x.bin", offset: end, [66]).status
        #expect(first == 200)
        // 26 MB were copied for one byte; a minute's worth is 16.
        let second = try unit.push("data/x.bin", offset: end, [67])
        #expect(second.status == 503, "\(second)")
        let stored = FileManager.default.contents(atPath: "\(daemon.folder)/remote_data/co2unit-1/data/x.bin")
        #expect(stored?.count == end + 1 && stored?.last == 66)
        // Files as units have them, and other units, go on.
        let own = try unit.push(Self.file, offset: 0, Array(unit.line(0).utf8)).status
        let other = try StockUnit("co2unit-2", port: daemon.port).push("data/x.bin", offset: 0, [1]).status
        #expect(own == 200 && other == 200)
        #expect(daemon.stop() == 0)
    }

    /// Lines of one byte, rejected one by one, must not take a hundred times their bytes of memory.
    @Test func shortLinesTakeLittleMemory() throws {
        let daemon = try daemon(["NODE_ADMISSION": "open"])
        let unit = StockUnit("co2unit-1", port: daemon.port)
        func highestKilobytes() throws -> Int {
            let status = try String(contentsOfFile: "/proc/\(daemon.pid)/status", encoding: .utf8)
            return status.firstMatch(of: /VmHWM:\s+(\d+)/).flatMap { Int($0.1) } ?? .max
        }
        func push(_ body: [UInt8]) throws {
            for number in 0..<4 {
                let status = try unit.push("data/readings/readings-000\(number).tsv", offset: 0, body).status
                #expect(status == 200)
            }
        }
        try push(Array(unit.line(0).utf8))
        try waitFor("the line") {
            let page = try daemon.json("/api/v1/observations?source=co2/\(unit.id)&quantity=temperature")
            return (page["observations"] as? [Any])?.count == 1
        }
        let before = try highestKilobytes()
        try push(Array(repeatElement([UInt8(ascii: "a"), 0x0A], count: 131_072).joined()))
        try waitFor("the count") {
            let page = try daemon.json("/api/v1/nodes/rejected")["rejected"] as? [[String: Any]] ?? []
            return page.first?["count"] as? Int == 4 * 131_072
        }
        // Four files of 256 kB took 90 MB, in one transaction.
        let grown = try highestKilobytes() - before
        #expect(grown < 48_000, "\(grown) kB")
        #expect(daemon.stop() == 0)
    }
}
