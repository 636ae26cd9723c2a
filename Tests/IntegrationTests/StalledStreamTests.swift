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

    /// Three listeners whose links stall and catch up, a clock that is stepped, and a daemon that is killed: for each listener what is
    /// heard, filled, a gap or a loss is what its sessions span, to the sample.
    @Test(arguments: ["set", "stepped", "not set"])
    func accountsForEverythingAcrossStallsStepsAndKills(clockIs: String) throws {
        var random = SeededGenerator()
        let clock = try ShiftedClock(seconds: clockIs == "not set" ? -1e9 : 0, isSynchronised: clockIs != "not set")
        defer { withExtendedLifetime(clock) {} }
        let daemon = try DaemonProcess(
            settings: [
                "MAX_RECORDING_DURATION_SEC": "2", "MIN_RECORDING_DURATION_SEC": "0", "AUDIO_SAMPLE_RATE": "8000",
                "AUDIO_BITS_PER_SAMPLE": "8", "AUDIO_NUM_CHANNELS": "1",
            ].merging(clock.environment) { $1 })
        try daemon.start()
        let begun = ContinuousClock.now
        var sources = try (0..<3).map { try Source(name: "source-\($0)", stream: daemon.stream("source-\($0)")) }
        let page = [UInt8](repeating: 0x80, count: 800)
        var kills = 0
        // Tenths of a second.
        for tick in 0..<300 {
            Thread.sleep(forTimeInterval: 0.1)
            if clockIs != "set", Int.random(in: 0..<25, using: &random) == 0 {
                // From a second to some years, forward and back.
                let seconds = pow(10, Double.random(in: 0...8, using: &random))
                try clock.set(
                    seconds: Bool.random(using: &random) ? seconds : -seconds, isSynchronised: clockIs == "stepped")
            }
            if tick % 100 == 60 {
                daemon.killNow()
                kills += 1
                try daemon.start()
                // A source begins anew: what it had not sent is lost, like what it made meanwhile.
                for index in sources.indices { try sources[index].begin(daemon.stream(sources[index].name)) }
            }
            for index in sources.indices {
                if sources[index].stalledTicks == 0, Int.random(in: 0..<40, using: &random) == 0 {
                    sources[index].stalledTicks = Int.random(in: 5..<60, using: &random)
                    sources[index].framesPerTick = [2, 4, 1000].randomElement(using: &random) ?? 2
                }
                try sources[index].tick(page, isLost: Int.random(in: 0..<50, using: &random) == 0)
            }
        }
        for source in sources { try source.stream.send(WireMaker.lastChunk) }
        for source in sources { #expect(try DaemonProcess.parse(source.stream.answer()).status == 200) }
        try clock.set(seconds: 0, isSynchronised: true)
        if clockIs == "not set" {
            let deadline = ContinuousClock.now + .seconds(20)
            while try daemon.recordings().contains(where: { $0["time_quality"] as? String == "unsynchronised" }) {
                try #require(ContinuousClock.now < deadline, "the times were not corrected")
                Thread.sleep(forTimeInterval: 0.2)
            }
        }
        let passed = (ContinuousClock.now - begun) / .seconds(1)
        let answer = try daemon.json("/api/v1/coverage?from=1950-01-01T00:00:00Z&to=2200-01-01T00:00:00Z")
        let listeners = answer["listeners"] as? [[String: Any]] ?? []
        #expect(listeners.count == sources.count)
        for coverage in listeners {
            let spanned = try #require(coverage["spanned_seconds"] as? Double)
            let accounted = try #require(coverage["accounted_seconds"] as? Double)
            #expect(spanned > 20 && spanned < passed + 1, "\(passed) s: \(coverage)")
            // A sample for each session.
            #expect(
                abs(spanned - accounted) < Double(kills + 1) / 8000,
                "\(kills) kills: \(coverage)")
        }
        #expect(daemon.stop() == 0)
    }

    /// A listener that makes a frame each tick, and a link that delivers them when it can.
    private struct Source {
        let name: String
        private(set) var stream: RawConnection
        private var sequence = 0
        private var waiting: [Int] = []
        var stalledTicks = 0
        var framesPerTick = 1

        init(name: String, stream: RawConnection) {
            self.name = name
            self.stream = stream
        }

        mutating func begin(_ stream: RawConnection) {
            self.stream = stream
            sequence = 0
            waiting = []
            stalledTicks = 0
        }

        mutating func tick(_ page: [UInt8], isLost: Bool) throws {
            // The place of a lost frame stays empty.
            if !isLost { waiting.append(sequence) }
            sequence += 1
            if stalledTicks > 0 {
                stalledTicks -= 1
                return
            }
            let now = waiting.prefix(max(1, framesPerTick))
            for number in now { try stream.send(WireMaker.chunk(WireMaker.frame(number, page))) }
            waiting.removeFirst(now.count)
        }
    }
}
