import EdgeTesting
import Testing

@testable import AudioDSP

@Suite struct WAVHeaderTests {
    private func parse(_ bytes: [UInt8]) -> WAVHeader.Parse {
        WAVHeader.parse(bytes.span)
    }

    private static let kinds: [(PCMFormat.Encoding, Int, Int)] = [
        (.unsigned8, 1, 8), (.signed16, 1, 16), (.signed24, 1, 24), (.signed32, 1, 32), (.float32, 3, 32),
    ]

    @Test func readsEveryFormatWithEveryChunkBeforeAndAfter() throws {
        let extras: [[UInt8]] = [
            [], WireMaker.riffChunk("JUNK", [UInt8](repeating: 0, count: 28)),
            WireMaker.riffChunk("bext", [UInt8](repeating: 0x41, count: 603)),
            WireMaker.riffChunk("LIST", Array("INFOdata".utf8)),
        ]
        for (encoding, tag, bits) in Self.kinds {
            for channels in [1, 2, 8] {
                for rate in [8000, 44_100, 48_000, 384_000] {
                    for extra in extras {
                        for extensible in [false, true] {
                            let header = WireMaker.wavHeader(
                                tag: tag, channels: channels, rate: rate, bits: bits, dataBytes: 12_345,
                                extensible: extensible, extra: extra,
                                between: WireMaker.riffChunk("fact", [1, 2, 3, 4]) + extra)
                            let format = try PCMFormat(encoding: encoding, channels: channels, sampleRate: rate)
                            #expect(
                                parse(header + [1, 2, 3])
                                    == .found(
                                        .init(format: format, headerBytes: header.count, declaredDataBytes: 12_345)))
                        }
                    }
                }
            }
        }
    }

    @Test func takesTheStockSamplesHeaderOf450Bytes() throws {
        let header = WireMaker.stockHeader(dataBytes: 1_933_312)
        #expect(header.count == 450)
        let format = try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000)
        #expect(parse(header) == .found(.init(format: format, headerBytes: 450, declaredDataBytes: 1_933_312)))
    }

    @Test func asksForMoreAtEveryCut() {
        let header = WireMaker.wavHeader(extra: WireMaker.riffChunk("JUNK", [1, 2, 3]))
        for count in 0..<header.count {
            #expect(parse(Array(header[..<count])) == .needMoreBytes, "cut at \(count)")
        }
    }

    @Test func refusesWhatCannotBeUsedAndSaysWhy() {
        for header in [
            WireMaker.wavHeader(rate: 0), WireMaker.wavHeader(rate: 7999), WireMaker.wavHeader(rate: 384_001),
            WireMaker.wavHeader(channels: 9), WireMaker.wavHeader(tag: 2, bits: 16),
            WireMaker.wavHeader(tag: 3, bits: 16),
        ] {
            guard case .unsupported(let reason) = parse(header) else {
                Issue.record("taken: \(header)")
                continue
            }
            #expect(!reason.isEmpty)
        }
        #expect(parse(Array("RIFX....WAVE".utf8)) == .notWAV)
        #expect(parse(Array("RIFF....AVI ".utf8)) == .notWAV)
    }

    @Test func neverTrapsOnGarbage() {
        var random = SeededGenerator()
        for _ in 0..<20_000 {
            var bytes = WireMaker.wavHeader(extra: WireMaker.riffChunk("JUNK", [1]))
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = parse(Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random))))
        }
    }

    @Test func writesTheUsual44Bytes() throws {
        for (encoding, tag, bits) in Self.kinds {
            let format = try PCMFormat(encoding: encoding, channels: 2, sampleRate: 44_100)
            #expect(
                WAVHeader.encode(format: format, dataBytes: 800)
                    == WireMaker.wavHeader(tag: tag, channels: 2, rate: 44_100, bits: bits, dataBytes: 800))
        }
    }
}

@Suite struct MonoConverterTests {
    private func convert(_ bytes: [UInt8], _ format: PCMFormat, _ channel: MonoConverter.Channel) -> [Float] {
        var output = [Float](repeating: 9, count: bytes.count / format.bytesPerFrame)
        var room = output.mutableSpan
        let count = MonoConverter(format: format, channel: channel).convert(bytes.span, into: &room)
        return Array(output[..<count])
    }

    @Test func scalesEveryEncodingToFullScale() throws {
        let half: [(PCMFormat.Encoding, [UInt8])] = [
            (.unsigned8, [0xC0, 0x40]), (.signed16, [0, 0x40, 0, 0xC0]), (.signed24, [0, 0, 0x40, 0, 0, 0xC0]),
            (.signed32, [0, 0, 0, 0x40, 0, 0, 0, 0xC0]), (.float32, [0, 0, 0, 0x3F, 0, 0, 0, 0xBF]),
        ]
        for (encoding, bytes) in half {
            let mono = try PCMFormat(encoding: encoding, channels: 1, sampleRate: 48_000)
            #expect(convert(bytes, mono, .mix) == [0.5, -0.5])
            let stereo = try PCMFormat(encoding: encoding, channels: 2, sampleRate: 48_000)
            #expect(convert(bytes, stereo, .mix) == [0])
            #expect(convert(bytes, stereo, .index(1)) == [-0.5])
            #expect(convert(bytes, stereo, .index(7)) == [-0.5])
        }
    }

    @Test func staysFiniteWhateverTheFloatsAre() throws {
        let format = try PCMFormat(encoding: .float32, channels: 2, sampleRate: 48_000)
        // The greatest finite number twice, not a number, infinity.
        let bytes: [UInt8] = [0xFF, 0xFF, 0x7F, 0x7F, 0xFF, 0xFF, 0x7F, 0x7F, 1, 0, 0xC0, 0x7F, 0, 0, 0x80, 0x7F]
        #expect(convert(bytes, format, .mix) == [1e6, 0])
    }
}
