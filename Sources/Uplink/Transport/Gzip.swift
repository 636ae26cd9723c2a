import CZlib

/// The gzip form of bytes (RFC 1952). Level 1: on a small board time is dearer than the last bytes of a text.
public enum Gzip {
    /// Memory: the bytes are borrowed for the call; the result is an array of its own.
    public static func compress(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        if let compressed = unsafe bytes.withContiguousStorageIfAvailable(deflated) { return compressed }
        return unsafe Array(bytes).withUnsafeBufferPointer(deflated)
    }

    /// Memory: the caller owns `input` and keeps it during this call. zlib keeps the address of the stream from its beginning to
    /// its end, so both lie in one closure that pins it. `next_out` is set anew for each call, while `block` is borrowed.
    private static func deflated(_ input: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var state = unsafe z_stream()
        return unsafe withUnsafeMutablePointer(to: &state) { stream in
            guard unsafe edge_gzip_begin(stream, 1) == Z_OK else { return [] }
            defer { unsafe deflateEnd(stream) }
            // zlib does not write to its input; its declaration only predates const.
            unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            unsafe stream.pointee.avail_in = UInt32(input.count)
            var out: [UInt8] = []
            var block = [UInt8](repeating: 0, count: 65_536)
            var status = Z_OK
            repeat {
                let produced = unsafe block.withUnsafeMutableBufferPointer { room -> Int in
                    unsafe stream.pointee.next_out = room.baseAddress
                    unsafe stream.pointee.avail_out = UInt32(room.count)
                    status = unsafe deflate(stream, Z_FINISH)
                    return unsafe room.count - Int(stream.pointee.avail_out)
                }
                out += block[..<produced]
            } while status == Z_OK
            return status == Z_STREAM_END ? out : []
        }
    }

    /// Nil when the bytes are not gzip, or hold more than `most`.
    ///
    /// Memory: `bytes` are the caller's and borrowed until the end of the inner closure. The stream is pinned from its beginning
    /// to its end, as for compression, and `next_out` is set anew for each call, while `block` is borrowed.
    public static func expand(_ bytes: [UInt8], most: Int) -> [UInt8]? {
        var state = unsafe z_stream()
        return unsafe withUnsafeMutablePointer(to: &state) { stream -> [UInt8]? in
            guard unsafe edge_gunzip_begin(stream) == Z_OK else { return nil }
            defer { unsafe inflateEnd(stream) }
            var out: [UInt8] = []
            var status = Z_OK
            unsafe bytes.withUnsafeBufferPointer { input in
                unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                unsafe stream.pointee.avail_in = UInt32(input.count)
                var block = [UInt8](repeating: 0, count: 65_536)
                repeat {
                    let produced = unsafe block.withUnsafeMutableBufferPointer { room -> Int in
                        unsafe stream.pointee.next_out = room.baseAddress
                        unsafe stream.pointee.avail_out = UInt32(room.count)
                        status = unsafe inflate(stream, Z_NO_FLUSH)
                        return unsafe room.count - Int(stream.pointee.avail_out)
                    }
                    out += block[..<produced]
                } while status == Z_OK && out.count <= most
            }
            return status == Z_STREAM_END && out.count <= most ? out : nil
        }
    }
}
