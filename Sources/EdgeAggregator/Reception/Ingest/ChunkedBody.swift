/// Takes the chunked transfer coding (RFC 9112 §7.1) apart while it arrives.
///
/// A value type without input or output. It holds no body bytes: it tells their places in what was given to it.
/// Chunk extensions and trailers are passed over.
struct ChunkedBody: Sendable {
    /// A chunk's size line, with its extensions, and the whole trailer section may have so many bytes.
    static let longestLineBytes = 4096

    struct Malformed: Error, Equatable {}

    private enum State: Sendable {
        case size(digits: Int)
        /// The rest of a size line after its digits.
        case sizeLine
        case sizeLineFeed
        case data
        case dataReturn
        case dataLineFeed
        case trailer(lineBytes: Int)
        case finished
    }

    private var state = State.size(digits: 0)
    /// The chunk's bytes that have not come yet.
    private var rest = 0
    private var lineBytes = 0

    /// Whether the last chunk and its trailers have come.
    var isFinished: Bool {
        if case .finished = state { true } else { false }
    }

    /// Calls `body` with the place of each piece of the body, in order. Bytes after its end are left alone.
    mutating func decode(_ bytes: Span<UInt8>, _ body: (Range<Int>) -> Void) throws(Malformed) {
        var offset = 0
        while offset < bytes.count {
            if case .data = state {
                let count = min(rest, bytes.count - offset)
                body(offset..<(offset + count))
                offset += count
                rest -= count
                if rest == 0 { state = .dataReturn }
                continue
            }
            if case .finished = state { return }
            try take(bytes[offset])
            offset += 1
        }
    }

    private mutating func take(_ byte: UInt8) throws(Malformed) {
        switch state {
        case .size(let digits):
            if let digit = Self.hexDigit(byte) {
                // 15 digits cannot overflow.
                guard digits < 15 else { throw Malformed() }
                rest = rest << 4 | digit
                state = .size(digits: digits + 1)
            } else {
                guard digits > 0, byte == 0x0D || byte == UInt8(ascii: ";") || byte == 0x20 || byte == 0x09 else {
                    throw Malformed()
                }
                lineBytes = 0
                state = byte == 0x0D ? .sizeLineFeed : .sizeLine
            }
        case .sizeLine:
            try countLine()
            guard byte != 0x0A else { throw Malformed() }
            if byte == 0x0D { state = .sizeLineFeed }
        case .sizeLineFeed:
            guard byte == 0x0A else { throw Malformed() }
            lineBytes = 0
            state = rest == 0 ? .trailer(lineBytes: 0) : .data
        case .dataReturn:
            guard byte == 0x0D else { throw Malformed() }
            state = .dataLineFeed
        case .dataLineFeed:
            guard byte == 0x0A else { throw Malformed() }
            state = .size(digits: 0)
        case .trailer(let length):
            try countLine()
            if byte == 0x0A {
                state = length == 0 ? .finished : .trailer(lineBytes: 0)
            } else if byte != 0x0D {
                state = .trailer(lineBytes: length + 1)
            }
        case .data, .finished:
            return
        }
    }

    private mutating func countLine() throws(Malformed) {
        lineBytes += 1
        guard lineBytes <= Self.longestLineBytes else { throw Malformed() }
    }

    private static func hexDigit(_ byte: UInt8) -> Int? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte) - 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "f"): Int(byte) - 0x57
        case UInt8(ascii: "A")...UInt8(ascii: "F"): Int(byte) - 0x37
        default: nil
        }
    }
}
