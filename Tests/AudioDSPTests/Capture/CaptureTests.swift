import Testing

@testable import AudioDSP

/// What a sound card hears, on its way to a session.
@Suite struct CaptureTests {
    private let format = try! PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)

    @Test func anOverrunIsAGapOfItsLength() throws {
        var frames = CaptureFrames(format: format, periodFrames: 2400)
        var session = ListenerSession(
            configuration: .init(
                defaultFormat: try PCMFormat(encoding: .signed16, channels: 2, sampleRate: 8000),
                maximumRecordingNanoseconds: 3_600_000_000_000))
        var decoder = FrameDecoder()
        var notes: [SessionNote] = []
        var starts: [RecordingStart] = []
        var soundBytes = 0
        let period = [UInt8](repeating: 1, count: 4800)
        func send(_ now: Int64) {
            let bytes = frames.head(soundBytes: period.count) + period
            decoder.decode(bytes.span, in: bytes.indices) { event in
                session.receive(event, of: bytes.span, arrivalNanoseconds: now) { (action) in
                    switch action {
                    case .open(let start): starts.append(start)
                    case .audio(let audio): soundBytes += audio.count
                    case .note(let note): notes.append(note)
                    default: break
                    }
                }
            }
        }
        let tick: Int64 = 50_000_000
        for round in 0..<10 { send(Int64(round) * tick) }
        // Its own format, not the default one.
        #expect(session.format == format && starts.map(\.format) == [format] && soundBytes == 48_000)
        // Three seconds are lost: sixty frames.
        let many = frames.skip(lostNanoseconds: 3_000_000_000)
        #expect(many == 60)
        for round in 0..<10 { send(3_500_000_000 + Int64(round) * tick) }
        let gap = try #require(notes.first { $0.kind == .gap })
        #expect(gap.durationNanoseconds == 3_000_000_000 && gap.frames == 60)
        #expect(starts.count == 2)
        // A fifth of a second is filled with silence; a hair is a loss as well.
        let few = frames.skip(lostNanoseconds: 190_000_000)
        #expect(few == 4)
        send(5_000_000_000)
        // It is told when the recording ends.
        session.finish(arrivalNanoseconds: 5_000_000_000) { action in
            if case .note(let note) = action { notes.append(note) }
        }
        #expect(notes.contains { $0.kind == .filled && $0.frames == 4 && $0.durationNanoseconds == 200_000_000 })
        let hair = frames.skip(lostNanoseconds: 0)
        #expect(hair == 1)
    }

    @Test func metersASineASquareAndSilence() throws {
        var meter = LevelMeter()
        // A square wave of half of full scale: -6.02 dBFS, both ways.
        let square: [UInt8] = (0..<480).flatMap { $0 % 96 < 48 ? [0x00, 0x40] : [0x00, 0xC0] }
        meter.take(square.span, encoding: .signed16)
        let taken = meter.takeLevels()
        let levels = try #require(taken)
        #expect(abs(levels.rmsDBFS + 6.0206) < 0.001 && abs(levels.peakDBFS + 6.0206) < 0.001)
        let again = meter.takeLevels()
        #expect(again == nil)
        let silence = [UInt8](repeating: 0, count: 200)
        meter.take(silence.span, encoding: .signed16)
        let quiet = meter.takeLevels()
        #expect(quiet?.rmsDBFS == -200)
        #expect(meter.clipped == 0)
        // The lowest value there is, in each encoding, is full scale.
        for (encoding, bytes) in [
            (PCMFormat.Encoding.signed16, [0x00, 0x80]), (.signed24, [0x00, 0x00, 0x80]),
            (.signed32, [0x00, 0x00, 0x00, 0x80]), (.unsigned8, [0x00]), (.float32, [0x00, 0x00, 0x80, 0xBF]),
        ] as [(PCMFormat.Encoding, [UInt8])] {
            var meter = LevelMeter()
            meter.take(bytes.span, encoding: encoding)
            let taken = meter.takeLevels()
            let levels = try #require(taken)
            #expect(levels.peakDBFS == 0 && levels.rmsDBFS == 0 && meter.clipped == 1, "\(encoding)")
        }
    }
}
