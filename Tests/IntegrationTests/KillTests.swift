import EdgeTesting
import Foundation
import Testing

/// The daemon is killed at random moments while listeners stream, and started again, over and over.
@Suite(.serialized) struct KillTests {
    /// In `make test` a few; `make test-faults` has 200.
    private static let kills = Int(ProcessInfo.processInfo.environment["EDGE_KILLS"] ?? "") ?? 12

    @Test func losesNoSyncedByteAndStartsWithoutHelp() throws {
        var random = SeededGenerator()
        let daemon = try DaemonProcess(settings: [
            "SYNC_INTERVAL_MS": "50", "MAX_RECORDING_DURATION_SEC": "4", "MIN_RECORDING_DURATION_SEC": "0",
        ])
        for kill in 0..<Self.kills {
            try daemon.start()
            var sent: [String: Int] = [:]
            var acknowledged: [String: Int] = [:]
            var streams: [(String, RawConnection)] = []
            for number in 0..<3 {
                let listener = "k\(kill)-\(number)"
                streams.append((listener, try daemon.stream(listener)))
                sent[listener] = 0
            }
            let samples = 4096
            // A stream that ends is acknowledged: from then on it must survive anything.
            let acknowledgedListener = "k\(kill)-done"
            let done = try daemon.stream(acknowledgedListener)
            for number in 0..<30 {
                try done.send(
                    WireMaker.chunk(WireMaker.frame(number, WireMaker.ramp(from: number * samples, samples: samples))))
            }
            try done.send(WireMaker.lastChunk)
            if try DaemonProcess.parse(done.answer()).status == 200 {
                acknowledged[acknowledgedListener] = 30 * samples * 2
            }
            let rounds = Int.random(in: 5...60, using: &random)
            for number in 0..<rounds {
                for (listener, stream) in streams {
                    let frame = WireMaker.frame(number, WireMaker.ramp(from: number * samples, samples: samples))
                    try stream.send(WireMaker.chunk(frame))
                    sent[listener, default: 0] += samples * 2
                }
                usleep(UInt32.random(in: 0...3000, using: &random))
            }
            daemon.killNow()
            streams.removeAll()
            if kill % 2 == 1 { try tearHeaders(daemon, kill: kill, &random) }
            try daemon.start()
            try check(daemon, kill: kill, sent: sent, acknowledged: acknowledged, samples: samples)
            #expect(daemon.stop() == 0)
        }
    }

    /// What a power cut may do to the header of a recording that is open. Its sound is not touched, and must all be there.
    private func tearHeaders(_ daemon: DaemonProcess, kill: Int, _ random: inout SeededGenerator) throws {
        for number in 0..<3 {
            let folder = "\(daemon.folder)/recordings/k\(kill)-\(number)"
            for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
                let file = try #require(FileHandle(forUpdatingAtPath: "\(folder)/\(name)"))
                let head = try file.read(upToCount: 44) ?? Data()
                // The size of the sound is not known yet.
                if head.count == 44, head.suffix(3).allSatisfy({ $0 == 0xFF }) {
                    try file.seek(toOffset: 0)
                    try file.write(contentsOf: Data(random.bytes(44)))
                }
                try file.close()
            }
        }
    }

    private func check(
        _ daemon: DaemonProcess, kill: Int, sent: [String: Int], acknowledged: [String: Int], samples: Int
    ) throws {
        let recordings = try daemon.recordings("&state=closed")
        for (listener, least) in acknowledged {
            let kept = try recordings.filter { $0["listener"] as? String == listener }.flatMap { try daemon.sound($0) }
            #expect(kept.count == least)
            #expect(kept == WireMaker.ramp(from: 0, samples: least / 2))
        }
        for (listener, most) in sent {
            let own = recordings.filter { $0["listener"] as? String == listener }
            let kept = try own.flatMap { try daemon.sound($0) }
            // A kill loses nothing that the kernel has: what is kept is the beginning of what was sent, without a hole.
            #expect(kept.count <= most)
            #expect(kept == WireMaker.ramp(from: 0, samples: kept.count / 2), "kill \(kill), \(listener)")
            let frames = own.compactMap { $0["frames"] as? Int }.reduce(0, +)
            #expect(frames == kept.count / 2)
        }
        // The ledger adds up: heard and accounted seconds span every session to its last frame.
        let coverage = try daemon.json("/api/v1/coverage")["listeners"] as? [[String: Any]] ?? []
        for part in coverage where (part["listener"] as? String)?.hasPrefix("k\(kill)-") == true {
            let spanned = part["spanned_seconds"] as? Double ?? -1
            let accounted = part["accounted_seconds"] as? Double ?? -2
            #expect(abs(spanned - accounted) < 0.001, "\(part)")
        }
        #expect(try daemon.get("/readyz").status == 200)
    }
}
