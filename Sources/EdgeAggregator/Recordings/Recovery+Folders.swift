import AudioDSP
import CEdgeSystem
import Foundation
import Logging
import Sensors
import Store
import Synchronization

/// What lies in the listeners' folders, and whose it is.
extension Recovery {
    struct File: Sendable {
        let path: String
        let name: String
        let listener: ListenerID
    }

    /// What lies in the listeners' folders, and copies of recordings beside the folders (``LegacyFolders``). A folder that cannot be listed
    /// now is looked through at the next start: while the program runs, recordings whose rows are still on their way lie there too.
    func recordingFiles() -> [File] {
        names(in: recordingsFolder).flatMap { name -> [File] in
            let path = "\(recordingsFolder)/\(name)"
            if name.hasSuffix(Self.silencedSuffix),
                let original = LegacyRecordingName(String(name.dropLast(Self.silencedSuffix.utf8.count)))
            {
                return [File(path: path, name: name, listener: original.listener)]
            }
            // A finished recording of the replaced receiver, of which there may be very many, is no folder.
            if LegacyRecordingName(name) != nil, (try? RecordingRemains.status(path))?.isFile == true { return [] }
            guard let listener = ListenerID(name) else { return [] }
            return names(in: path).map { File(path: "\(path)/\($0)", name: $0, listener: listener) }
        }
    }

    private func names(in folder: String) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            // A plain file in the place of a listener's folder is no folder to look through.
            if let status = try? RecordingRemains.status(folder), status.isFile { return [] }
            metrics.failures.add(1)
            logger.error(
                "A folder of recordings cannot be listed; files there that have no row are looked for at the next start",
                metadata: ["folder": "\(folder)", "error": "\(error)"])
            return []
        }
    }

    func restore(_ copy: String) {
        do {
            try RecordingRemains.restore(copy)
        } catch {
            metrics.failures.add(1)
            logger.error(
                "A copy that was being made when the program stopped cannot be dealt with; the next start tries again",
                metadata: ["path": "\(copy)", "error": "\(error)"])
        }
    }

    /// Decides about a file by its row.
    ///
    /// - Returns: a file that has none.
    func examine(_ file: File, _ limit: DecodingLimit, _ summary: inout Summary) throws -> Orphan? {
        if file.name.hasSuffix(Self.silencedSuffix) {
            removeCopy(file)
            return nil
        }
        guard let container = RecordingContainer(rawValue: (file.name as NSString).pathExtension) else { return nil }
        guard let row = try store.recordingBlocking(name: file.name) else {
            return Orphan(name: file.name, listener: file.listener, container: container)
        }
        guard row.state == "deleted", row.relativePath == "\(file.listener)/\(file.name)" else { return nil }
        do {
            guard let status = try RecordingRemains.status(file.path) else { return nil }
            if Self.isOf(row, status) {
                clear(row, file.path)
                return nil
            }
            // What holds no sound needs no row.
            limit.resume()
            try AudioFacts.requireSound(in: file.path, expected: container, limit: limit)
            try adoptUnderAnotherName(file, container, limit, &summary)
        } catch let error as SoundFileError where error.code == .tooCostly || error.code == .cancelled {
            waiting.withLock { $0.files[file.path] = file }
        } catch {
            metrics.failures.add(1)
            logger.warning(
                "A file with the name of a deleted recording is left alone; the next start looks at it again",
                metadata: ["path": "\(file.path)", "error": "\(error)"])
        }
        return nil
    }

    private static let silencedSuffix = ".silenced"

    /// A half-made copy without a voice. While the original is there, the voice is silenced again.
    ///
    /// Memory: the path is borrowed for the call.
    private func removeCopy(_ file: File) {
        let original = String(file.path.dropLast(Self.silencedSuffix.utf8.count))
        let name = String(file.name.dropLast(Self.silencedSuffix.utf8.count))
        let isOriginalThere = (try? RecordingRemains.status(original))?.isFile == true
        let isDeleted = (try? store.recordingBlocking(name: name))?.state == "deleted"
        guard isOriginalThere || isDeleted else {
            logger.warning("A copy has no original any more; it is left alone", metadata: ["path": "\(file.path)"])
            return
        }
        if unsafe unlink(file.path) != 0 { metrics.failures.add(1) }
    }

    /// Whether a file is the one whose row was deleted, so that it may go. It is not when the row was given up here and the file has
    /// come back with sound in it, nor when it is another file with the name: a database of before does not know what was
    /// received since.
    static func isOf(_ row: RecordingRecord, _ status: EdgeFileStatus) -> Bool {
        switch row.deleteReason {
        case lostReason: return status.size_bytes < Int64(WAVHeader.canonicalBytes)
        case damagedReason: return true
        default:
            let isNewer = row.deletedNanoseconds.map { status.modified_ns > $0 } ?? false
            return !(isNewer && row.bytes > 0 && row.bytes != status.size_bytes)
        }
    }

    /// Removes the file of a row that is deleted, or puts it aside if it is damaged.
    func clear(_ row: RecordingRecord, _ path: String, reason: String? = nil) {
        guard reason ?? row.deleteReason == Self.damagedReason else { return remove(row, path) }
        do {
            if try RecordingRemains.status(path) != nil { try RecordingRemains(path: path).putAside() }
            waiting.withLock { _ = $0.leftovers.removeValue(forKey: path) }
        } catch {
            let isNew = waiting.withLock { $0.leftovers.updateValue(row.name, forKey: path) == nil }
            if isNew { tellOfWaiting("A damaged recording", path, error) }
        }
    }

    /// Memory: the path is borrowed for the call.
    func remove(_ row: RecordingRecord, _ path: String) {
        if unsafe unlink(path) == 0 || errno == ENOENT {
            waiting.withLock { _ = $0.leftovers.removeValue(forKey: path) }
            return
        }
        let error = RecordingRemains.Obstacle(errnoValue: errno)
        let isNew = waiting.withLock { $0.leftovers.updateValue(row.name, forKey: path) == nil }
        if isNew { tellOfWaiting("A recording that is deleted", path, error) }
    }
}
