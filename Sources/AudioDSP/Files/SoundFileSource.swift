import CSoundFile

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The bytes that libsndfile reads, through a ``DecodingLimit``: where decoding has to end, so does the file. A decoder that
/// looks for the next block in bytes that are none stops there too.
///
/// Memory: the descriptor is opened in `init` and closed in `deinit`. libsndfile keeps the address of the source, which the
/// owner of the handle holds until after it has closed the handle. The callbacks borrow libsndfile's buffers until they return.
final class SoundFileSource {
    private let descriptor: Int32
    private let byteCount: Int64
    private let limit: DecodingLimit
    private var offset: Int64 = 0

    init(path: String, limit: DecodingLimit) throws(SoundFileError) {
        descriptor = Self.open(path)
        guard descriptor >= 0 else { throw SoundFileError(code: .open, path: path, errnoValue: errno) }
        byteCount = Int64(lseek(descriptor, 0, SEEK_END))
        self.limit = limit
    }

    deinit { close(descriptor) }

    private static func open(_ path: String) -> Int32 {
        #if canImport(Glibc)
        unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        #elseif canImport(Musl)
        unsafe Musl.open(path, O_RDONLY | O_CLOEXEC)
        #else
        unsafe Darwin.open(path, O_RDONLY | O_CLOEXEC)
        #endif
    }

    /// Opens it with libsndfile; nil where that finds no sound.
    func open(_ info: inout SF_INFO) -> OpaquePointer? {
        var calls = unsafe SF_VIRTUAL_IO(
            get_filelen: { context in unsafe SoundFileSource.of(context)?.byteCount ?? 0 },
            seek: { offset, whence, context in
                unsafe SoundFileSource.of(context)?.seek(Int64(offset), whence) ?? -1
            },
            read: { room, count, context in
                guard let room = unsafe room, let source = unsafe SoundFileSource.of(context) else { return 0 }
                return unsafe source.read(UnsafeMutableRawBufferPointer(start: room, count: max(0, Int(count))))
            },
            write: { _, _, _ in 0 },
            tell: { context in unsafe SoundFileSource.of(context)?.offset ?? -1 })
        // libsndfile copies the calls.
        return unsafe sf_open_virtual(&calls, Int32(SFM_READ), &info, Unmanaged.passUnretained(self).toOpaque())
    }

    private static func of(_ context: UnsafeMutableRawPointer?) -> SoundFileSource? {
        unsafe context.map { unsafe Unmanaged<SoundFileSource>.fromOpaque($0).takeUnretainedValue() }
    }

    private func seek(_ distance: Int64, _ whence: Int32) -> Int64 {
        let base = whence == SEEK_CUR ? offset : whence == SEEK_END ? byteCount : 0
        let (place, isOver) = base.addingReportingOverflow(distance)
        guard !isOver, place >= 0 else { return -1 }
        offset = place
        return place
    }

    private func read(_ room: UnsafeMutableRawBufferPointer) -> Int64 {
        var filled = 0
        while filled < room.count, limit.mayGoOn() {
            let count = unsafe pread(
                descriptor, room.baseAddress.map { unsafe $0 + filled }, room.count - filled, off_t(offset))
            if count < 0, errno == EINTR { continue }
            // What the system does not let be read is found when the failure is looked into.
            if count <= 0 { break }
            filled += count
            offset += Int64(count)
        }
        return Int64(filled)
    }
}
