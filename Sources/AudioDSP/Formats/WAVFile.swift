#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A WAV file could not be read or repaired.
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
        let head = try head(descriptor, path, count: 65_536)
        let parse = WAVHeader.parse(head.span, limit: 65_536)
        guard case .found(let header) = parse else { throw WAVFileError(code: .notWAV, path: path, errnoValue: 0) }
        let there = Int64(status.st_size) - Int64(header.headerBytes)
        let declared = header.declaredLongDataBytes ?? Int64(header.declaredDataBytes)
        let isDeclared = declared > 0 && declared <= there
        return Layout(
            format: header.format, dataOffset: Int64(header.headerBytes), dataBytes: isDeclared ? declared : there)
    }

    private static func head(_ descriptor: Int32, _ path: String, count: Int) throws(WAVFileError) -> [UInt8] {
        do throws(SoundFileError) {
            return try SoundFileBytes.read(descriptor, path: path, offset: 0, count: count)
        } catch {
            throw WAVFileError(code: .read, path: path, errnoValue: error.errnoValue)
        }
    }

    // MARK: - Repair

    /// What became of a recording of this program that was cut off.
    public struct Repaired: Sendable, Equatable {
        public let format: PCMFormat
        /// Whole sample frames.
        public let frames: Int64
        /// Whether the header was damaged, and was written again.
        public let wasDamaged: Bool
    }

    /// Repairs a file if this program was writing it when it stopped: then its header is the one of ``WAVHeader/encode(format:dataBytes:)``
    /// for sound without an end. Nothing of another file is changed.
    ///
    /// - Returns: nil for another file.
    /// - Throws: when it cannot be read or written now.
    public static func repairIfOpen(path: String) throws(WAVFileError) -> Repaired? {
        let file = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { throw WAVFileError(code: .open, path: path, errnoValue: errno) }
        defer { close(file) }
        let head = try head(file, path, count: WAVHeader.canonicalBytes)
        guard case .found(let header) = WAVHeader.parse(head.span),
            head == WAVHeader.encode(format: header.format, dataBytes: Int64(UInt32.max))
        else { return nil }
        return try write(header.format, to: file, path, head: head)
    }

    /// Repairs a recording of which only this program can have written the file: drops a sample that is not whole, writes the
    /// header and the true sizes, syncs. What the header says now does not matter, since it may be damaged.
    ///
    /// Never removes a whole sample.
    /// - Returns: nil when the file ends before the header does, so that there is no sound in it; and when it is a file of another
    ///   format or with further chunks, which this program has not written. Neither is changed.
    /// - Throws: when it cannot be read or written now.
    public static func repair(path: String, as format: PCMFormat) throws(WAVFileError) -> Repaired? {
        let file = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { throw WAVFileError(code: .open, path: path, errnoValue: errno) }
        defer { close(file) }
        let head = try head(file, path, count: 65_536)
        guard head.count >= WAVHeader.canonicalBytes else { return nil }
        if case .found(let header) = WAVHeader.parse(head.span, limit: head.count),
            header.format != format || header.headerBytes != WAVHeader.canonicalBytes
        {
            return nil
        }
        return try write(format, to: file, path, head: Array(head.prefix(WAVHeader.canonicalBytes)))
    }

    /// Repairs a file that another recorder was writing when it was cut off. All of it after the header is sound: drops a sample that is
    /// not whole, writes the true sizes, syncs. Further chunks of the header stay.
    ///
    /// Never removes a whole sample.
    /// - Parameter isUnfinished: whether the sizes are wrong whatever they are. If false, only sizes of 0 and sizes beyond the end of the
    ///   file are wrong.
    /// - Returns: nil when the sizes are right, when there is no whole sample, and for a file that is no WAV file with usable sound or has
    ///   sizes of 64 bits. It is not changed then.
    /// - Throws: when it cannot be read or written now.
    public static func repairSizes(path: String, isUnfinished: Bool) throws(WAVFileError) -> Repaired? {
        let file = unsafe open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw WAVFileError(code: .open, path: path, errnoValue: errno) }
        defer { close(file) }
        let head = try head(file, path, count: 65_536)
        guard head.starts(with: "RIFF".utf8), case .found(let header) = WAVHeader.parse(head.span, limit: head.count)
        else { return nil }
        let end = lseek(file, 0, SEEK_END)
        guard end >= 0 else { throw WAVFileError(code: .read, path: path, errnoValue: errno) }
        let there = Int64(end) - Int64(header.headerBytes)
        let areRight = (1...max(there, 1)).contains(Int64(header.declaredDataBytes))
        guard isUnfinished || !areRight, there >= Int64(header.format.bytesPerFrame) else { return nil }
        let own = Array(head.prefix(header.headerBytes))
        return try write(header.format, to: file, path, head: own) { WAVHeader.sized(own, dataBytes: $0) }
    }

    private static func write(
        _ format: PCMFormat, to file: Int32, _ path: String, head: [UInt8]
    ) throws(WAVFileError) -> Repaired {
        try write(format, to: file, path, head: head) { WAVHeader.encode(format: format, dataBytes: $0) }
    }

    /// - Parameters:
    ///   - head: the header as it is.
    ///   - header: as it must be for so many bytes of sound; as long as `head`.
    private static func write(
        _ format: PCMFormat, to file: Int32, _ path: String, head: [UInt8], _ header: (Int64) -> [UInt8]
    ) throws(WAVFileError) -> Repaired {
        let end = lseek(file, 0, SEEK_END)
        guard end >= 0 else { throw WAVFileError(code: .read, path: path, errnoValue: errno) }
        let headBytes = Int64(head.count)
        let frames = (Int64(end) - headBytes) / Int64(format.bytesPerFrame)
        let dataBytes = frames * Int64(format.bytesPerFrame)
        let wanted = header(dataBytes)
        // All but the two sizes.
        let fixed = [0..<4, 8..<(head.count - 4)]
        let wasDamaged = !fixed.allSatisfy { head[$0] == wanted[$0] }
        if Int64(end) != headBytes + dataBytes {
            guard ftruncate(file, off_t(headBytes + dataBytes)) == 0 else {
                throw WAVFileError(code: .write, path: path, errnoValue: errno)
            }
        }
        if head != wanted {
            do throws(SoundFileError) {
                try SoundFileBytes.write(wanted, to: file, path: path, offset: 0)
            } catch {
                throw WAVFileError(code: .write, path: path, errnoValue: error.errnoValue)
            }
        }
        guard fsync(file) == 0 else { throw WAVFileError(code: .write, path: path, errnoValue: errno) }
        return Repaired(format: format, frames: frames, wasDamaged: wasDamaged)
    }
}
