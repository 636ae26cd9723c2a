/// Any bytes as a listener's stream, at times that jump: the session keeps its rules and its memory is bounded.
///
/// A leading byte before each piece says how long it is and when it comes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard let format = try? PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000) else { return 0 }
    var session = ListenerSession(
        configuration: ListenerSession.Configuration(
            defaultFormat: format, maximumGapFillFrames: 9, maximumRecordingNanoseconds: 1_000_000))
    var rules = Rules()
    var decoder = FrameDecoder()
    var rest = Array(UnsafeBufferPointer(start: start, count: count))[...]
    var now: Int64 = 1_000_000_000_000
    while let control = rest.first {
        rest = rest.dropFirst()
        let piece = rest.prefix(Int(control & 0x3F) * 5 + 1)
        rest = rest.dropFirst(piece.count)
        now += control & 0x40 != 0 ? 3_000_000_000 : Int64(control) * 1000
        let block = piece.span
        decoder.decode(block, in: block.indices) { event in
            session.receive(event, of: block, arrivalNanoseconds: now) { rules.take($0, of: block) }
        }
    }
    session.finish(arrivalNanoseconds: now) { rules.take($0, of: Span()) }
    precondition(!rules.isOpen)
    return 0
}

/// What holds of every sequence of actions.
struct Rules {
    var isOpen = false
    private var width = 1
    private var frames: Int64 = 0
    private var run = -1

    mutating func take(_ action: SessionAction, of block: Span<UInt8>) {
        switch action {
        case .open(let start):
            precondition(!isOpen && start.run >= run && start.runOffsetFrames >= 0)
            isOpen = true
            run = start.run
            width = start.format.bytesPerFrame
            frames = 0
        case .audio(let bytes):
            precondition(isOpen && bytes.count > 0 && bytes.count % width == 0)
            if case .inBlock(let range) = bytes {
                precondition(range.lowerBound >= 0 && range.upperBound <= block.count)
            }
            frames += Int64(bytes.count / width)
        case .silence(let count):
            // Nine frames of the greatest length at most.
            precondition(isOpen && count > 0 && count % width == 0 && count <= 9 * 0xFF_FFFF + width)
            frames += Int64(count / width)
        case .close(let end):
            precondition(isOpen && end.frames == frames && (0...frames).contains(end.filledFrames))
            isOpen = false
        case .note(let note):
            precondition(note.durationNanoseconds >= 0 && note.frames >= 0 && note.bytes >= 0)
        case .settle(let settlement):
            precondition(settlement.runs.upperBound <= run && settlement.byNanoseconds <= 0)
        }
    }
}
