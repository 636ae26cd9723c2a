import CZlib

/// The gzip form of bytes (RFC 1952). Level 1: on a small board time is dearer than the last bytes of a text.
public enum Gzip {
    public static func compress(_ bytes: [UInt8]) -> [UInt8] {
        var stream = z_stream()
        guard edge_gzip_begin(&stream, 1) == Z_OK else { return [] }
        defer { deflateEnd(&stream) }
        let capacity = Int(deflateBound(&stream, UInt(bytes.count)))
        return [UInt8](unsafeUninitializedCapacity: capacity) { out, count in
            bytes.withUnsafeBufferPointer { input in
                // zlib does not write to its input; its declaration only predates const.
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.avail_in = UInt32(input.count)
                stream.next_out = out.baseAddress
                stream.avail_out = UInt32(capacity)
                let status = deflate(&stream, Z_FINISH)
                count = status == Z_STREAM_END ? Int(stream.total_out) : 0
            }
        }
    }

    /// Nil when the bytes are not gzip, or hold more than `most`.
    static func expand(_ bytes: [UInt8], most: Int) -> [UInt8]? {
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
