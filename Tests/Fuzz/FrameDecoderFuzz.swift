/// Any bytes, cut in two anywhere: the decoder neither traps nor invents or loses a byte.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let first = bytes.first else { return 0 }
    let cut = min(count, Int(first) + 1)
    var decoder = FrameDecoder()
    var seen = 0
    var headers = 0
    var isInside = false
    for piece in [0..<cut, cut..<count] {
        decoder.decode(bytes.span, in: piece) { event in
            switch event {
            case .frameBegin(let sequence, let payloadBytes):
                precondition(!isInside && sequence <= 0xFF_FFFF && payloadBytes <= 0xFF_FFFF)
                isInside = true
                headers += 1
            case .payload(let slice):
                precondition(isInside && !slice.isEmpty && piece.lowerBound <= slice.lowerBound)
                precondition(slice.upperBound <= piece.upperBound)
                seen += slice.count
            case .frameEnd:
                precondition(isInside)
                isInside = false
            }
        }
    }
    // Headers and payloads are all there is, but for a header that is not whole.
    let rest = count - seen - headers * FrameDecoder.headerBytes
    precondition((0..<FrameDecoder.headerBytes).contains(rest) && (rest == 0 || !isInside))
    return 0
}
