import AudioDSP
import EdgeTesting
import Testing

/// Senders that claim much and send little: nothing overflows, and a few bytes are not a line of the ledger each.
@Suite struct HostileSequenceTests {
    /// The farthest jump of 24-bit numbers that is not one backwards: half of the 16,777,215 numbers.
    private let farthest = 8_388_607

    @Test func emptyFramesThatJumpAsFarAsTheyCan() throws {
        var player = try SessionPlayer.standard()
        // The sound of a frame with a header tells no frame's length, so the last frame's declared length counts.
        player.play(WireMaker.frame(0, WireMaker.wavHeader() + [1, 2]), at: 100)
        var number = 0
        let jumps = (0..<70_000).flatMap { _ in
            number = (number + 1 + farthest) % 0xFF_FFFF
            return WireMaker.frame(number, [])
        }
        player.play(jumps, at: 100.1)
        var last = WireMaker.frame(number + 1, [UInt8](repeating: 7, count: 4096))
        last.replaceSubrange(3..<6, with: [0xFF, 0xFF, 0xFF])
        player.play(last, at: 100.2)
        player.finish(at: 100.3)
        #expect(player.violations.isEmpty)
        #expect(player.recordings.map(\.audio.count) == [2, 4096])
        let gap = try #require(player.notes.first { $0.kind == .gap })
        // All numbers there are, of the longest frames there are; both stop at what can be summed.
        #expect(gap.frames == 0xFF_FFFF)
        #expect(gap.bytes == 1 << 39)
        #expect(player.session.counters.framesMissing == 1 << 39)
    }

    @Test func emptyRestartsAreOneGapOfAnHourAtMost() throws {
        var player = try SessionPlayer.standard()
        // A millisecond of sound; then 5000 times 10 s are claimed to be missing, in 12 bytes each.
        player.play(WireMaker.frame(1, [UInt8](repeating: 1, count: 96)), at: 100)
        for index in 0..<5000 {
            let jump = WireMaker.frame(index == 0 ? 10_002 : 10_001, [])
            player.play(jump + WireMaker.frame(0, []), at: 100 + Double(index) / 1e6)
        }
        player.finish(at: 101)
        #expect(player.violations.isEmpty)
        #expect(player.recordings.map(\.audio.count) == [96])
        let gaps = player.notes.filter { $0.kind == .gap }
        #expect(gaps.map(\.frames) == [5000 * 10_000])
        #expect(gaps.map(\.durationNanoseconds) == [3_600_000_000_000])
    }

    @Test func whatIsMissingWithinALossIsOneLine() throws {
        var player = try SessionPlayer.standard()
        player.play(WireMaker.frame(0, [UInt8](repeating: 1, count: 96)), at: 100)
        // A thousand unsupported sample rates, with 20 frames missing before each.
        for index in 1...1000 {
            player.play(
                WireMaker.frame(index * 21, WireMaker.wavHeader(rate: index)), at: 100 + Double(index) / 1000)
        }
        player.finish(at: 101)
        #expect(player.violations.isEmpty)
        let gaps = player.notes.filter { $0.kind == .gap }
        #expect(gaps.map(\.frames) == [20, 20 * 999])
        let losses = player.notes.filter { $0.kind == .loss }
        #expect(losses.map(\.frames).reduce(0, +) == 1000)
        #expect(losses.map(\.bytes).reduce(0, +) == 44 * 1000)
        // Sixteen reasons, and one line for the rest.
        #expect(losses.count == 17)
        #expect(losses.last { $0.frames == 1000 - 16 }?.reason == "losses for further reasons")
        // The second from 100 s on is told once: 20 frames of a millisecond, then the loss until the last frame.
        let told = player.notes.map(\.durationNanoseconds).reduce(0, +)
        #expect(abs(told - 1_000_000_000) < 2_000_000)
    }

    @Test func positionsStopBeforeTheyOverflow() throws {
        let format = try PCMFormat(encoding: .unsigned8, channels: 1, sampleRate: 8000)
        var clock = SampleClock(format: format, startNanoseconds: 0)
        // 36 million years of sound.
        clock.advance(frames: .max)
        clock.observe(arrivalNanoseconds: 1_000_000_000)
        clock.beginNextRecording(isSettled: true)
        #expect(clock.positionNanoseconds == SampleClock.latestNanoseconds)
        // A time of 2026 and that position together are a time that 64 bits can hold.
        let sum = clock.positionNanoseconds.addingReportingOverflow(1_795_000_000_000_000_000)
        #expect(!sum.overflow)
    }
}
