import CEdgeSystem
import Foundation
import Logging
import Store

/// Files that the replaced receiver left beside the listeners' folders.
extension Recovery {
    /// What of them has no row.
    struct LegacyFiles: Equatable {
        var files = 0
        var bytes: Int64 = 0
        /// Whether there are more names than were looked at.
        var isPart = false
    }

    /// Names of a folder that are looked at, and how many at a time.
    private static let maximumLegacyNames = 1_000_000
    private static let legacyNamesAtOnce = 500

    /// Says once for each folder what of the replaced receiver has no row, with the command that takes it in; nothing of it is changed.
    /// Removes what is left of recordings that were taken in and are deleted, where the program ended before it had removed the file.
    ///
    /// On a thread that may wait for the disk; ends soon after ``stop()``.
    func lookThroughLegacyFiles() {
        let folders = LegacyFolders(recordingsFolder: recordingsFolder, spoolFolder: spoolFolder)
        for folder in [folders.recordings] + folders.unfinished {
            do {
                let found = try legacyFiles(in: folder, isUnfinished: folder != folders.recordings)
                guard found.files > 0 else { continue }
                logger.warning(
                    "Recordings of the replaced receiver have no row here, so they are neither analyzed nor delivered; take them in: edge-aggregator import-recordings --in-place",
                    metadata: [
                        "folder": "\(folder)", "files": "\(found.isPart ? "at least " : "")\(found.files)",
                        "bytes": "\(found.bytes)",
                    ])
            } catch let failure as FolderFiles.Failure where failure.errnoValue == ENOENT {
                continue
            } catch {
                logger.warning(
                    "A folder cannot be looked through for recordings of the replaced receiver",
                    metadata: [
                        "folder": "\(folder)", "error": "\((error as? FolderFiles.Failure)?.text ?? "\(error)")",
                    ])
            }
        }
    }

    /// Memory: the path and the status are borrowed for the call.
    func legacyFiles(in folder: String, isUnfinished: Bool) throws -> LegacyFiles {
        var found = LegacyFiles()
        let names = try FolderNames(folder)
        var count = 0
        while !isStopped {
            let piece = try names.next(Self.legacyNamesAtOnce)
            guard !piece.isEmpty else { break }
            count += piece.count
            let legacy = piece.filter { LegacyRecordingName($0) != nil }
            // Nothing that has a row lies in a folder of unfinished recordings.
            let rows = isUnfinished ? [:] : try store.recordingsBlocking(named: legacy)
            for name in legacy {
                let path = "\(folder)/\(name)"
                var status = EdgeFileStatus()
                // A row with another path is another recording's.
                let row = rows[name].flatMap { $0.relativePath == name ? $0 : nil }
                guard row == nil || row?.state == "deleted" else { continue }
                guard unsafe edge_lstat(path, &status) == 0, status.isFile else { continue }
                if let row, Self.isOf(row, status) {
                    // What was put there later stays.
                    if let deleted = row.deletedNanoseconds, status.changed_ns <= deleted { clear(row, path) }
                    continue
                }
                guard status.size_bytes > 0 else { continue }
                found.files += 1
                found.bytes += status.size_bytes
            }
            guard count < Self.maximumLegacyNames else {
                found.isPart = true
                break
            }
        }
        return found
    }
}
