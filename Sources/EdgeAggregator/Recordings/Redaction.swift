import AudioDSP
import CEdgeSystem
import Foundation

/// Overwrites a span of a WAV file with silence, in place.
enum WAVRedaction {
    /// - Returns: the sample frames of the span that the file has, all silent and synced now.
    ///
    /// Memory: the path and the block of silence are borrowed for the calls.
    static func silence(path: String, frames: Range<Int64>) throws -> Int64 {
        let layout = try WAVFile.layout(path: path)
        let bytesPerFrame = Int64(layout.format.bytesPerFrame)
        let available = layout.dataBytes / bytesPerFrame
        let span = frames.clamped(to: 0..<max(available, 0))
        guard !span.isEmpty else { return 0 }
        let file = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw SegmentError(.write, path: path, errnoValue: errno) }
        defer { close(file) }
        let block = [UInt8](repeating: layout.format.silenceByte, count: 65_536)
        var offset = layout.dataOffset + span.lowerBound * bytesPerFrame
        var rest = Int64(span.count) * bytesPerFrame
        while rest > 0 {
            let count = unsafe block.withUnsafeBytes {
                unsafe pwrite(file, $0.baseAddress, Int(min(rest, Int64($0.count))), off_t(offset))
            }
            guard count > 0 else { throw SegmentError(.write, path: path, errnoValue: count < 0 ? errno : ENOSPC) }
            offset += Int64(count)
            rest -= Int64(count)
        }
        guard fdatasync(file) == 0 else { throw SegmentError(.sync, path: path, errnoValue: errno) }
        return Int64(span.count)
    }
}

/// Encodes a FLAC file anew with spans of it silent.
enum FLACRedaction {
    /// - Parameters:
    ///   - frames: in order, without overlaps.
    ///   - permit: For a second file of the same size, and for what it has beyond that.
    ///   - limit: of the work.
    /// - Returns: how many sample frames were silenced.
    ///
    /// Memory: the paths and the status are borrowed for the calls.
    static func silence(
        path: String, frames: [Range<Int64>], permit: DiskPermit, limit: DecodingLimit
    ) throws -> Int64 {
        var status = EdgeFileStatus()
        guard unsafe edge_stat(path, &status) == 0 else { throw SegmentError(.write, path: path, errnoValue: errno) }
        try permit.take(Int(status.size_bytes), path: path, isCopy: true)
        let replacement = path + ".silenced"
        unsafe unlink(replacement)
        let file = unsafe open(replacement, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        guard file >= 0 else { throw SegmentError(.create, path: replacement, errnoValue: errno) }
        defer { close(file) }
        do {
            var left = status.size_bytes
            let silenced = try FLACFile.copy(from: path, to: file, silencing: frames, limit: limit) { bytes in
                left -= bytes
                return left >= 0 || (try? permit.take(Int(bytes), path: replacement, isCopy: true)) != nil
            }
            guard fsync(file) == 0 else { throw SegmentError(.sync, path: replacement, errnoValue: errno) }
            // Should its row have been deleted, and the program end just now, the next start knows by the time that it is the
            // recording's file.
            _ = unsafe edge_set_modified(replacement, status.modified_ns)
            guard unsafe rename(replacement, path) == 0 else {
                throw SegmentError(.write, path: path, errnoValue: errno)
            }
            try RecordingSegment.syncDirectory((path as NSString).deletingLastPathComponent)
            return silenced
        } catch {
            unsafe unlink(replacement)
            throw error
        }
    }
}
