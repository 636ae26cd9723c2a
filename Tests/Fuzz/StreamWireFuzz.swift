/// The head of a stream's request and its chunked body: no input may crash them, and where the input is cut must not
/// change what they find.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: size))
    if case .stream(_, let headBytes) = StreamHead.read(bytes.span, path: "/s") {
        precondition(headBytes <= size && headBytes >= 4)
        let shorter = bytes[..<(headBytes - 1)]
        precondition(StreamHead.read(shorter.span, path: "/s") == .needMoreBytes, "a cut head was taken for whole")
    }
    let whole = decode([bytes[...]])
    let cut = size > 0 ? Int(data[0]) % size : 0
    let inPieces = decode([bytes[..<cut], bytes[cut...]])
    precondition(whole.isMalformed == inPieces.isMalformed && whole.isFinished == inPieces.isFinished)
    precondition(whole.body == inPieces.body, "the cut changed the body")
    precondition(whole.body.count <= size)
    return 0
}

private func decode(_ pieces: [ArraySlice<UInt8>]) -> (body: [UInt8], isFinished: Bool, isMalformed: Bool) {
    var chunked = ChunkedBody()
    var body: [UInt8] = []
    for piece in pieces {
        do {
            try chunked.decode(piece.span) { body += piece.dropFirst($0.lowerBound).prefix($0.count) }
        } catch {
            return (body, chunked.isFinished, true)
        }
    }
    return (body, chunked.isFinished, false)
}
