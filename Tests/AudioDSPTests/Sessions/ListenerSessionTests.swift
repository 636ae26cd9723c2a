import AudioDSP
import EdgeTesting
import Testing

@Suite struct ListenerSessionTests {
    /// One page of the firmware: 16,384 samples, 341.33 ms at 48 kHz.
    private let pageBytes = 32_768
    private let pageSeconds = 16_384.0 / 48_000

    private func page(_ number: Int) -> [UInt8] {
        WireMaker.ramp(from: number * 16_384, samples: 16_384)
    }

    /// Pages of the firmware's header-less form, at the pace of the sound.
    private func playPages(_ player: inout SessionPlayer, _ numbers: [Int], from: Double = 100, pace: Double = 1) {
        for (index, number) in numbers.enumerated() {
            player.play(
                WireMaker.frame(number, page(number)), at: from + Double(index + 1) * pageSeconds * pace)
        }
    }

    @Test func keepsHeaderlessSoundByteForByteAndRollsOverAfter59Pages() throws {
        var player = try SessionPlayer.standard()
        playPages(&player, Array(0..<70))
        player.finish(at: 130)
        #expect(player.violations.isEmpty)
        // As on the wire today: 59 pages are the first to pass 20 s of 48 kHz, 16 bits, mono.
        #expect(player.recordings.map { $0.audio.count } == [59 * pageBytes, 11 * pageBytes])
        #expect(player.recordings.flatMap(\.audio) == (0..<70).flatMap { page($0) })
        #expect(player.recordings[0].end?.reason == .rollover)
        #expect(player.recordings.map(\.start.run) == [0, 0])
        #expect(player.recordings[1].start.runOffsetFrames == 59 * 16_384)
        #expect(player.notes.isEmpty)
    }

    @Test func rollsOverAfter54PagesAt44100Hertz() throws {
        var player = try SessionPlayer.standard()
        player.play(WireMaker.frame(0, WireMaker.wavHeader(rate: 44_100)), at: 10)
        for number in 1...60 {
            player.play(WireMaker.frame(number, page(number)), at: 10 + Double(number) * 16_384 / 44_100)
        }
        player.finish(at: 40)
        #expect(player.recordings.map { $0.audio.count / pageBytes } == [54, 6])
    }

    @Test func stripsTheStockHeaderAndStartsAnewAtEachSequence0() throws {
        var player = try SessionPlayer.standard()
        for file in 0..<3 {
            let at = 100 + Double(file) * 3
            player.play(WireMaker.frame(0, WireMaker.stockHeader(dataBytes: 5 * pageBytes)), at: at)
            for number in 1...5 {
                player.play(WireMaker.frame(number, page(number)), at: at + Double(number) * pageSeconds)
            }
        }
        player.finish(at: 110)
        #expect(player.recordings.count == 3)
        for recording in player.recordings { #expect(recording.audio == (1...5).flatMap { page($0) }) }
        // The second and a third of silence between two files stand in the ledger.
        #expect(player.notes.map(\.reason) == ["source paused", "source paused"])
        for note in player.notes { #expect(abs(Double(note.durationNanoseconds) / 1e9 - (3 - 5 * pageSeconds)) < 0.01) }
    }

    @Test func fillsUpTo9MissingFramesWithSilenceOfTheRealLength() throws {
        var player = try SessionPlayer.standard()
        let short = WireMaker.ramp(from: 0, samples: 1000)
        for number in [0, 1, 2, 12] { player.play(WireMaker.frame(number, short), at: 1) }
        player.finish(at: 1)
        #expect(player.recordings.count == 1)
        let silence = [UInt8](repeating: 0, count: 9 * 2000)
        #expect(player.recordings[0].audio == short + short + short + silence + short)
        #expect(player.notes.map(\.kind) == [.filled])
        #expect(player.notes[0].frames == 9)
        #expect(player.notes[0].durationNanoseconds == 9 * 1000 * 1_000_000_000 / 48_000)
        #expect(player.recordings[0].end?.filledFrames == 9000)
    }

    @Test func startsANewRecordingAfterALargerGapAndWritesItDown() throws {
        var player = try SessionPlayer.standard()
        playPages(&player, [0, 1, 2])
        player.play(WireMaker.frame(13, page(13)), at: 100 + 14 * pageSeconds)
        player.finish(at: 105)
        #expect(player.recordings.map { $0.audio.count / pageBytes } == [3, 1])
        #expect(player.recordings.map(\.start.run) == [0, 1])
        #expect(player.recordings[0].end?.reason == .gap)
        #expect(player.notes.map(\.kind) == [.gap])
        #expect(player.notes[0].frames == 10)
        #expect(abs(Double(player.notes[0].durationNanoseconds) / 1e9 - 10 * pageSeconds) < 0.001)
        // The gap lies exactly between the two recordings.
        let end = player.recordings[0].start.startNanoseconds + 3 * 341_333_333
        #expect(abs(player.notes[0].startNanoseconds - end) < 10)
        #expect(
            player.recordings[1].start.startNanoseconds == player.notes[0].startNanoseconds
                + player.notes[0].durationNanoseconds)
    }

    @Test func dropsDuplicatesAndOldFramesWithoutEndingTheStream() throws {
        var player = try SessionPlayer.standard()
        playPages(&player, [0, 1, 2, 2, 1, 3, 4])
        player.finish(at: 103)
        #expect(player.recordings.flatMap(\.audio) == (0...4).flatMap { page($0) })
        #expect(player.recordings.count == 1)
        #expect(player.session.counters.framesDuplicate == 1)
        #expect(player.session.counters.framesOld == 1)
        #expect(player.notes.filter { $0.kind == .duplicate }.map(\.frames).reduce(0, +) == 2)
    }

    @Test func takesUpASenderThatCountsAnewWithoutSequence0() throws {
        var player = try SessionPlayer.standard()
        playPages(&player, Array(5000..<5003) + Array(40..<70))
        player.finish(at: 120)
        #expect(player.violations.isEmpty)
        // 15 frames go by before the new count is believed.
        #expect(player.recordings.last?.audio == (55..<70).flatMap { page($0) })
    }

    @Test func acceptsAStreamJoinedInTheMiddle() throws {
        var player = try SessionPlayer.standard()
        playPages(&player, [4711, 4712])
        player.finish(at: 101)
        #expect(player.recordings.flatMap(\.audio) == page(4711) + page(4712))
        #expect(player.notes.isEmpty)
    }

    @Test func ignoresMetadataAndGoesOverTheEndOfTheSequence() throws {
        var player = try SessionPlayer.standard()
        playPages(&player, [0xFF_FFFD, 0xFF_FFFE])
        player.play(WireMaker.frame(0xFF_FFFF, Array("anything".utf8)), at: 100.7)
        playPages(&player, [0, 1], from: 100.7)
        player.finish(at: 102)
        #expect(player.recordings.flatMap(\.audio) == [0xFF_FFFD, 0xFF_FFFE, 0, 1].flatMap { page($0) })
        #expect(player.session.counters.metadataFrames == 1)
        // Sequence 0 starts a recording, the run goes on.
        #expect(player.recordings.map(\.start.run) == [0, 0])
    }

    @Test func givesPushedSoundSuccessiveTimesAndSettlesThemBeforeItsArrival() throws {
        var player = try SessionPlayer.standard()
        // 170 s at once, as in the firmware's catch-up.
        for number in 0..<500 { player.play(WireMaker.frame(number, page(number)), at: 1000) }
        player.finish(at: 1000.5)
        #expect(player.recordings.count == 9)
        for (one, next) in zip(player.recordings, player.recordings.dropFirst()) {
            let end = one.start.startNanoseconds + Int64((one.end?.frames ?? 0)) * 1_000_000_000 / 48_000
            #expect(abs(next.start.startNanoseconds - end) < 10)
        }
        #expect(player.recordings.last?.start.isInferred == true)
        #expect(player.settled.count == 1)
        let lastEnd =
            player.recordings[8].start.startNanoseconds
            + Int64(player.recordings[8].end?.frames ?? 0) * 1_000_000_000 / 48_000
        // Moved so, the sound ends when its last byte arrived: not after, and not before.
        #expect(abs(lastEnd + (player.settled.first?.byNanoseconds ?? 0) - 1_000_000_000_000) < 1000)
    }

    @Test func takesABacklogAndGoesOnLive() throws {
        var player = try SessionPlayer.standard()
        for number in 0..<200 { player.play(WireMaker.frame(number, page(number)), at: 1000) }
        playPages(&player, Array(200..<400), from: 1000)
        player.finish(at: 1000 + 200 * pageSeconds)
        #expect(player.violations.isEmpty)
        #expect(player.settled.count == 1)
        // The live recordings end when they arrive.
        let last = player.recordings[player.recordings.count - 1]
        let end = Double(last.start.startNanoseconds) / 1e9 + Double(last.end?.frames ?? 0) / 48_000
        #expect(abs(end - (1000 + 200 * pageSeconds)) < 0.5)
        #expect(!last.start.isInferred)
    }

    @Test func alignsAgainAfterAPayloadOfOddLength() throws {
        // A tone, so that the reading at the wrong byte is rough.
        let tone = (0..<6000).flatMap { index -> [UInt8] in
            let value = Int((8000 * wave(Double(index) / 40)).rounded())
            return [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)]
        }
        var player = try SessionPlayer.standard()
        player.play(WireMaker.frame(0, Array(tone[0..<4000])), at: 1)
        player.play(WireMaker.frame(1, Array(tone[4000..<7999])), at: 1)
        player.play(WireMaker.frame(2, Array(tone[8000..<12_000])), at: 1)
        player.finish(at: 1)
        // One sample is lost, none after it is out of place.
        #expect(player.recordings[0].audio == Array(tone[0..<7998]) + Array(tone[8000..<12_000]))
        #expect(player.session.counters.framesRealigned == 1)
    }

    @Test func goesOnInTheMiddleOfASampleWhenPagesCutAStreamOf24Bits() throws {
        var random = SeededGenerator()
        let sound = random.bytes(3 * 40_000)
        var player = try SessionPlayer.standard()
        player.play(WireMaker.frame(0, WireMaker.wavHeader(bits: 24)), at: 1)
        for (number, start) in stride(from: 0, to: sound.count, by: 32_768).enumerated() {
            player.play(WireMaker.frame(number + 1, Array(sound[start..<min(start + 32_768, sound.count)])), at: 1)
        }
        player.finish(at: 1)
        #expect(player.recordings.flatMap(\.audio) == sound)
    }

    /// The last frame of a connection that breaks off has too little sound to tell: it is read as the frames before it were.
    @Test func goesOnInTheMiddleOfASampleAtTheEndOfABrokenStream() throws {
        let tone = (0..<3000).flatMap { index -> [UInt8] in
            let value = Int((8000 * wave(Double(index) / 40)).rounded())
            return [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)]
        }
        var player = try SessionPlayer.standard()
        // Frames of different lengths that end in the middle of a sample; of the last one a few bytes arrive.
        player.play(WireMaker.frame(0, Array(tone[0..<2001])), at: 1)
        player.play(WireMaker.frame(1, Array(tone[2001..<5004])), at: 1)
        player.play(WireMaker.frame(2, Array(tone[5004..<5555])), at: 1)
        player.play(Array(WireMaker.frame(3, Array(tone[5555..<6000])).prefix(6 + 21)), at: 1)
        player.finish(at: 1)
        #expect(player.recordings.flatMap(\.audio) == Array(tone[0..<5576]))
        #expect(player.session.counters.framesRealigned == 0)
    }

    @Test func saysWhatItCannotUseAndGoesOnWithTheNextHeader() throws {
        var player = try SessionPlayer.standard()
        player.play(WireMaker.frame(0, WireMaker.wavHeader(rate: 0)), at: 1)
        player.play(WireMaker.frame(1, page(1)), at: 2)
        player.play(WireMaker.frame(0, WireMaker.wavHeader(channels: 2)), at: 3)
        player.play(WireMaker.frame(1, page(1)), at: 3)
        player.finish(at: 3)
        #expect(player.recordings.map { $0.start.format.channels } == [2])
        #expect(player.notes.contains { $0.kind == .loss && $0.reason.hasPrefix("unsupported format") })
        #expect(player.notes.filter { $0.kind == .loss }.map(\.bytes).reduce(0, +) == Int64(pageBytes + 44))
    }

    @Test func isTheSameHoweverTheBytesAreCutAndNeverBreaksItsRules() throws {
        var random = SeededGenerator()
        for _ in 0..<400 {
            var wire: [UInt8] = []
            var sequence = Int.random(in: 0...3, using: &random)
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                switch Int.random(in: 0...12, using: &random) {
                case 0: sequence = 0
                case 1: sequence += Int.random(in: 0...20, using: &random)
                case 2: sequence = max(0, sequence - Int.random(in: 1...4, using: &random))
                case 3: sequence = Int.random(in: 0...0xFF_FFFF, using: &random)
                default: sequence += 1
                }
                var payload = random.bytes(Int.random(in: 0...4000, using: &random))
                if Int.random(in: 0...6, using: &random) == 0 {
                    let bits = [8, 16, 24, 32].randomElement(using: &random) ?? 16
                    let channels = Int.random(in: 1...9, using: &random)
                    payload = WireMaker.wavHeader(channels: channels, bits: bits) + payload
                }
                wire += WireMaker.frame(sequence & 0xFF_FFFF, payload)
            }
            var whole = try SessionPlayer.standard()
            whole.play(wire, at: 5)
            whole.finish(at: 6)
            var cut = try SessionPlayer.standard()
            var rest = wire[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...1500, using: &random))
                cut.play(Array(piece), at: 5)
                rest = rest.dropFirst(piece.count)
            }
            cut.finish(at: 6)
            #expect(whole.violations.isEmpty && cut.violations.isEmpty)
            let isSame = whole.recordings == cut.recordings && whole.notes == cut.notes
            #expect(isSame)
        }
    }

    /// A sine, by its series: good enough for a tone.
    private func wave(_ turns: Double) -> Double {
        let x = (turns - turns.rounded()) * 2 * Double.pi
        let square = x * x
        return x * (1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72))))
    }

    // MARK: - Short recordings

    private func limited(_ allowance: Int) throws -> SessionPlayer {
        var player = SessionPlayer(
            ListenerSession.Configuration(
                defaultFormat: try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000),
                maximumRecordingNanoseconds: 20_000_000_000, minimumRecordingNanoseconds: 3_000_000_000))
        player.allowShortRecordings(allowance)
        return player
    }

    @Test func holdsBeginningsBackAfterTooManyShortRecordings() throws {
        var player = try limited(5)
        // A thousand recordings of one sample, within a second.
        for number in 0..<1000 { player.play(WireMaker.frame(0, [1, 2]), at: 100 + Double(number) / 1000) }
        #expect(player.recordings.count == 5)
        // Then a good stream: it is heard once it has gone on for the minimum duration, which is nine pages.
        playPages(&player, Array(0..<30), from: 101)
        player.finish(at: 101 + 31 * pageSeconds)
        #expect(player.violations.isEmpty)
        #expect(player.recordings.count == 6)
        #expect(player.recordings.last?.audio == (9..<30).flatMap { page($0) })
        let losses = player.notes.filter { $0.kind == .loss }
        #expect(losses.map(\.reason) == [ListenerSession.heldBackReason])
        #expect(losses[0].frames == 995 + 9)
        #expect(losses[0].bytes == 995 * 2 + 9 * 32_768)
        // The loss takes the time between the sound before it and the sound after it.
        let last = try #require(player.recordings.last?.start.startNanoseconds)
        #expect(abs(losses[0].startNanoseconds + losses[0].durationNanoseconds - last) < 400_000_000)
    }

    @Test func goesOnWhenShortRecordingsAreAllowedAgain() throws {
        var player = try limited(1)
        player.play(WireMaker.frame(0, [1, 2]), at: 100)
        player.play(WireMaker.frame(0, [3, 4]), at: 100.1)
        player.allowShortRecordings(1)
        player.play(WireMaker.frame(0, [5, 6]), at: 100.2)
        player.finish(at: 100.3)
        #expect(player.recordings.map(\.audio) == [[1, 2], [5, 6]])
        #expect(player.notes.filter { $0.kind == .loss }.map(\.bytes) == [2])
        #expect(player.violations.isEmpty)
    }

    @Test func neverHoldsBackWhatContinuesARecording() throws {
        var player = try limited(0)
        // The first recording is held back for three seconds, as nothing may be short; then it rolls over twice.
        playPages(&player, Array(0..<140))
        player.finish(at: 150)
        #expect(player.recordings.flatMap(\.audio) == (9..<140).flatMap { page($0) })
        #expect(player.recordings.map { $0.start.run } == [0, 0, 0])
        #expect(player.notes.filter { $0.kind == .loss }.map(\.frames) == [9])
    }

    @Test func framesWithoutSoundFillNothing() throws {
        var player = try SessionPlayer.standard()
        player.play(WireMaker.frame(1, page(0)), at: 100)
        // Each says that nine frames are missing.
        for number in 1...20 { player.play(WireMaker.frame(1 + number * 10, []), at: 100.01) }
        player.finish(at: 101)
        #expect(player.recordings.map(\.audio) == [page(0)])
        #expect(player.session.counters.framesMissing == 20 * 9)
        // Two that are missing before an empty frame are filled when sound shows how long they were.
        var few = try SessionPlayer.standard()
        playPages(&few, [0])
        few.play(WireMaker.frame(3, []), at: 100 + 4 * pageSeconds)
        few.play(WireMaker.frame(4, page(4)), at: 100 + 5 * pageSeconds)
        few.finish(at: 102)
        #expect(few.recordings.map(\.audio) == [page(0) + [UInt8](repeating: 0, count: 2 * pageBytes) + page(4)])
    }
}
