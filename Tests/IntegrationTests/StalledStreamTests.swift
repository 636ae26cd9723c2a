import EdgeTesting
import Foundation
import Testing

/// A link that stands still and then delivers everything has lost nothing, and the ledger says so.
@Suite struct StalledStreamTests {
    @Test func leavesNoGapAfterAStall() throws {
        // Recordings of a second, so that whole ones lie within the stall.
        let daemon = try DaemonProcess(settings: ["MAX_RECORDING_DURATION_SEC": "1", "MIN_RECORDING_DURATION_SEC": "0"])
        try daemon.start()
        let stream = try daemon.stream("a")
        let page = WireMaker.ramp(from: 0, samples: 4800)
        let started = ContinuousClock.now
        var sent = 0
        func send(_ count: Int, live: Bool) throws {
            for _ in 0..<count {
                if live {
                    let due = started + .milliseconds(100 * (sent + 1))
                    let wait = due - .now
                    if wait > .zero { Thread.sleep(forTimeInterval: Double(wait.components.attoseconds) / 1e18) }
                }
                try stream.send(WireMaker.chunk(WireMaker.frame(sent, page)))
                sent += 1
            }
        }
        try send(20, live: true)
        Thread.sleep(forTimeInterval: 5)
        // Fifty frames were made meanwhile.
        try send(50, live: false)
        try send(30, live: true)
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        let listeners = try daemon.json("/api/v1/coverage")["listeners"] as? [[String: Any]] ?? []
        let coverage = try #require(listeners.first)
        #expect(coverage["gaps"] as? [String: Double] == [:])
        let spanned = try #require(coverage["spanned_seconds"] as? Double)
        let accounted = try #require(coverage["accounted_seconds"] as? Double)
        // To the sample.
        #expect(abs(spanned - accounted) < 1.0 / 48_000)
        #expect(abs(accounted - 10) < 0.2)
        #expect(daemon.stop() == 0)
    }
}
