import CEdgeSystem
import FieldNodes
import Foundation
import Synchronization

/// Files that a unit has begun anew, and their earlier contents.
extension CO2Depot {
    /// Puts new content (`keep` stored bytes and the body) in the place of a file, and keeps the old content beside it, as
    /// `.readings-0000.tsv.replaced-1` and so on: of the last few times.
    ///
    /// The new content is written and synced under a temporary name, which is always the same: what a killed run leaves is
    /// overwritten by the next push. The old content only gets a second name: nothing of it is copied, and the bytes that were
    /// acknowledged stay where they are. Then the new content takes the first name. So a rejection or an error leaves everything
    /// as it was, and after a kill the file holds either the old content or the new one.
    ///
    /// Memory: the paths are borrowed for the calls.
    func replace(
        _ descriptor: Int32, _ unit: NodeID, _ path: PushPath, stored: Int64, keep: Int64, body: [UInt8]
    ) throws {
        let name = self.path(unit, path)
        let folder = (name as NSString).deletingLastPathComponent
        let stem = "\(folder)/.\(path.name)"
        let new = "\(stem).replacing-new"
        try takePermit(keep + Int64(body.count), name)
        // `replacing-old` is what earlier versions left.
        defer { for path in [new, "\(stem).replacing-old"] { unsafe unlink(path) } }
        try writeTemporary(new) {
            try copy(descriptor, name, bytes: keep, to: $0, new)
            try write(body[...], $0, new, at: keep)
        }
        guard fsync(descriptor) == 0 else { throw Self.failure("\(name) cannot be synced") }

        var kept = Self.keptNumbers(stem)
        // A run that was killed may have kept this content already. Twice it would take the room of an older one.
        let isKept = kept.last.map { Self.isSame("\(stem).replaced-\($0)", name) }
        if isKept != true, kept.last ?? 0 > Self.mostReplaced {
            try renumber(stem)
            kept = Self.keptNumbers(stem)
        }
        let aside = isKept == true ? nil : "\(stem).replaced-\((kept.last ?? 0) + 1)"

        let file = File(unit: unit, path: path)
        _ = replacing.withLock { $0.insert(file) }
        defer { _ = replacing.withLock { $0.remove(file) } }
        try begunAnew(unit, path)
        if let aside { try putAside(descriptor, name, bytes: stored, as: aside) }
        // Should the folder not be synced below, the next push syncs it before it is answered.
        synced.withLock { $0[unit] = nil }
        do {
            try sync(folder)
            guard unsafe rename(new, name) == 0 else { throw Self.failure("\(name) cannot be replaced") }
        } catch {
            if let aside { unsafe unlink(aside) }
            throw error
        }
        try sync(folder)
        // Only now is an older content removed. If that fails, the next replacement does it.
        try? renumber(stem)
    }

    /// Whether two names are of one file, or of two with the same content.
    ///
    /// Memory: the paths and the status are borrowed for the calls.
    private static func isSame(_ first: String, _ second: String) -> Bool {
        let files = [first, second].map { path in
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            return attributes?[.systemFileNumber] as? UInt64
        }
        if let number = files[0], number == files[1] { return true }
        return FileManager.default.contentsEqual(atPath: first, andPath: second)
    }

    /// Gives a file a second name; where the file system knows no such names, copies it.
    ///
    /// Memory: the paths are borrowed for the calls.
    private func putAside(_ descriptor: Int32, _ name: String, bytes: Int64, as aside: String) throws {
        if unsafe link(name, aside) == 0 { return }
        guard [EPERM, EOPNOTSUPP, ENOSYS, EMLINK].contains(errno) else { throw Self.failure("\(aside) cannot be made") }
        try takePermit(bytes, name)
        let old = "\(aside).copy"
        defer { unsafe unlink(old) }
        try writeTemporary(old) { try copy(descriptor, name, bytes: bytes, to: $0, old) }
        guard unsafe edge_rename_new(old, aside) == 0 else { throw Self.failure("\(aside) cannot be made") }
    }

    /// Memory: the path is borrowed for the call.
    private func writeTemporary(_ name: String, _ write: (Int32) throws -> Void) throws {
        let descriptor = unsafe open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard descriptor >= 0 else { throw Self.failure("\(name) cannot be made") }
        defer { close(descriptor) }
        try write(descriptor)
        guard fsync(descriptor) == 0 else { throw Self.failure("\(name) cannot be synced") }
    }

    /// The numbers of the earlier contents, the oldest first: one more than may stay while a file is being replaced.
    ///
    /// Memory: the paths are borrowed for the calls.
    private static func keptNumbers(_ stem: String) -> [Int] {
        (1...(mostReplaced + 1)).filter { unsafe access("\(stem).replaced-\($0)", F_OK) == 0 }
    }

    /// Removes the oldest content if there are too many, and numbers the others from 1 on. No rename overwrites anything.
    ///
    /// Memory: the paths are borrowed for the calls.
    private func renumber(_ stem: String) throws {
        var kept = Self.keptNumbers(stem)
        if kept.count > Self.mostReplaced {
            let oldest = "\(stem).replaced-\(kept.removeFirst())"
            guard unsafe unlink(oldest) == 0 else { throw Self.failure("\(oldest) cannot be removed") }
        }
        for (place, number) in kept.enumerated() where number != place + 1 {
            guard unsafe edge_rename_new("\(stem).replaced-\(number)", "\(stem).replaced-\(place + 1)") == 0 else {
                throw Self.failure("\(stem).replaced-\(number) cannot be renamed")
            }
        }
    }
}
