import CZlib

/// The gzip form of bytes (RFC 1952). Level 1: on a small board time is dearer than the last bytes of a text.
public enum Gzip {
    public static func compress(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        bytes.withContiguousStorageIfAvailable(deflated) ?? Array(bytes).withUnsafeBufferPointer(deflated)
    }

    private static func deflated(_ input: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var stream = z_stream()
        guard edge_gzip_begin(&stream, 1) == Z_OK else { return [] }
        defer { deflateEnd(&stream) }
        // zlib does not write to its input; its declaration only predates const.
        stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
        stream.avail_in = UInt32(input.count)
        var out: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        var status = Z_OK
        repeat {
            let produced = block.withUnsafeMutableBufferPointer { room -> Int in
                stream.next_out = room.baseAddress
                stream.avail_out = UInt32(room.count)
                status = deflate(&stream, Z_FINISH)
                return room.count - Int(stream.avail_out)
            }
            out += block[..<produced]
        } while status == Z_OK
        return status == Z_STREAM_END ? out : []
    }

    /// Nil when the bytes are not gzip, or hold more than `most`.
    public static func expand(_ bytes: [UInt8], most: Int) -> [UInt8]? {
        var stream = z_stream()
        guard edge_gunzip_begin(&stream) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        var out: [UInt8] = []
        var status = Z_OK
        bytes.withUnsafeBufferPointer { input in
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.avail_in = UInt32(input.count)
            var block = [UInt8](repeating: 0, count: 65_536)
            repeat {
                let produced = block.withUnsafeMutableBufferPointer { room -> Int in
                    stream.next_out = room.baseAddress
                    stream.avail_out = UInt32(room.count)
                    status = inflate(&stream, Z_NO_FLUSH)
                    return room.count - Int(stream.avail_out)
                }
                out += block[..<produced]
            } while status == Z_OK && out.count <= most
        }
        return status == Z_STREAM_END && out.count <= most ? out : nil
    }
}
