import CEdgeSystem
import Foundation
import Logging
import Synchronization

/// Disk space that is set aside so that a daemon can start, and remove recordings, on a full disk.
///
/// The space is in several files of `start-reserve` below `base_dir`: four with bytes, and empty ones, since a disk can also run out of
/// inodes. They are removed before the database is opened, and one by one when the database reports a full disk; they are made
/// again when there is room.
final class StartReserve: Sendable {
    private static let pieceCount = 4
    private static let emptyCount = 16
    private static let mostPieceBytes: Int64 = 2 << 20

    private let folder: String
    private let pieceBytes: Int64
    private let lock = Mutex(())
    private let logger: Logger

    /// - Parameter baseFolder: `base_dir`, which must exist.
    ///
    /// Memory: the path and the status are borrowed for the call.
    init(baseFolder: String, logger: Logger) {
        folder = "\(baseFolder)/start-reserve"
        self.logger = logger
        var status = statvfs()
        _ = unsafe statvfs(baseFolder, &status)
        // 8 MB, or less on a small disk: what one start writes is a few hundred kilobytes.
        let total = Int64(status.f_blocks) * Int64(status.f_frsize)
        pieceBytes = min(Self.mostPieceBytes, total / 64 / Int64(Self.pieceCount))
    }

    /// Bytes that are set aside now.
    ///
    /// Memory: the path and the status are borrowed for the call.
    var bytes: Int64 {
        pieces.reduce(0) { sum, path in
            var status = EdgeFileStatus()
            return unsafe edge_stat(path, &status) == 0 ? sum + status.size_bytes : sum
        }
    }

    private var pieces: [String] { (1...Self.pieceCount).map { "\(folder)/bytes-\($0)" } }
    private var empties: [String] { (1...Self.emptyCount).map { "\(folder)/inode-\($0)" } }

    /// Bytes that are set aside when all of it is there.
    var fullBytes: Int64 { pieceBytes * Int64(Self.pieceCount) }

    /// Frees everything if fewer bytes or inodes are free than a start can need. Called before the database is opened.
    ///
    /// Memory: the path and the status are borrowed for the call.
    func releaseIfNeeded() {
        var status = statvfs()
        guard unsafe statvfs((folder as NSString).deletingLastPathComponent, &status) == 0 else { return }
        let freeBytes = Int64(status.f_bavail) * Int64(status.f_frsize)
        let isShortOfFiles = status.f_files > 0 && status.f_favail < UInt64(Self.emptyCount)
        guard freeBytes < fullBytes || isShortOfFiles else { return }
        lock.withLock { _ in
            let removed = remove(pieces + empties)
            if removed > 0 {
                logger.warning(
                    "The disk is full: the start reserve was freed, so that the daemon can start and remove recordings",
                    metadata: ["files": "\(removed)", "folder": "\(folder)"])
            }
        }
    }

    /// Frees a part, for a database that cannot write.
    ///
    /// - Returns: False if nothing was left to free.
    func releasePart() -> Bool {
        lock.withLock { _ in
            for (piece, path) in pieces.enumerated() {
                let some = empties.dropFirst(piece * Self.emptyCount / Self.pieceCount)
                    .prefix(Self.emptyCount / Self.pieceCount)
                if remove([path]) + remove(Array(some)) > 0 { return true }
            }
            return false
        }
    }

    /// Makes what is missing. The caller knows that there is room.
    ///
    /// Memory: the paths are borrowed for the calls.
    func restore() {
        lock.withLock { _ in
            unsafe mkdir(folder, 0o700)
            for path in empties where unsafe access(path, F_OK) != 0 {
                let file = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
                guard file >= 0 else { return }
                close(file)
            }
            for path in pieces where !isWhole(path) {
                let file = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
                guard file >= 0 else { return }
                defer { close(file) }
                // Its blocks are taken at once, also where they are not written.
                guard posix_fallocate(file, 0, off_t(pieceBytes)) == 0 else {
                    unsafe unlink(path)
                    return
                }
                fsync(file)
            }
        }
    }

    /// Memory: the path and the status are borrowed for the call.
    private func isWhole(_ path: String) -> Bool {
        var status = EdgeFileStatus()
        return unsafe edge_stat(path, &status) == 0 && status.size_bytes >= pieceBytes
    }

    /// - Returns: How many there were.
    ///
    /// Memory: the paths are borrowed for the calls.
    private func remove(_ paths: [String]) -> Int {
        var removed = 0
        for path in paths where unsafe unlink(path) == 0 { removed += 1 }
        guard removed > 0 else { return 0 }
        // ext4 gives blocks out again once their removal is in the journal.
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor >= 0 {
            fsync(descriptor)
            close(descriptor)
        }
        return removed
    }
}
