import CSoundFile

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Encodes FLAC into an open file while it is recorded. One thread at a time.
///
/// Memory: `file` is opened in `init` and closed by `finish`, or else in `deinit`; it does not leave the class. libsndfile borrows
/// `block` for the call and writes to a descriptor of its own. Its error texts are copied at once.
@safe public final class FLACWriter: @unchecked Sendable {
    // Handed from the thread that records to the one that finishes, never used by two at a time.
    private let format: PCMFormat
    private var file: OpaquePointer?
    private var block: [Int32] = []

    /// - Parameters:
    ///   - descriptor: an empty file, open for reading and writing; it stays open and the caller's. The writer uses a
    ///     duplicate of its own, so that what the encoder writes at its end cannot reach another file that has been given the
    ///     caller's number.
    ///   - format: 8, 16 or 24 bits. FLAC has no floating point and no 32 bits.
    public init(descriptor: Int32, format: PCMFormat) throws(SoundFileError) {
        self.format = format
        var info = SF_INFO()
        info.samplerate = Int32(format.sampleRate)
        info.channels = Int32(format.channels)
        let subtype: Int
        switch format.encoding {
        case .unsigned8: subtype = Int(SF_FORMAT_PCM_S8)
        case .signed16: subtype = Int(SF_FORMAT_PCM_16)
        case .signed24: subtype = Int(SF_FORMAT_PCM_24)
        case .signed32, .float32:
            throw SoundFileError(code: .write, path: "", reason: "FLAC has no \(format.encoding.rawValue) samples")
        }
        info.format = Int32(Int(SF_FORMAT_FLAC) | subtype)
        let own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard own >= 0 else {
            throw unsafe SoundFileError(code: .write, path: "", reason: String(cString: strerror(errno)))
        }
        // libsndfile closes the duplicate with the file, or when it fails.
        guard let file = unsafe sf_open_fd(own, Int32(SFM_WRITE), &info, 1) else {
            throw unsafe SoundFileError(code: .write, path: "", reason: String(cString: sf_strerror(nil)))
        }
        unsafe self.file = file
    }

    deinit {
        if let file = unsafe file { unsafe sf_close(file) }
    }

    /// Takes whole sample frames.
    public func write(_ bytes: Span<UInt8>) throws(SoundFileError) {
        let samples = bytes.count / format.bytesPerSample
        if block.count < samples { block = [Int32](repeating: 0, count: samples) }
        switch format.encoding {
        case .unsigned8: for index in 0..<samples { block[index] = (Int32(bytes[index]) - 128) << 24 }
        case .signed16:
            for index in 0..<samples {
                block[index] = Int32(bitPattern: UInt32(bytes.littleEndian16(at: index * 2)) << 16)
            }
        case .signed24:
            for index in 0..<samples {
                let offset = index * 3
                block[index] = Int32(
                    bitPattern: UInt32(bytes[offset]) << 8 | UInt32(bytes[offset + 1]) << 16 | UInt32(bytes[offset + 2])
                        << 24)
            }
        case .signed32, .float32: return
        }
        let frames = sf_count_t(samples / format.channels)
        guard unsafe sf_writef_int(file, block, frames) == frames else {
            throw unsafe SoundFileError(code: .write, path: "", reason: String(cString: sf_strerror(file)))
        }
    }

    /// Writes what the encoder holds, and the file's true length into its head.
    public func finish() throws(SoundFileError) {
        guard let file = unsafe file else { return }
        unsafe self.file = nil
        let status = unsafe sf_close(file)
        guard status == 0 else {
            throw unsafe SoundFileError(code: .write, path: "", reason: String(cString: sf_error_number(status)))
        }
    }
}
