import AudioDSP
import EdgeTesting
import Testing

/// Late sound is not lost time: what a stalled link delivers afterwards leaves no gap behind.
@Suite struct StalledLinkTests {
    private static let second: Int64 = 1_000_000_000

    /// A source that makes sound in real time, and a link that delivers it late.
    struct Simulation {
        /// A quarter of a second in 8 bits, so that hours of it are little.
        static let rate = 8000
        static let frameSamples = 2000
        static let frameSeconds = 0.25
        /// When a frame is ready to be sent, seconds, and what it is.
        var frames: [(madeAt: Double, wire: [UInt8])] = []
        private(set) var sequence = 0
        private(set) var now = 1000.0
        /// How long the source made no sound, and how long its sound was lost on the way, seconds.
        private(set) var pausedSeconds = 0.0
        private(set) var lostSeconds = 0.0

        mutating func play(seconds: Double) {
            let payload = [UInt8](repeating: 0x80, count: Self.frameSamples)
            for _ in 0..<Int(seconds / Self.frameSeconds) {
                now += Self.frameSeconds
                frames.append((now, WireMaker.frame(sequence, payload)))
                sequence += 1
            }
        }

        mutating func pause(seconds: Double, restarts: Bool) {
            now += seconds
            pausedSeconds += seconds
            if restarts { sequence = 0 }
        }

        /// The source goes on, and so many frames of it never arrive.
        mutating func lose(frames count: Int) {
            now += Self.frameSeconds * Double(count)
            lostSeconds += Self.frameSeconds * Double(count)
            sequence += count
        }

        /// Delivers everything in order.
        ///
        /// - Parameters:
        ///   - stalls: when the link stands still, and for how long, seconds.
        ///   - speed: how many times faster than its sound a backlog arrives.
        func deliver(
            to player: inout SessionPlayer, stalls: [(at: Double, seconds: Double)], speed: Double,
            jitter: () -> Double
        ) {
            var free = 0.0
            for frame in frames {
                var arrival = max(frame.madeAt + jitter(), free)
                for stall in stalls where arrival >= stall.at && arrival < stall.at + stall.seconds {
                    arrival = stall.at + stall.seconds
                }
                player.play(frame.wire, at: arrival)
                free = arrival + Self.frameSeconds / speed
            }
            player.finish(at: max(free, now))
        }
    }

    private func makePlayer() throws -> SessionPlayer {
        SessionPlayer(
            ListenerSession.Configuration(
                defaultFormat: try PCMFormat(encoding: .unsigned8, channels: 1, sampleRate: Simulation.rate),
                maximumRecordingNanoseconds: 20 * Self.second))
    }

    private func check(_ player: SessionPlayer, _ comment: String) -> SessionTimeline {
        #expect(player.violations.isEmpty, "\(comment)")
        let timeline = SessionTimeline(player)
        let breaks = timeline.breaks(sampleNanoseconds: 125_000, slewPerMille: SampleClock.slewPerMille)
        #expect(breaks.isEmpty, "\(comment)")
        return timeline
    }

    /// 100 s of sound, of which the link delivers nothing for a while.
    @Test(arguments: [10.0, 30, 60, 90], [1.5, 4, 1000])
    func leavesNoGapAfterAStall(stall: Double, speed: Double) throws {
        var source = Simulation()
        source.play(seconds: 100 + stall * 3)
        var player = try makePlayer()
        source.deliver(to: &player, stalls: [(1015, stall)], speed: speed) { 0 }
        let timeline = check(player, "\(stall) s, \(speed) times")
        #expect(timeline.gapNanoseconds == 0)
        let first = try #require(timeline.intervals.first)
        let last = try #require(timeline.intervals.last)
        #expect(abs(first.start - 1000 * Self.second) < Self.second / 100)
        // The correction of a drift may have moved sound by the jitter that it took for one.
        #expect(abs(Double(last.end) / 1e9 - source.now) < 1)
    }

    @Test func keepsAPauseOfTheSourceThatComesWithAStall() throws {
        var source = Simulation()
        source.play(seconds: 30)
        source.pause(seconds: 25, restarts: true)
        source.play(seconds: 90)
        var player = try makePlayer()
        // The link stands still over the pause's end, so that it seems to be longer than it was.
        source.deliver(to: &player, stalls: [(1050, 30)], speed: 20) { 0 }
        let timeline = check(player, "pause and stall")
        #expect(abs(Double(timeline.gapNanoseconds) / 1e9 - 25) < 0.01)
    }

    @Test func tellsALossOnTheWayFromTheStallThatCameWithIt() throws {
        var source = Simulation()
        source.play(seconds: 30)
        source.lose(frames: 60)
        source.play(seconds: 90)
        var player = try makePlayer()
        source.deliver(to: &player, stalls: [(1045, 40)], speed: 20) { 0 }
        let timeline = check(player, "loss and stall")
        #expect(abs(Double(timeline.gapNanoseconds) / 1e9 - 15) < 0.01)
    }

    @Test func accountsForEverySecondWhateverTheLinkAndTheSourceDo() throws {
        var random = SeededGenerator()
        for round in 0..<100 {
            var source = Simulation()
            var stalls: [(at: Double, seconds: Double)] = []
            source.play(seconds: Double.random(in: 1...40, using: &random))
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                switch Int.random(in: 0...3, using: &random) {
                case 0: source.pause(seconds: .random(in: 3...60, using: &random), restarts: true)
                case 1: source.pause(seconds: .random(in: 0...3, using: &random), restarts: true)
                case 2: source.lose(frames: Int.random(in: 1...100, using: &random))
                default:
                    stalls.append(
                        (source.now - .random(in: 0...20, using: &random), .random(in: 1...90, using: &random)))
                }
                source.play(seconds: Double.random(in: 1...60, using: &random))
            }
            // Time to catch up, then live again.
            let speeds: [Double] = [1.3, 2, 5, 50, 1000]
            let speed = speeds.randomElement(using: &random) ?? 2
            let stalled = stalls.map(\.seconds).reduce(0, +)
            let stallEnd = stalls.map { $0.at + $0.seconds }.max() ?? 0
            source.play(seconds: max(0, stallEnd - source.now) + stalled / (speed - 1) + 45)
            let jitterSeconds: Double = Bool.random(using: &random) ? 0 : 0.15
            var player = try makePlayer()
            source.deliver(to: &player, stalls: stalls, speed: speed) {
                jitterSeconds == 0 ? 0 : .random(in: 0...jitterSeconds, using: &random)
            }
            let comment = "round \(round): \(stalls), \(speed) times, jitter \(jitterSeconds)"
            let timeline = check(player, comment)
            let filled = player.notes.filter { $0.kind == .filled }.map(\.durationNanoseconds).reduce(0, +)
            let silent = Double(timeline.gapNanoseconds + filled) / 1e9
            // No gap is invented. A pause that lies within a stall leaves no trace on the wire, so it may be missing.
            let wanted = source.pausedSeconds + source.lostSeconds
            #expect(silent < wanted + 5 * 1.2 + jitterSeconds, "\(comment)")
            let isKnowable = stalls.isEmpty || source.pausedSeconds == 0
            #expect(!isKnowable || silent > wanted - 5 * 1.2 - jitterSeconds, "\(comment)")
        }
    }
}
