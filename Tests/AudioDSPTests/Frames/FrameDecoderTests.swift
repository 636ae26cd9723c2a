import AudioDSP
import EdgeTesting
import Testing

@Suite struct FrameDecoderTests {
    struct Frame: Equatable {
        var sequence: UInt32
        var payload: [UInt8]
        var isWhole: Bool
    }

    static func decode(_ pieces: [[UInt8]]) -> [Frame] {
        var decoder = FrameDecoder()
        var frames: [Frame] = []
        for piece in pieces {
            decoder.decode(piece.span, in: piece.indices) { event in
                switch event {
                case .frameBegin(let sequence, _):
                    frames.append(Frame(sequence: sequence, payload: [], isWhole: false))
                case .payload(let range): frames[frames.count - 1].payload += piece[range]
                case .frameEnd: frames[frames.count - 1].isWhole = true
                }
            }
        }
        return frames
    }

    @Test func readsLittleEndianFieldsOf24Bits() {
        // 0x030201 and a length of 2.
        let frames = Self.decode([[1, 2, 3, 2, 0, 0, 0xAA, 0xBB]])
        #expect(frames == [Frame(sequence: 0x03_0201, payload: [0xAA, 0xBB], isWhole: true)])
    }

    @Test func isTheSameHoweverTheBytesAreCut() {
        var random = SeededGenerator()
        for _ in 0..<300 {
            var wanted: [Frame] = []
            var wire: [UInt8] = []
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let sequence = Int.random(in: 0...0xFF_FFFF, using: &random)
                let payload = random.bytes(Int.random(in: 0...700, using: &random))
                wanted.append(Frame(sequence: UInt32(sequence), payload: payload, isWhole: true))
                wire += WireMaker.frame(sequence, payload)
            }
            var pieces: [[UInt8]] = []
            var rest = wire[...]
            while !rest.isEmpty {
                let count = min(rest.count, Int.random(in: 1...97, using: &random))
                pieces.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            #expect(Self.decode(pieces) == wanted)
            #expect(Self.decode([wire]) == wanted)
        }
    }

    @Test func tellsWhatIsMissingOfACutFrame() {
        var decoder = FrameDecoder()
        let wire = WireMaker.frame(7, [1, 2, 3, 4, 5])
        decoder.decode(wire.span, in: 0..<(wire.count - 2)) { _ in }
        #expect(decoder.isInsideFrame)
        #expect(decoder.frameBytesMissing == 2)
        #expect(decoder.framesCompleted == 0)
    }
}
