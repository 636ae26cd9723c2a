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
    /// Encodes a file anew, with spans of it silent. The samples outside the spans stay the same, bit by bit.
    ///
    /// - Parameters:
    ///   - descriptor: an empty file, open for reading and writing.
    ///   - spans: sample frames, in order, without overlaps.
    ///   - limit: of the work.
    ///   - mayGrow: asked, every some thousand sample frames, whether the copy may have so many bytes more. A copy in other
    ///     blocks can be many times larger than the file.
    /// - Returns: how many sample frames were silenced.
    /// - Throws: also when not all of the file can be decoded: a copy that ends there is none.
    public static func copy(
        from path: String, to descriptor: Int32, silencing spans: [Range<Int64>],
        limit: DecodingLimit = DecodingLimit(), mayGrow: (Int64) -> Bool = { _ in true }
    ) throws(SoundFileError) -> Int64 {
        // Memory: `source` and `target` are closed before the return on every path; libsndfile reads from `bytes`, which lives
        // until after that, uses the caller's descriptor until then, and `block` during the calls. Its error texts are copied at
        // once.
        var info = SF_INFO()
        let bytes = try SoundFileSource(path: path, limit: limit)
        guard let source = unsafe bytes.open(&info) else {
            try limit.check(path)
            throw unsafe SoundFileReader.failure(.open, path, reason: String(cString: sf_strerror(nil)))
        }
        let declared = Int64(info.frames)
        defer {
            unsafe sf_close(source)
            withExtendedLifetime(bytes) {}
        }
        guard let target = unsafe sf_open_fd(descriptor, Int32(SFM_WRITE), &info, 0) else {
            throw unsafe SoundFileError(code: .write, path: path, reason: String(cString: sf_strerror(nil)))
        }
        var position: Int64 = 0
        var silenced: Int64 = 0
        var rest = spans[...]
        var written: Int64 = 0
        let channels = Int(info.channels)
        var block = [Int32](repeating: 0, count: 4096 * channels)
        while true {
            let count = unsafe sf_readf_int(source, &block, 4096)
            let hasFailed = unsafe sf_error(source) != 0
            do throws(SoundFileError) {
                try limit.check(path)
            } catch {
                unsafe sf_close(target)
                throw error
            }
            if count < 0 || hasFailed && position + Int64(count) != declared {
                let failure = unsafe SoundFileReader.failure(.read, path, reason: String(cString: sf_strerror(source)))
                unsafe sf_close(target)
                throw failure
            }
            guard count > 0 else { break }
            while let span = rest.first, span.lowerBound < position + Int64(count) {
                let from = max(span.lowerBound - position, 0)
                let to = min(span.upperBound - position, Int64(count))
                if from < to {
                    for index in (Int(from) * channels)..<(Int(to) * channels) { block[index] = 0 }
                    silenced += to - from
                }
                guard span.upperBound <= position + Int64(count) else { break }
                rest.removeFirst()
            }
            guard unsafe sf_writef_int(target, block, count) == count else {
                unsafe sf_close(target)
                throw SoundFileError(code: .write, path: path, reason: "the disk takes no more")
            }
            position += Int64(count)
            let size = Self.size(descriptor)
            guard size <= written || mayGrow(size - written) else {
                unsafe sf_close(target)
                throw SoundFileError(code: .write, path: path, errnoValue: ENOSPC)
            }
            written = max(written, size)
        }
        let status = unsafe sf_close(target)
        guard status == 0 else {
            throw unsafe SoundFileError(code: .write, path: path, reason: String(cString: sf_error_number(status)))
        }
        return silenced
    }

    /// Size of an open file in bytes; its position stays.
    private static func size(_ descriptor: Int32) -> Int64 {
        let position = lseek(descriptor, 0, SEEK_CUR)
        let end = lseek(descriptor, 0, SEEK_END)
        lseek(descriptor, position, SEEK_SET)
        return Int64(end)
    }
}
