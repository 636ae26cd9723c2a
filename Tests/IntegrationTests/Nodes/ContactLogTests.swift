import EdgeTesting
import Foundation
import Testing

/// One line of the log for each contact of a node, which `grep` finds by the node's name.
struct ContactLogTests {
    private static let id = "co2unit-30aea42a5140"

    private func daemon(_ settings: [String: String]) throws -> (DaemonProcess, () throws -> [String]) {
        let daemon = try DaemonProcess(settings: ["LOG_LEVEL": "info"].merging(settings) { $1 })
        let path = "\(daemon.folder)/log"
        try daemon.start(logPath: path)
        return (
            daemon,
            {
                try String(contentsOfFile: path, encoding: .utf8).components(separatedBy: "\n")
                    .filter { $0.contains("ontact of a node") || $0.contains("ontacts of ") }
            }
        )
    }

    /// The fields of a line.
    private func has(_ line: String?, _ level: String, _ fields: [String]) -> Bool {
        guard let line else { return false }
        return line.contains("Z \(level) ") && fields.allSatisfy { line.contains(" \($0)") }
    }

    @Test func everyContactOfAUnitHasALine() throws {
        let (daemon, contacts) = try daemon(["NODE_ALLOW": "co2:\(Self.id)"])
        let unit = StockUnit(Self.id, port: daemon.port)
        try unit.ping()
        _ = try unit.ask("GET", "updates?recursive=False")
        let line = Array(unit.line(0).utf8)
        try unit.push("data/readings/readings-0000.tsv", offset: 0, line)
        try unit.push("data/readings/readings-0000.tsv", offset: 5000, [1])
        try unit.push("updates/update-1/flash/main.py", offset: 0, [1])
        let stranger = StockUnit("co2unit-stranger", port: daemon.port)
        try stranger.ping()
        try waitFor("the lines") { try contacts().count >= 6 }
        let lines = try contacts()
        let node = "node=\"\(Self.id)\""
        #expect(lines.count == 6)
        #expect(has(lines[0], "info", [node, "kind=\"co2\"", "what=\"alive\"", "bytes=\"0\"", "result=\"200\""]))
        // No updates is what a unit is told nearly always.
        #expect(has(lines[1], "info", [node, "what=\"fetch updates\"", "result=\"404\""]))
        #expect(
            has(
                lines[2], "info",
                [
                    node, "what=\"push data/readings/readings-0000.tsv offset 0\"", "bytes=\"\(line.count)\"",
                    "result=\"200\"",
                ]))
        #expect(has(lines[3], "info", [node, "result=\"416\"", "reason=\"\(line.count) bytes are stored\""]))
        #expect(has(lines[4], "notice", [node, "what=\"push updates/update-1/flash/main.py\"", "result=\"404\""]))
        #expect(
            has(
                lines[5], "notice",
                [
                    "node=\"co2unit-stranger\"", "result=\"403\"",
                    "reason=\"co2unit-stranger is not admitted: edge-aggregator nodes admit co2 co2unit-stranger",
                ]))
        #expect(daemon.stop() == 0)
    }

    @Test func aBurstHasSomeLinesAndACount() throws {
        let (daemon, contacts) = try daemon(["NODE_ALLOW": "co2:\(Self.id)"])
        let unit = StockUnit(Self.id, port: daemon.port)
        for _ in 0..<200 { try unit.ping() }
        // Names that somebody makes up share a limit.
        for number in 0..<150 { try StockUnit("made-up-\(number)", port: daemon.port).ping() }
        #expect(daemon.stop() == 0)
        let lines = try contacts()
        let own = lines.filter { $0.contains(" info Contact of a node") }
        #expect((30..<200).contains(own.count))
        let rejected = lines.filter { $0.contains(" notice A contact of a node was rejected") }
        #expect((60..<150).contains(rejected.count))
        // With the lines of the end, nothing is missing in the count.
        let leftOut = lines.compactMap { $0.firstMatch(of: /left_out="(\d+)"/) }.compactMap { Int($0.1) }.reduce(0, +)
        #expect(own.count + rejected.count + leftOut == 350)
        #expect(lines.contains { $0.contains("no line of their own") })
    }

    @Test func otherNodesHaveLinesToo() throws {
        let broker = try Broker(user: "nodes", password: "pw")
        try broker.start()
        let (daemon, contacts) = try daemon([
            "NODE_ADMISSION": "open", "MQTT_SERVER": "127.0.0.1", "ISEMS_MQTT_PORT": "\(broker.port)",
            "ISEMS_MQTT_USER": "nodes", "ISEMS_MQTT_PASSWORD": "pw", "NODE_TOKENS": "piwardrive:van7=of-van7",
        ])
        let now = Int(Date().timeIntervalSince1970)
        let payload = ISEMSNodeTests.line("Roof \"A\"", now - 60)
        try waitFor("the connection") {
            try daemon.get("/metrics").body.contains("edge_aggregator_node_broker_connected 1")
        }
        let publisher = try RawMQTT(port: broker.port, clientID: "isems-roof", user: "nodes", password: "pw")
        try publisher.publish("/isems/Roof \"A\"/csvlog", Array(payload.utf8))
        try waitFor("a line of the MQTT message") { try contacts().contains { $0.contains("mqtt csvlog") } }
        let line = try contacts().first { $0.contains("mqtt csvlog") }
        // The node's name is foreign text: its quotes do not end the field.
        #expect(
            has(
                line, "info",
                [
                    "kind=\"isems\"", "node=\"Roof \\\"A\\\"\"", "bytes=\"\(payload.utf8.count)\"",
                    "result=\"1 readings, 0 rejected\"",
                ]), "\(line ?? "")")
        let posted = try DaemonProcess.request(
            "POST", "/api/isems/x/n1/data", port: daemon.port, headers: ["Content-Type: application/json"],
            body: Array("nonsense".utf8))
        #expect(posted.status == 400)
        let upload = try DaemonProcess.request(
            "POST", "/u/van7/upload", port: daemon.port, body: Array("[]".utf8))
        #expect(upload.status == 401)
        try waitFor("the lines of what was rejected") { try contacts().contains { $0.contains("node=\"van7\"") } }
        let lines = try contacts()
        #expect(
            has(
                lines.first { $0.contains("node=\"n1\"") }, "notice",
                ["kind=\"isems\"", "what=\"POST data\"", "bytes=\"8\"", "result=\"400\""]))
        #expect(
            has(
                lines.first { $0.contains("node=\"van7\"") }, "notice",
                ["kind=\"piwardrive\"", "what=\"upload\"", "result=\"401\"", "reason=\"The token is missing or wrong"]))
        #expect(daemon.stop() == 0)
    }
}
