/// Any bytes: a header found lies within them and has a format within its ranges, and writing that format is read back.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    switch WAVHeader.parse(bytes.span) {
    case .notWAV, .needMoreBytes: break
    case .unsupported(let reason): precondition(!reason.isEmpty)
    case .found(let header):
        precondition((44...8192).contains(header.headerBytes) && header.headerBytes <= count)
        precondition(PCMFormat.channelRange.contains(header.format.channels))
        precondition(PCMFormat.sampleRateRange.contains(header.format.sampleRate))
        let written = WAVHeader.encode(format: header.format, dataBytes: Int64(header.declaredDataBytes))
        guard case .found(let again) = WAVHeader.parse(written.span) else { preconditionFailure() }
        precondition(again.format == header.format && again.headerBytes == WAVHeader.canonicalBytes)
        let sound = bytes[header.headerBytes...]
        var output = [Float](repeating: 0, count: 256)
        var room = output.mutableSpan
        let frames = MonoConverter(format: header.format, channel: .mix).convert(sound.span, into: &room)
        precondition(frames <= 256 && output[..<frames].allSatisfy { $0.isFinite })
    }
    return 0
}
