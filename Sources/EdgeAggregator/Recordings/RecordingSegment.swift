import AudioDSP
import CEdgeSystem
import Foundation
import Synchronization

/// The file of one recording while it is written.
///
/// One thread at a time appends; the ``SegmentKeeper`` syncs at the same time. The WAV header is written first with
/// sizes that mean "to the end of the file", so the file can be read at every moment, also after a power cut; the
/// true sizes are written once, when the recording ends.
final class RecordingSegment: @unchecked Sendable {
    let path: String
    let format: PCMFormat
    let container: RecordingContainer

    private let descriptor: Int32
    private let directory: String
    private let permit: DiskPermit
    /// Bytes of audio handed to the kernel.
    private let written = Atomic<Int64>(0)
    /// Bytes of audio known to be on the disk.
    private let synced = Atomic<Int64>(0)
    private let isCreationSynced = Atomic<Bool>(false)
    /// Why the disk did not take what was written; 0 as long as it does. Linux tells an error of writing back once and then counts
    /// the pages as clean, so that the next sync would say that all is well.
    private let syncError = Atomic<Int32>(0)
    // Belongs to the thread that appends; the one that finishes takes it over when appending has ended.
    private var encoder: FLACWriter?

    /// The 44 bytes of a header whose sizes are not known yet.
    private static func openHeader(_ format: PCMFormat) -> [UInt8] {
        WAVHeader.encode(format: format, dataBytes: Int64(UInt32.max))
    }

    /// Creates the file, which must not exist, and its folder.
    ///
    /// - Parameter permit: Asked before each write. Throws what it throws.
    ///
    /// Memory: the paths and the header are borrowed for the calls.
    init(
        path: String, format: PCMFormat, container: RecordingContainer, permit: DiskPermit
    ) throws(SegmentError) {
        let header = Self.openHeader(format)
        try permit.take(header.count, path: path)
        self.permit = permit
        self.path = path
        self.format = format
        self.container = container
        directory = (path as NSString).deletingLastPathComponent
        var file = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        if file < 0, errno == ENOENT {
            // The listener's folder, or also the one of all recordings, is new or was removed.
            _ = try? FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            file = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        }
        guard file >= 0 else { throw SegmentError(.create, path: path, errnoValue: errno) }
        descriptor = file
        var failure: SegmentError?
        if container == .flac {
            do {
                encoder = try FLACWriter(descriptor: file, format: format)
            } catch {
                failure = SegmentError(.create, path: path, errnoValue: errno == 0 ? EINVAL : errno)
            }
        } else {
            let count = unsafe header.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
            if count != header.count {
                failure = SegmentError(.create, path: path, errnoValue: count < 0 ? errno : ENOSPC)
            }
        }
        if let failure {
            // The descriptor is closed with the object.
            unsafe unlink(path)
            throw failure
        }
    }

    var writtenBytes: Int64 { written.load(ordering: .relaxed) }
    var syncedBytes: Int64 { synced.load(ordering: .relaxed) }
    var isDirty: Bool { writtenBytes != syncedBytes || !isCreationSynced.load(ordering: .relaxed) }

    // MARK: - Writing

    /// Writes whole sample frames. Nothing of them is kept. Refused once a sync has failed, and where the permit is refused.
    ///
    /// - Parameter block: the block in which pieces of the batch lie.
    ///
    /// Memory: the block is the caller's and the gathered bytes are the batch's. Both are borrowed until `writev` has handed them to
    /// the kernel; the list of their addresses is gone with the closure.
    func append(_ batch: borrowing SoundBatch, of block: Span<UInt8>) throws(SegmentError) {
        try checkSynced()
        try permit.take(batch.byteCount, path: path)
        if encoder != nil {
            try batch.forEach(of: block) { (bytes) throws(SegmentError) in try encode(bytes) }
            return
        }
        var piece = 0
        var skippedBytes = 0
        while piece < batch.pieceCount {
            let count = unsafe batch.withVectors(of: block, first: piece, skippedBytes: skippedBytes) { vectors in
                unsafe writev(descriptor, vectors.baseAddress, Int32(vectors.count))
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SegmentError(.write, path: path, errnoValue: errno)
            }
            written.add(Int64(count), ordering: .relaxed)
            skippedBytes += count
            while piece < batch.pieceCount, skippedBytes >= batch.byteCount(ofPiece: piece) {
                skippedBytes -= batch.byteCount(ofPiece: piece)
                piece += 1
            }
        }
    }

    /// Writes silence.
    func appendSilence(bytes: Int) throws(SegmentError) {
        let block = [UInt8](
            repeating: format.silenceByte, count: min(bytes, 65_536 / format.bytesPerFrame * format.bytesPerFrame))
        var batch = SoundBatch()
        var rest = bytes
        while rest > 0 {
            let count = min(rest, block.count)
            batch.removeAll()
            batch.append(.inBlock(0..<count))
            try append(batch, of: block.span)
            rest -= count
        }
    }

    private func encode(_ bytes: Span<UInt8>) throws(SegmentError) {
        errno = 0
        do { try encoder?.write(bytes) } catch { throw encoderFailure }
        written.add(Int64(bytes.count), ordering: .relaxed)
    }

    /// The encoder keeps the number of the system call that failed in `errno`, on the same thread.
    private var encoderFailure: SegmentError {
        SegmentError(.write, path: path, errnoValue: errno == 0 ? EIO : errno)
    }

    // MARK: - Syncing

    /// Starts writing dirty pages out, without waiting.
    func startWriteback() {
        edge_start_writeback(descriptor)
    }

    /// Waits until all that was handed to the kernel is on the disk: the file, and once its entry in the folder.
    ///
    /// - Throws: from the first failure on always: what is on the disk is for the next start to find out.
    func sync() throws(SegmentError) {
        try checkSynced()
        let target = writtenBytes
        do throws(SegmentError) {
            guard fdatasync(descriptor) == 0 else { throw SegmentError(.sync, path: path, errnoValue: errno) }
            if !isCreationSynced.load(ordering: .relaxed) {
                try Self.syncDirectory(directory)
                isCreationSynced.store(true, ordering: .relaxed)
            }
        } catch {
            syncError.store(error.errnoValue == 0 ? EIO : error.errnoValue, ordering: .relaxed)
            throw error
        }
        synced.store(target, ordering: .relaxed)
    }

    private func checkSynced() throws(SegmentError) {
        let error = syncError.load(ordering: .relaxed)
        guard error == 0 else { throw SegmentError(.sync, path: path, errnoValue: error) }
    }

    /// Ends the recording: whole sample frames, true sizes, synced.
    ///
    /// - Returns: the sample frames in the file.
    ///
    /// Memory: the header is borrowed for the call.
    func finish() throws(SegmentError) -> Int64 {
        let frames = writtenBytes / Int64(format.bytesPerFrame)
        if let encoder {
            self.encoder = nil
            errno = 0
            do { try encoder.finish() } catch { throw encoderFailure }
        } else {
            let dataBytes = frames * Int64(format.bytesPerFrame)
            let header = WAVHeader.encode(format: format, dataBytes: dataBytes)
            if dataBytes != writtenBytes {
                guard ftruncate(descriptor, off_t(dataBytes) + off_t(header.count)) == 0 else {
                    throw SegmentError(.write, path: path, errnoValue: errno)
                }
            }
            let count = unsafe header.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) }
            guard count == header.count else {
                throw SegmentError(.write, path: path, errnoValue: count < 0 ? errno : ENOSPC)
            }
        }
        try sync()
        return frames
    }

    /// Removes the file.
    ///
    /// Memory: the path is borrowed for the call.
    func discard() {
        unsafe unlink(path)
    }

    deinit {
        close(descriptor)
    }

    /// Makes an entry of a folder (created, renamed, removed) durable.
    ///
    /// Memory: the path is borrowed for the call.
    static func syncDirectory(_ path: String) throws(SegmentError) {
        let folder = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw SegmentError(.sync, path: path, errnoValue: errno) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw SegmentError(.sync, path: path, errnoValue: errno) }
    }
}

/// How a recording is stored.
enum RecordingContainer: String, Sendable, CaseIterable {
    case wav, flac, mp3

    /// FLAC holds neither floating point nor 32-bit integers; such audio stays WAV.
    static func chosen(_ wanted: RecordingContainer, for format: PCMFormat) -> RecordingContainer {
        guard wanted == .flac else { return .wav }
        switch format.encoding {
        case .unsigned8, .signed16, .signed24: return .flac
        case .signed32, .float32: return .wav
        }
    }
}
