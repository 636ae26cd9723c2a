import EdgeTesting
import Foundation
import GRDB
import Testing

/// Files of CO2 units arrive in chunks that end in the middle of lines. Whatever the order of the chunks and the files, each
/// line is read whole.
@Suite(.serialized) struct CO2ChunkTests {
    private static let id = "co2unit-30aea42a5140"
    private static let quantities =
        ["temperature", "flashes"] + (1...10).map { "co2_\($0 < 10 ? "0" : "")\($0)" }
    /// What the units' program sends at once.
    private static let chunkBytes = 4096

    private func daemon() throws -> (DaemonProcess, StockUnit) {
        let daemon = try DaemonProcess(settings: ["NODE_ALLOW": "co2:\(Self.id)"])
        try daemon.start()
        return (daemon, StockUnit(Self.id, port: daemon.port))
    }

    private static func path(_ number: Int) -> String { "data/readings/readings-000\(number).tsv" }

    private func pushAll(_ unit: StockUnit, _ number: Int, _ file: [UInt8], from start: Int = 0) throws {
        for offset in stride(from: start, to: file.count, by: Self.chunkBytes) {
            let end = min(offset + Self.chunkBytes, file.count)
            #expect(try unit.push(Self.path(number), offset: offset, Array(file[offset..<end])).status == 200)
        }
    }

    private static func bytes(_ lines: [String]) -> [UInt8] { Array(lines.joined().utf8) }

    /// What the lines say, by time and quantity: the expectation, made without the program's code.
    private static func said(_ lines: [String]) -> [String: Double] {
        var said: [String: Double] = [:]
        for line in lines {
            let fields = line.dropLast().split(separator: "\t").map(String.init)
            let time = "\(fields[2])T\(fields[3]).000Z"
            for (place, quantity) in quantities.enumerated() { said["\(time) \(quantity)"] = Double(fields[4 + place]) }
            let warm = fields[8..<16].compactMap { Double($0) }
            said["\(time) co2"] = warm.reduce(0, +) / Double(warm.count)
        }
        return said
    }

    /// What the API tells. Fails when it tells anything twice.
    private static func told(_ daemon: DaemonProcess) throws -> [String: Double] {
        var told: [String: Double] = [:]
        for quantity in quantities + ["co2"] {
            let page = try daemon.json("/api/v1/observations?source=co2/\(id)&quantity=\(quantity)&limit=1000")
            for row in page["observations"] as? [[String: Any]] ?? [] {
                let name = "\(row["at"] as? String ?? "") \(quantity)"
                #expect(told[name] == nil, "told twice: \(name)")
                told[name] = row["value"] as? Double
            }
        }
        return told
    }

    private static func rejected(_ daemon: DaemonProcess) throws -> [String] {
        (try daemon.json("/api/v1/nodes/rejected")["rejected"] as? [[String: Any]] ?? []).map { "\($0)" }
    }

    private func waitForAll(_ daemon: DaemonProcess, _ lines: [String]) throws {
        try waitFor("\(lines.count) readings") {
            let page = try daemon.json("/api/v1/observations?source=co2/\(Self.id)&quantity=temperature&limit=1000")
            return (page["observations"] as? [[String: Any]])?.count == lines.count
        }
    }

    @Test func aFileThatIsNotTheLastLosesNoReading() throws {
        let (daemon, unit) = try daemon()
        let lines = (0..<300).map { unit.line($0, columns: $0 % 3 == 0 ? 21 : 16) }
        let (first, second) = (Array(lines[..<220]), Array(lines[220...]))
        let file = Self.bytes(first)
        // As many chunks as can show the fault, each with its end in the middle of a line.
        let ends = stride(from: Self.chunkBytes, to: file.count, by: Self.chunkBytes)
        try #require(ends.allSatisfy { file[$0 - 1] != 0x0A } && Array(ends).count >= 5)
        // The later file is here already: the unit was rewound.
        try pushAll(unit, 1, Self.bytes(second))
        try waitForAll(daemon, second)
        for offset in stride(from: 0, to: file.count, by: Self.chunkBytes) {
            let end = min(offset + Self.chunkBytes, file.count)
            #expect(try unit.push(Self.path(0), offset: offset, Array(file[offset..<end])).status == 200)
            // Each chunk is read before the next one comes.
            try waitForAll(daemon, second + first.prefix(file[..<end].count { $0 == 0x0A }))
        }
        let told = try Self.told(daemon)
        #expect(told == Self.said(lines))
        #expect(try Self.rejected(daemon).isEmpty)
        // A new card: other readings in the same file, which is still not the last.
        let other = (300..<420).map { unit.line($0) }
        try pushAll(unit, 0, Self.bytes(other))
        try waitForAll(daemon, lines + other)
        #expect(try Self.told(daemon) == Self.said(lines + other))
        #expect(try Self.rejected(daemon).isEmpty)
        #expect(daemon.stop() == 0)
    }

    @Test func theEndOfAFileWaitsForTheRestOfItsLine() throws {
        let (daemon, unit) = try daemon()
        let lines = (0..<12).map { unit.line($0) }
        let file = Self.bytes(Array(lines[..<10]))
        // The unit tells the rest to another server, and goes on here with its next file.
        try pushAll(unit, 0, Array(file.dropLast(20)))
        try pushAll(unit, 1, Self.bytes([lines[10]]))
        try waitForAll(daemon, lines[..<9] + [lines[10]])
        // Read once more, from the beginning, as after a crash.
        daemon.killNow()
        try daemon.start()
        let again = StockUnit(Self.id, port: daemon.port)
        try pushAll(again, 2, Self.bytes([lines[11]]))
        try waitForAll(daemon, lines[..<9] + [lines[10], lines[11]])
        // Another server is not reached, and the unit comes back for the rest.
        try pushAll(again, 0, file, from: file.count - 20)
        try waitForAll(daemon, lines)
        #expect(try Self.told(daemon) == Self.said(lines))
        #expect(try Self.rejected(daemon).isEmpty)
        #expect(daemon.stop() == 0)
    }

    @Test func anyOrderOfChunksGivesTheSameReadings() throws {
        var random = SeededGenerator()
        let (daemon, first) = try daemon()
        var unit = first
        let lines = (0..<240).map { first.line($0, columns: $0 % 2 == 0 ? 21 : 16) }
        let files = stride(from: 0, to: 240, by: 80).map { Self.bytes(Array(lines[$0..<($0 + 80)])) }
        var sent = [0, 0, 0]
        var pushes = 0
        while sent != files.map(\.count) {
            pushes += 1
            let number = Int.random(in: 0..<3, using: &random)
            let file = files[number]
            let offset =
                switch Int.random(in: 0..<8, using: &random) {
                // A chunk again, a rewound unit, and one that told more to another server.
                case 0: Int.random(in: 0...sent[number], using: &random)
                case 1: 0
                case 2: min(file.count, sent[number] + Int.random(in: 1...3000, using: &random))
                default: sent[number]
                }
            let size = Bool.random(using: &random) ? 1024 : Int.random(in: 1...2000, using: &random)
            let end = min(offset + size, file.count)
            guard offset < end else { continue }
            let answer = try unit.push(Self.path(number), offset: offset, Array(file[offset..<end]))
            #expect(answer.status == (offset <= sent[number] ? 200 : 416))
            if offset <= sent[number] { sent[number] = max(sent[number], end) }
            if pushes % 40 == 0 {
                daemon.killNow()
                try daemon.start()
                unit = StockUnit(Self.id, port: daemon.port)
            }
        }
        try waitForAll(daemon, lines)
        #expect(try Self.told(daemon) == Self.said(lines))
        #expect(try Self.rejected(daemon).isEmpty)
        #expect(daemon.stop() == 0)
    }

    /// Versions before read the half lines at the ends of chunks as whole ones. Their position is behind them.
    @Test func readsWhatAnEarlierVersionHasMissed() throws {
        let (daemon, unit) = try daemon()
        let lines = (0..<260).map { unit.line($0) }
        let file = Self.bytes(Array(lines[..<200]))
        try pushAll(unit, 1, Self.bytes(Array(lines[200...])))
        try pushAll(unit, 0, file)
        try waitForAll(daemon, lines)
        #expect(daemon.stop() == 0)
        /// Seconds since 1970 of the lines that a chunk's end cuts: from 2019-01-02T00:00:10 on, half an hour each.
        let missed = stride(from: Self.chunkBytes, to: file.count, by: Self.chunkBytes).map {
            1_546_387_210 + 1800 * file[..<$0].count { $0 == 0x0A }
        }
        let database = try DatabaseQueue(path: "\(daemon.folder)/edge.db")
        func ids() throws -> [Int64] { try database.read { try Int64.fetchAll($0, sql: "SELECT id FROM readings") } }
        for _ in 0..<2 {
            try database.write { database in
                for seconds in missed {
                    try database.execute(
                        sql: "DELETE FROM readings WHERE time_ns = ?", arguments: [seconds * 1_000_000_000])
                    #expect(database.changesCount == 1)
                }
                // The first time as an earlier version leaves it, then as one that was in use for a while in between.
                try database.execute(
                    sql: "UPDATE node_files SET parsed_bytes = ? WHERE path = ?",
                    arguments: [file.count - 7, Self.path(0)])
                #expect(database.changesCount == 1)
            }
            let kept = try ids()
            try daemon.start()
            try waitForAll(daemon, lines)
            #expect(try Self.told(daemon) == Self.said(lines))
            #expect(try Self.rejected(daemon).isEmpty)
            #expect(daemon.stop() == 0)
            // What was there stays as it is, and is sent nowhere again.
            let now = try ids()
            #expect(Set(kept).isSubset(of: now) && now.count == kept.count + missed.count)
        }
        try database.write { try $0.execute(sql: "DELETE FROM node_files WHERE path LIKE 'lines:%'") }
        let before = try ids()
        try daemon.start()
        try pushAll(StockUnit(Self.id, port: daemon.port), 2, Self.bytes([unit.line(260)]))
        try waitForAll(daemon, lines + [unit.line(260)])
        #expect(daemon.stop() == 0)
        #expect(try Set(before).isSubset(of: ids()) && ids().count == before.count + 1)
    }

    /// An import takes the end of a file as it is. The unit goes on behind it.
    @Test func theRestOfALineCompletesWhatWasImportedOfIt() throws {
        let (daemon, unit) = try daemon()
        let lines = (0..<10).map { unit.line($0) }
        let file = Self.bytes(lines)
        let old = "\(daemon.folder)/old/remote_data/\(Self.id)/data/readings"
        try FileManager.default.createDirectory(atPath: old, withIntermediateDirectories: true)
        try Data(file.dropLast(20)).write(to: URL(fileURLWithPath: "\(old)/readings-0000.tsv"))
        #expect(try daemon.command("import", "co2", "\(daemon.folder)/old/remote_data").status == 0)
        try waitForAll(daemon, lines)
        #expect(try Self.told(daemon) != Self.said(lines))
        try pushAll(unit, 0, file, from: file.count - 20)
        try waitFor("the whole line") { try Self.told(daemon) == Self.said(lines) }
        #expect(try Self.rejected(daemon).isEmpty)
        #expect(daemon.stop() == 0)
    }

    /// Of the oldest units the message is on the line after the entry's own.
    @Test func anEntryOfALogWaitsForItsMessage() throws {
        let (daemon, unit) = try daemon()
        let head = Array("----- (2019, 10, 25, 3, 11, 24, 4, 298)\n".utf8)
        let rest = Array("Watchdog reset\n----- 2019-09-16 10:56:00 WARN  y\n".utf8)
        func messages() throws -> [String] {
            let page = try daemon.json("/api/v1/nodes/co2/\(Self.id)/errors")
            return (page["errors"] as? [[String: Any]] ?? []).compactMap { $0["message"] as? String }
        }
        try unit.push("errors/errors-0000.txt", offset: 0, head)
        try waitFor("the entry") { try messages() == [""] }
        try unit.push("errors/errors-0000.txt", offset: head.count, Array(rest[..<5]))
        #expect(try messages() == [""])
        try unit.push("errors/errors-0000.txt", offset: head.count + 5, Array(rest[5...]))
        try waitFor("its message") { try messages() == ["y", "Watchdog reset"] }
        #expect(daemon.stop() == 0)
    }
}
