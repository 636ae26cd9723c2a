import EdgeTesting
import Foundation
import Testing

/// The daemon is killed in the middle of what nodes send, and started again.
@Suite(.serialized) struct NodeKillTests {
    private static let kills = Int(ProcessInfo.processInfo.environment["EDGE_KILLS"] ?? "") ?? 10

    @Test func aUnitsNextContactRepairsItsFile() throws {
        var random = SeededGenerator()
        let daemon = try DaemonProcess(settings: ["NODE_ADMISSION": "open"])
        try daemon.start()
        var file: [UInt8] = []
        var progress = 0
        let path = "data/readings/readings-0000.tsv"
        let id = "co2unit-30aea42a5140"
        var number = 0
        func more(_ lines: Int) {
            for _ in 0..<lines {
                file += Array(StockUnit(id, port: 0).line(number).utf8)
                number += 1
            }
        }
        for kill in 0..<Self.kills {
            more(60)
            let unit = StockUnit(id, port: daemon.port)
            let moment = Int.random(in: 0...4, using: &random)
            for push in 0..<5 where progress < file.count {
                let body = Array(file[progress...].prefix(1000))
                if push == moment {
                    // Killed while a push is under way: sent whole or in part, answered or not.
                    let connection = try RawConnection(port: daemon.port)
                    try connection.send(
                        "PUT /ou/\(id)/push-sequential/\(path)?offset=\(progress) HTTP/1.0\r\nHost: x\r\nContent-Length: \(body.count)\r\n\r\n"
                    )
                    try connection.send(Array(body.prefix(Int.random(in: 0...body.count, using: &random))))
                    usleep(UInt32.random(in: 0...3000, using: &random))
                    daemon.killNow()
                    break
                }
                let answer = try unit.push(path, offset: progress, body)
                let acknowledged = try #require(StockUnit.acknowledged(answer.body), "\(answer)")
                #expect(acknowledged.bytes <= file.count)
                progress = acknowledged.bytes
            }
            daemon.killNow()
            let stored = FileManager.default.contents(atPath: "\(daemon.folder)/remote_data/\(id)/\(path)") ?? Data()
            #expect(stored.count >= progress, "kill \(kill): acknowledged bytes are missing")
            #expect(stored.elementsEqual(file.prefix(stored.count)), "kill \(kill)")
            try daemon.start()
        }
        let unit = StockUnit(id, port: daemon.port)
        while progress < file.count {
            let answer = try unit.push(path, offset: progress, Array(file[progress...].prefix(4096)))
            progress = try #require(StockUnit.acknowledged(answer.body)).bytes
        }
        let stored = FileManager.default.contents(atPath: "\(daemon.folder)/remote_data/\(id)/\(path)")
        #expect(stored.map { $0.elementsEqual(file) } == true)
        try waitFor("every reading, once") {
            let page = try daemon.json("/api/v1/observations?source=co2/\(id)&quantity=co2_01&limit=1000")
            return (page["observations"] as? [[String: Any]])?.count == number
        }
    }
}
