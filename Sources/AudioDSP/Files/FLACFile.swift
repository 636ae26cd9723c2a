import CSoundFile

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// FLAC files on disk.
public enum FLACFile {
    /// Mends a recording that was cut off: counts what can be decoded and writes the count into the file's head, which
    /// many players ask for (RFC 9639 §8.2: 36 bits of STREAMINFO, 0 while unknown).
    ///
    /// Removes nothing. - Returns: the whole sample frames that can be decoded.
    public static func repair(path: String) throws(SoundFileError) -> Int64 {
        let frames = try decodableFrames(path: path)
        // Memory: path and head are borrowed for the calls; libc's error texts are copied at once.
        let file = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else {
            throw unsafe SoundFileError(code: .write, path: path, reason: String(cString: strerror(errno)))
        }
        defer { close(file) }
        var head = [UInt8](repeating: 0, count: 26)
        guard unsafe pread(file, &head, head.count, 0) == head.count, head[..<4].elementsEqual("fLaC".utf8),
            head[4] & 0x7F == 0
        else { throw SoundFileError(code: .read, path: path, reason: "it has no STREAMINFO block") }
        // STREAMINFO begins at byte 8; the count is the low 36 bits of its bytes 10 to 17.
        head[21] = head[21] & 0xF0 | UInt8(truncatingIfNeeded: frames >> 32 & 0x0F)
        for index in 0..<4 { head[22 + index] = UInt8(truncatingIfNeeded: frames >> Int64((3 - index) * 8)) }
        let written = unsafe head.withUnsafeBytes { bytes in
            unsafe pwrite(file, bytes.baseAddress.map { unsafe $0 + 21 }, 5, 21)
        }
        guard written == 5, fsync(file) == 0 else {
            throw unsafe SoundFileError(code: .write, path: path, reason: String(cString: strerror(errno)))
        }
        return frames
    }

    private static func decodableFrames(path: String) throws(SoundFileError) -> Int64 {
        let reader = try SoundFileReader(path: path)
        var frames: Int64 = 0
        while true {
            var count = 0
            do throws(SoundFileError) {
                count = try reader.readMono(channel: .index(0), maxFrames: 4096) { _ in }
            } catch {
                // The file ends in the middle of a block: what came before is what there is.
                count = 0
            }
            if count == 0 { return frames }
            frames += Int64(count)
        }
    }

    /// Encodes a file anew, with a span of it silent. The samples outside the span stay the same, bit by bit.
    ///
    /// - Parameter descriptor: an empty file, open for reading and writing.
    /// - Returns: how many sample frames were silenced.
    public static func copy(
        from path: String, to descriptor: Int32, silencing span: Range<Int64>
    ) throws(SoundFileError) -> Int64 {
        // Memory: `source` and `target` are closed before the return on every path; libsndfile uses the caller's descriptor until
        // then, and `block` during the calls. Its error texts are copied at once.
        var info = SF_INFO()
        guard let source = unsafe sf_open(path, Int32(SFM_READ), &info) else {
            throw unsafe SoundFileError(code: .open, path: path, reason: String(cString: sf_strerror(nil)))
        }
        defer { unsafe sf_close(source) }
        guard let target = unsafe sf_open_fd(descriptor, Int32(SFM_WRITE), &info, 0) else {
            throw unsafe SoundFileError(code: .write, path: path, reason: String(cString: sf_strerror(nil)))
        }
        var position: Int64 = 0
        var silenced: Int64 = 0
        let channels = Int(info.channels)
        var block = [Int32](repeating: 0, count: 4096 * channels)
        while true {
            let count = unsafe sf_readf_int(source, &block, 4096)
            guard count > 0 else { break }
            let from = max(span.lowerBound - position, 0)
            let to = min(span.upperBound - position, Int64(count))
            if from < to {
                for index in (Int(from) * channels)..<(Int(to) * channels) { block[index] = 0 }
                silenced += to - from
            }
            guard unsafe sf_writef_int(target, block, count) == count else {
                unsafe sf_close(target)
                throw SoundFileError(code: .write, path: path, reason: "the disk takes no more")
            }
            position += Int64(count)
        }
        let status = unsafe sf_close(target)
        guard status == 0 else {
            throw unsafe SoundFileError(code: .write, path: path, reason: String(cString: sf_error_number(status)))
        }
        return silenced
    }
}
