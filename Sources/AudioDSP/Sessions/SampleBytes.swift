/// Bytes of sound on their way from a session to whoever keeps and analyzes them.
///
/// They are a place in the block being received, or bytes with an owner of their own; never a pointer. A value that is
/// kept for too long can therefore name the wrong place of a later block, but never memory that was freed.
public enum SampleBytes: Sendable, Hashable {
    /// Offsets into the block that the session is receiving.
    case inBlock(Range<Int>)
    /// Gathered from several blocks or frames.
    case gathered(ArraySlice<UInt8>)

    public var count: Int {
        switch self {
        case .inBlock(let range): range.count
        case .gathered(let bytes): bytes.count
        }
    }

    /// - Parameter block: the block being received.
    public func withSpan<Result, Failure: Error>(
        of block: Span<UInt8>, _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        switch self {
        case .inBlock(let range): try body(block.extracting(range))
        case .gathered(let bytes): try body(bytes.span)
        }
    }

    func prefix(_ count: Int) -> SampleBytes {
        switch self {
        case .inBlock(let range): .inBlock(range.prefix(count))
        case .gathered(let bytes): .gathered(bytes.prefix(count))
        }
    }

    func dropFirst(_ count: Int) -> SampleBytes {
        switch self {
        case .inBlock(let range): .inBlock(range.dropFirst(count))
        case .gathered(let bytes): .gathered(bytes.dropFirst(count))
        }
    }
}

extension [UInt8] {
    /// Copies bytes to the end.
    mutating func append(_ bytes: Span<UInt8>) {
        reserveCapacity(count + bytes.count)
        for index in bytes.indices { append(bytes[index]) }
    }
}
