import CBlosc

/// A chunk as Blosc 1 has packed it (c-blosc, README_CHUNK_FORMAT): a header of 16 bytes, then blocks.
public enum BloscChunk {
    public struct Malformed: Error, Sendable, Equatable, CustomStringConvertible {
        public let description: String
    }

    private static let headerBytes = 16
    /// Blocks of a chunk. Writers make blocks of some kilobytes and more; each costs time, however small it is.
    static let maximumBlocks = 65_536

    /// Unpacks a chunk whose size is known.
    ///
    /// - Parameter byteCount: what it must have when it is unpacked.
    public static func unpack(_ packed: [UInt8], byteCount: Int) throws(Malformed) -> [UInt8] {
        guard packed.count >= headerBytes else { throw Malformed(description: "a chunk of \(packed.count) bytes") }
        func number(_ place: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(packed[place + $1]) << (8 * $1) }
        }
        guard packed[0] == 1 || packed[0] == 2 else {
            throw Malformed(description: "a chunk of Blosc's format \(packed[0])")
        }
        guard packed[3] > 0 else { throw Malformed(description: "a chunk of values without bytes") }
        let (unpacked, stored) = (number(4), number(12))
        guard unpacked == byteCount else {
            throw Malformed(description: "a chunk of \(unpacked) bytes, where \(byteCount) are wanted")
        }
        guard stored == packed.count else {
            throw Malformed(description: "\(packed.count) of a chunk's \(stored) bytes")
        }
        let blockBytes = number(8)
        guard byteCount == 0 || blockBytes > 0, byteCount / max(1, blockBytes) < maximumBlocks else {
            throw Malformed(description: "a chunk in blocks of \(blockBytes) bytes")
        }
        // Memory: Blosc reads `packed` and writes to `room`, which the new array owns, during the calls only. The size in the header,
        // by which it reads, is that of `packed`.
        var validated = 0
        guard unsafe blosc_cbuffer_validate(packed, packed.count, &validated) == 0, validated == byteCount else {
            throw Malformed(description: "a chunk with a damaged header")
        }
        guard byteCount > 0 else { return [] }
        var count: Int32 = -1
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { room, filled in
            // The form with a context: the other one shares a state between all threads.
            count = unsafe blosc_decompress_ctx(packed, room.baseAddress, byteCount, 1)
            filled = count == Int32(byteCount) ? byteCount : 0
        }
        guard count == Int32(byteCount) else { throw Malformed(description: "a damaged chunk (\(count))") }
        return bytes
    }
}
