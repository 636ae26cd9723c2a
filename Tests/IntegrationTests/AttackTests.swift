import EdgeTesting
import Foundation
import Synchronization
import Testing

/// One peer cannot use up what all share: each attack runs beside a ``Bystander``, which must not notice it, and the daemon
/// must end in time afterwards.
///
/// `EDGE_ATTACK_SECONDS` (4) says for how long.
@Suite(.serialized) struct AttackTests {
    enum Attack: String, CaseIterable, CustomTestStringConvertible {
        case recordingsOfOneSample, formatsInTurn, newListeners, silenceFromNothing, unfinishedUploads, strangeUnits
        case smallUploads, hoursOfSilence

        var testDescription: String { rawValue }
    }

    private static let seconds = ProcessInfo.processInfo.environment["EDGE_ATTACK_SECONDS"].flatMap(Double.init) ?? 4
    /// Of the attacker; the bystander comes from 127.0.0.1.
    private static let source = "127.0.0.2"

    @Test(arguments: Attack.allCases)
    func isNotNoticedByOthers(attack: Attack) throws {
        let daemon = try DaemonProcess(settings: [
            "MAX_RECORDING_DURATION_SEC": "600", "NODE_ALLOW": "co2:aabbccddee01", "SHUTDOWN_TIMEOUT_SEC": "20",
            "LOG_LEVEL": "error",
        ])
        try daemon.start()
        let bystander = try Bystander(daemon)
        Thread.sleep(forTimeInterval: 0.5)
        let attackers = Attackers(attack, port: daemon.port, source: Self.source)
        Thread.sleep(forTimeInterval: Self.seconds)
        attackers.stop()
        Thread.sleep(forTimeInterval: 0.5)
        try bystander.judge()
        try check(daemon, after: attack)
        let ending = ContinuousClock.now
        #expect(daemon.stop() == 0)
        #expect(ContinuousClock.now - ending < .seconds(20), "the daemon ended within its own time")
    }

    private func check(_ daemon: DaemonProcess, after attack: Attack) throws {
        switch attack {
        case .recordingsOfOneSample, .formatsInTurn:
            // What is beyond the limit is accounted for, in a line for each connection and not for each recording.
            let lines = try daemon.json("/api/v1/ledger?limit=1000")["ledger"] as? [[String: Any]] ?? []
            let heldBack = lines.filter { $0["reason"] as? String == "too many short recordings" }
            #expect((1...64).contains(heldBack.count), "\(heldBack.count) lines")
            #expect(heldBack.contains { $0["frames"] as? Int ?? 0 > 1000 })
            #expect(try recordingRows(daemon) < 1000)
            #expect(try databaseBytes(daemon) < 8_000_000)
        case .newListeners:
            let folders = try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/recordings")
            // max_new_listeners_per_hour, the two honest ones, and what the hour's share of the attack's seconds adds.
            #expect(folders.count <= 1010)
            #expect(try databaseBytes(daemon) < 8_000_000)
        case .silenceFromNothing:
            let listeners = try daemon.json("/api/v1/coverage")["listeners"] as? [[String: Any]] ?? []
            let filled = listeners.compactMap { $0["filled_seconds"] as? Double }.reduce(0, +)
            #expect(filled < 60, "\(filled) s of silence out of empty frames")
        case .unfinishedUploads, .strangeUnits, .smallUploads, .hoursOfSilence: break
        }
    }

    private func recordingRows(_ daemon: DaemonProcess) throws -> Int {
        let page = try daemon.get("/metrics").body
        let line = page.split(separator: "\n").first { $0.hasPrefix("edge_aggregator_recordings_total ") }
        return Int(Double(line?.split(separator: " ").last ?? "") ?? .infinity)
    }

    private func databaseBytes(_ daemon: DaemonProcess) throws -> Int {
        try ["edge.db", "edge.db-wal"].reduce(0) { sum, name in
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(daemon.folder)/\(name)")
            return sum + (attributes[.size] as? Int ?? 0)
        }
    }
}

/// Threads that send as fast as they can what nobody should.
private final class Attackers: @unchecked Sendable {
    private let port: Int
    private let source: String
    private let isOver = Atomic<Bool>(false)
    private let finished = DispatchSemaphore(value: 0)
    private let lock = NSLock()
    /// Behind the lock.
    private var connections: [RawConnection] = []
    private var threads = 0

    init(_ attack: AttackTests.Attack, port: Int, source: String) {
        self.port = port
        self.source = source
        for number in 0..<4 {
            threads += 1
            let thread = Thread { [self] in
                while !isOver.load(ordering: .relaxed) {
                    // Whatever is done to the attacker, it tries again.
                    do { try strike(attack, number) } catch { Thread.sleep(forTimeInterval: 0.01) }
                }
                finished.signal()
            }
            thread.start()
        }
    }

    func stop() {
        isOver.store(true, ordering: .relaxed)
        lock.withLock { for connection in connections { connection.breakOff() } }
        for _ in 0..<threads { finished.wait() }
    }

    private func connect() throws -> RawConnection {
        let connection = try RawConnection(port: port, from: source)
        lock.withLock {
            connections.append(connection)
            if connections.count > 2000 { connections.removeFirst(1000) }
        }
        // Else a connection made while all are being ended would wait for ever.
        if isOver.load(ordering: .relaxed) { connection.breakOff() }
        return connection
    }

    private func stream(_ listener: String) throws -> RawConnection {
        let connection = try connect()
        try connection.send(
            "POST /recordings_stream?listener_id=\(listener) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        return connection
    }

    private func strike(_ attack: AttackTests.Attack, _ number: Int) throws {
        switch attack {
        case .recordingsOfOneSample:
            let frame = WireMaker.frame(0, [1, 2])
            try flood(stream("flood-\(number)"), (0..<4000).flatMap { _ in frame })
        case .formatsInTurn:
            let block = (0..<500).flatMap { index in
                WireMaker.frame(index, WireMaker.wavHeader(rate: index % 2 == 0 ? 8000 : 16_000) + [1, 2])
            }
            try flood(stream("formats-\(number)"), block)
        case .newListeners:
            let stream = try stream("new-\(UInt64.random(in: 0...UInt64.max))")
            try stream.send(WireMaker.chunk(WireMaker.frame(0, [1, 2, 3, 4])))
            stream.breakOff()
        case .silenceFromNothing:
            let stream = try stream("silence-\(number)")
            try stream.send(WireMaker.chunk(WireMaker.frame(0, [UInt8](repeating: 0, count: 60_000))))
            // Each says that nine of 60,000 bytes are missing, and brings none.
            var sequence = 0
            while !isOver.load(ordering: .relaxed) {
                let frames = (0..<100).flatMap { _ in
                    sequence += 10
                    return WireMaker.frame(sequence % 0xFF_FFFF, [])
                }
                try stream.send(WireMaker.chunk(frames))
            }
        case .unfinishedUploads:
            let connection = try connect()
            try connection.send(
                "POST /recordings_upload?listener_id=slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
            )
            Thread.sleep(forTimeInterval: 0.02)
        case .strangeUnits:
            let id = String(UInt64.random(in: 0x1000_0000_0000...0xFFFF_FFFF_FFFF), radix: 16)
            for path in ["alive?site_code=x", "push-sequential/data/\(id).tsv?offset=0"] {
                let connection = try connect()
                let method = path.hasPrefix("alive") ? "POST" : "PUT"
                try connection.send("\(method) /ou/\(id)/\(path) HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                _ = try connection.readToEnd(within: 5)
            }
        case .smallUploads:
            try upload("small.wav", WireMaker.wavHeader(rate: 8000, bits: 8, dataBytes: 2) + [1, 2])
        case .hoursOfSilence: try upload("silence.flac", Self.silence)
        }
    }

    /// 38 hours in 1.5 MB.
    private static let silence = SilentFLAC.file(hours: 38)

    private func upload(_ name: String, _ file: [UInt8]) throws {
        let connection = try connect()
        let body =
            Array(
                "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\nContent-Type: audio/wav\r\n\r\n"
                    .utf8) + file + Array("\r\n--b--\r\n".utf8)
        try connection.send(
            "POST /recordings_upload?listener_id=attacker HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(body.count)\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        try connection.send(body)
        _ = try connection.readToEnd(within: 60)
    }

    private func flood(_ stream: RawConnection, _ block: [UInt8]) throws {
        let chunk = WireMaker.chunk(block)
        while !isOver.load(ordering: .relaxed) { try stream.send(chunk) }
    }
}
