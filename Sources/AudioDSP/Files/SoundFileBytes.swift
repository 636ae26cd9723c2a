#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Whole reads and writes of a sound file.
///
/// Memory: descriptors are the caller's; buffers are borrowed for each call, and nothing is kept.
enum SoundFileBytes {
    /// - Returns: `count` bytes, fewer when the file ends before.
    static func read(
        _ descriptor: Int32, path: String, offset: Int64, count: Int
    ) throws(SoundFileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = unsafe bytes.withUnsafeMutableBytes { bytes in
                unsafe pread(
                    descriptor, bytes.baseAddress.map { unsafe $0 + filled }, count - filled, off_t(offset) + filled)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw SoundFileError(code: .read, path: path, errnoValue: errno) }
            if got == 0 { break }
            filled += got
        }
        return Array(bytes.prefix(filled))
    }

    static func write(
        _ bytes: [UInt8], to descriptor: Int32, path: String, offset: Int64
    ) throws(SoundFileError) {
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { all in
                unsafe pwrite(
                    descriptor, all.baseAddress.map { unsafe $0 + done }, all.count - done, off_t(offset) + done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw SoundFileError(code: .write, path: path, errnoValue: count < 0 ? errno : ENOSPC)
            }
            done += count
        }
    }

    /// Why the file cannot be read through now; 0 when it can. What is wrong with it then is its content.
    static func refusal(path: String) -> Int32 {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return errno }
        defer { close(file) }
        var block = [UInt8](repeating: 0, count: 1 << 18)
        var offset: off_t = 0
        while true {
            let count = unsafe pread(file, &block, block.count, offset)
            if count < 0, errno == EINTR { continue }
            if count < 0 { return errno }
            if count == 0 { return 0 }
            offset += count
        }
    }
}
