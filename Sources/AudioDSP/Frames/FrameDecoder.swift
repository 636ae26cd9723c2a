/// Takes the listeners' wire framing apart while it arrives.
///
/// A frame is a header of six bytes and a payload: a sequence number of 24 bits, the payload's length of 24 bits, both
/// little-endian, then so many bytes. The decoder holds at most a part of one header: of payloads it tells the places
/// in the block that was given to it, cut wherever the reads were cut.
public struct FrameDecoder: Sendable {
    public static let headerBytes = 6

    public enum Event: Sendable, Hashable {
        case frameBegin(sequence: UInt32, payloadBytes: Int)
        /// Some bytes of the payload: a place in the block being decoded.
        case payload(Range<Int>)
        case frameEnd
    }

    private var header: UInt64 = 0
    private var headerCount = 0
    /// Payload bytes that have not come yet.
    public private(set) var frameBytesMissing = 0
    public private(set) var framesCompleted: UInt64 = 0
    /// Whether a header has come and its payload not yet wholly.
    public private(set) var isInsideFrame = false

    public init() {}

    /// Decodes a part of a block, calling `body` for each event in order.
    ///
    /// - Parameter range: a place in `block`.
    public mutating func decode<Failure: Error>(
        _ block: Span<UInt8>, in range: Range<Int>, _ body: (Event) throws(Failure) -> Void
    ) throws(Failure) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            if isInsideFrame {
                let end = offset + min(frameBytesMissing, range.upperBound - offset)
                let payload = offset..<end
                offset = end
                frameBytesMissing -= payload.count
                try body(.payload(payload))
                if frameBytesMissing == 0 { try endFrame(body) }
            } else {
                header |= UInt64(block[offset]) << UInt64(headerCount * 8)
                headerCount += 1
                offset += 1
                if headerCount == Self.headerBytes { try beginFrame(body) }
            }
        }
    }

    private mutating func beginFrame<Failure: Error>(_ body: (Event) throws(Failure) -> Void) throws(Failure) {
        let sequence = UInt32(header & 0xFF_FFFF)
        frameBytesMissing = Int(header >> 24 & 0xFF_FFFF)
        header = 0
        headerCount = 0
        isInsideFrame = true
        try body(.frameBegin(sequence: sequence, payloadBytes: frameBytesMissing))
        if frameBytesMissing == 0 { try endFrame(body) }
    }

    private mutating func endFrame<Failure: Error>(_ body: (Event) throws(Failure) -> Void) throws(Failure) {
        isInsideFrame = false
        framesCompleted += 1
        try body(.frameEnd)
    }
}
