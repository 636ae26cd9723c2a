/// Takes the listeners' wire framing apart while it arrives.
///
/// A frame is a header of six bytes and a payload: a sequence number of 24 bits, the payload's length of 24 bits, both
/// little-endian, then so many bytes. The decoder holds at most a part of one header: payloads go through as slices of
/// what was given to it, cut wherever the reads were cut.
public struct FrameDecoder: Sendable {
    public static let headerBytes = 6

    public enum Event {
        case frameBegin(sequence: UInt32, payloadBytes: Int)
        /// Some bytes of the payload, valid during the call only.
        case payload(UnsafeRawBufferPointer)
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

    /// Decodes `bytes`, calling `body` for each event in order.
    public mutating func decode<Failure: Error>(
        _ bytes: UnsafeRawBufferPointer, _ body: (Event) throws(Failure) -> Void
    ) throws(Failure) {
        var offset = 0
        while offset < bytes.count {
            if isInsideFrame {
                let count = min(frameBytesMissing, bytes.count - offset)
                let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
                offset += count
                frameBytesMissing -= count
                try body(.payload(slice))
                if frameBytesMissing == 0 { try end(body) }
            } else {
                header |= UInt64(bytes[offset]) << UInt64(headerCount * 8)
                headerCount += 1
                offset += 1
                if headerCount == Self.headerBytes { try begin(body) }
            }
        }
    }

    private mutating func begin<Failure: Error>(_ body: (Event) throws(Failure) -> Void) throws(Failure) {
        let sequence = UInt32(header & 0xFF_FFFF)
        frameBytesMissing = Int(header >> 24 & 0xFF_FFFF)
        header = 0
        headerCount = 0
        isInsideFrame = true
        try body(.frameBegin(sequence: sequence, payloadBytes: frameBytesMissing))
        if frameBytesMissing == 0 { try end(body) }
    }

    private mutating func end<Failure: Error>(_ body: (Event) throws(Failure) -> Void) throws(Failure) {
        isInsideFrame = false
        framesCompleted += 1
        try body(.frameEnd)
    }
}
