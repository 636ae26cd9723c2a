#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A WAV file could not be read or mended.
public struct WAVFileError: Error, CustomStringConvertible {
    public enum Code: String, Sendable {
        case open = "the file could not be opened"
        case read = "the file could not be read"
        case write = "the file could not be written"
        case notWAV = "the file is no WAV file with usable sound"
    }

    public let code: Code
    public let path: String
    /// The number that the kernel gave, 0 if none.
    public let errnoValue: Int32

    public var description: String { "\(code.rawValue): \(path) (errno \(errnoValue))" }
}

/// WAV files on disk.
///
/// Memory: paths, buffers and results of the system calls are borrowed for the call; nothing is kept.
public enum WAVFile {
    /// Where a file's sound lies.
    public struct Layout: Sendable, Equatable {
        public let format: PCMFormat
        public let dataOffset: Int64
        /// By the file's true size; chunks after the sound are left out when the declared size is within it.
        public let dataBytes: Int64
    }

    public static func layout(path: String) throws(WAVFileError) -> Layout {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw WAVFileError(code: .open, path: path, errnoValue: errno) }
        defer { close(file) }
        return try layout(descriptor: file, path: path)
    }

    private static func layout(descriptor: Int32, path: String) throws(WAVFileError) -> Layout {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            throw WAVFileError(code: .read, path: path, errnoValue: errno)
        }
        var head = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe pread(descriptor, &head, head.count, 0)
        guard count >= 0 else { throw WAVFileError(code: .read, path: path, errnoValue: errno) }
        let parse = WAVHeader.parse(head.span.extracting(first: count), limit: head.count)
        guard case .found(let header) = parse else { throw WAVFileError(code: .notWAV, path: path, errnoValue: 0) }
        let there = Int64(status.st_size) - Int64(header.headerBytes)
        let declared = Int64(header.declaredDataBytes)
        let isDeclared = declared > 0 && declared <= there
        return Layout(
            format: header.format, dataOffset: Int64(header.headerBytes), dataBytes: isDeclared ? declared : there)
    }

    /// Mends a recording of ours that was cut off: drops a sample that is not whole, writes the true sizes, syncs.
    ///
    /// Never removes a whole sample.
    /// - Returns: the format and the number of whole sample frames.
    public static func repair(path: String) throws(WAVFileError) -> (format: PCMFormat, frames: Int64) {
        let file = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { throw WAVFileError(code: .open, path: path, errnoValue: errno) }
        defer { close(file) }
        let layout = try layout(descriptor: file, path: path)
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { throw WAVFileError(code: .read, path: path, errnoValue: errno) }
        guard layout.dataOffset == Int64(WAVHeader.canonicalBytes) else {
            return (layout.format, layout.dataBytes / Int64(layout.format.bytesPerFrame))
        }
        let frames = (Int64(status.st_size) - layout.dataOffset) / Int64(layout.format.bytesPerFrame)
        let dataBytes = frames * Int64(layout.format.bytesPerFrame)
        let header = WAVHeader.encode(format: layout.format, dataBytes: dataBytes)
        guard ftruncate(file, off_t(layout.dataOffset + dataBytes)) == 0,
            unsafe header.withUnsafeBytes({ unsafe pwrite(file, $0.baseAddress, $0.count, 0) }) == header.count,
            fsync(file) == 0
        else { throw WAVFileError(code: .write, path: path, errnoValue: errno) }
        return (layout.format, frames)
    }
}
