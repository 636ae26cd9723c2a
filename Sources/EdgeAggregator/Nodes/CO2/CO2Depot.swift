import CEdgeSystem
import FieldNodes
import Foundation
import Synchronization

/// The units' files, as they are on the units: `remote_data/<unit>/data/readings/readings-0000.tsv`.
///
/// A push is answered when its bytes are synced. Nothing looks through folders: the file that is pushed is all that counts,
/// so a push costs the same with one file and with ten thousand. All of this waits for the disk: call it on threads that may.
final class CO2Depot: Sendable {
    struct Failure: Error, CustomStringConvertible {
        enum Code: Sendable { case full, tooLarge, failed }
        let code: Code
        let description: String
    }

    let folder: String
    private let mostUnitBytes: Int64
    private let permit: DiskPermit
    /// Pushes to a unit's folder go one after the other.
    private let locks: [Lock]
    private let sizes = Mutex<[NodeID: Int64]>([:])
    /// The file of each unit whose folders are known to be synced.
    private let synced = Mutex<[NodeID: PushPath]>([:])
    /// Files that are being replaced. They are not read meanwhile, so nobody records a position in the old content for the new.
    private let replacing = Mutex<Set<File>>([])
    /// Records that a file must be read again from its beginning. Called before new content takes its place, so that a crash
    /// leaves no doubt.
    private let begunAnew: @Sendable (NodeID, PushPath) throws -> Void

    private struct File: Hashable {
        let unit: NodeID
        let path: PushPath
    }

    private final class Lock: Sendable {
        let mutex = Mutex(())
    }

    /// Earlier contents of one file that are kept.
    static let mostReplaced = 8

    init(
        folder: String, mostUnitBytes: Int64, permit: DiskPermit,
        begunAnew: @escaping @Sendable (NodeID, PushPath) throws -> Void
    ) {
        self.folder = folder
        self.mostUnitBytes = mostUnitBytes
        self.permit = permit
        self.begunAnew = begunAnew
        locks = (0..<64).map { _ in Lock() }
    }

    func path(_ unit: NodeID, _ path: PushPath) -> String { "\(folder)/\(unit.text)/\(path.text)" }

    struct Outcome: Sendable {
        let verdict: PushVerdict
        /// Whether the file has more bytes, or others, than before.
        let hasChanged: Bool
    }

    /// Takes bytes that a unit pushed at an offset; they are synced when this returns.
    func push(_ unit: NodeID, _ path: PushPath, offset: Int64, body: [UInt8]) throws -> Outcome {
        try locks[abs(unit.hashValue % locks.count)].mutex.withLock { _ in
            do {
                let outcome = try take(unit, path, offset: offset, body: body)
                if case .replaces = outcome.verdict { forgetSize(unit) }
                return outcome
            } catch {
                forgetSize(unit)
                throw error
            }
        }
    }

    /// What was put aside, cut or not written after all is counted in the folder, when it is needed next.
    private func forgetSize(_ unit: NodeID) { sizes.withLock { $0[unit] = nil } }

    /// Memory: the path and the status are borrowed for the calls. Both arrays are borrowed within the closures; the verdict holds
    /// numbers only.
    private func take(_ unit: NodeID, _ path: PushPath, offset: Int64, body: [UInt8]) throws -> Outcome {
        let name = self.path(unit, path)
        var descriptor = unsafe open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        var isReserved = false
        if descriptor < 0, errno == ENOENT {
            guard offset == 0 else { return Outcome(verdict: .gap(storedBytes: 0), hasChanged: false) }
            // Before the file exists: a rejected push leaves no empty file, which would take an inode.
            try reserve(unit, Int64(body.count))
            try takePermit(Int64(body.count), name)
            isReserved = true
            try makeFolders(unit, path)
            descriptor = unsafe open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
        }
        guard descriptor >= 0 else { throw Self.failure("\(name) cannot be opened") }
        defer { close(descriptor) }
        var status = EdgeFileStatus()
        guard unsafe edge_fstat(descriptor, &status) == 0 else { throw Self.failure("\(name) cannot be read") }
        let stored = status.size_bytes
        let overlap = try read(descriptor, name, offset: offset, count: max(0, min(Int64(body.count), stored - offset)))
        let verdict = unsafe body.withUnsafeBytes { body in
            unsafe overlap.withUnsafeBytes {
                unsafe PushVerdict(offset: offset, body: body, storedBytes: stored, overlap: $0)
            }
        }
        var hasChanged = false
        switch verdict {
        case .gap: break
        case .follows(let skip, _):
            if skip < body.count {
                if !isReserved {
                    try reserve(unit, Int64(body.count - skip))
                    try takePermit(Int64(body.count - skip), name)
                }
                try write(body[skip...], descriptor, name, at: offset + Int64(skip))
                hasChanged = true
            }
        case .replaces(let keep, _):
            try reserve(unit, Int64(body.count) + stored)
            try replace(descriptor, unit, path, stored: stored, keep: keep, body: body)
            hasChanged = true
        }
        // Also where nothing was written: what is there may be from before a crash, and on no disk yet.
        guard fsync(descriptor) == 0 else { throw Self.failure("\(name) cannot be synced") }
        // The file may have been made by a push that failed, or before a crash.
        if synced.withLock({ $0[unit] }) != path {
            try syncFolders(unit, path)
            synced.withLock { $0[unit] = path }
        }
        return Outcome(verdict: verdict, hasChanged: hasChanged)
    }

    /// Memory: the text of the error is the system's and is copied at once.
    private static func failure(_ text: String) -> Failure {
        Failure(
            code: errno == ENOSPC || errno == EDQUOT ? .full : .failed,
            description: unsafe "\(text): \(String(cString: strerror(errno)))")
    }

    // MARK: - Bytes

    /// Memory: `buffer` is the new array's storage and used within the closure only; `filled` counts the bytes that `pread` has
    /// written there.
    private func read(_ descriptor: Int32, _ name: String, offset: Int64, count: Int64) throws -> [UInt8] {
        guard count > 0 else { return [] }
        return try unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, filled in
            filled = 0
            while filled < Int(count) {
                let got = unsafe pread(
                    descriptor, buffer.baseAddress.map { unsafe $0 + filled }, Int(count) - filled,
                    off_t(offset) + off_t(filled))
                if got < 0, errno == EINTR { continue }
                guard got > 0 else { throw Self.failure("\(name) cannot be read") }
                filled += got
            }
        }
    }

    /// Memory: the bytes are the caller's and borrowed for each call.
    private func write(_ bytes: ArraySlice<UInt8>, _ descriptor: Int32, _ name: String, at offset: Int64) throws {
        var rest = bytes
        var place = off_t(offset)
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, place) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure("\(name) cannot be written") }
            rest = rest.dropFirst(count)
            place += off_t(count)
        }
    }

    /// Asks for room before anything is changed.
    private func takePermit(_ bytes: Int64, _ name: String) throws {
        do {
            try permit.take(Int(bytes), path: name)
        } catch {
            throw Failure(code: .full, description: "\(error)")
        }
    }

    /// Copies the beginning of a file, a part at a time, since a file may be larger than the memory.
    private func copy(_ source: Int32, _ name: String, bytes: Int64, to target: Int32, _ targetName: String) throws {
        for offset in stride(from: 0, to: bytes, by: 262_144) {
            let part = try read(source, name, offset: offset, count: min(262_144, bytes - offset))
            try write(part[...], target, targetName, at: offset)
        }
    }

    // MARK: - Replacing

    /// Puts new content (`keep` stored bytes and the body) in the place of a file, and keeps the old content beside it, as
    /// `.readings-0000.tsv.replaced-1` and so on: of the last few times.
    ///
    /// Both are written and synced under temporary names first. So a rejection or an error leaves everything as it was, and
    /// after a kill the file holds either the old content or the new one. The temporary names are always the same: what a
    /// killed run leaves is overwritten by the next push.
    ///
    /// Memory: the paths are borrowed for the calls.
    private func replace(
        _ descriptor: Int32, _ unit: NodeID, _ path: PushPath, stored: Int64, keep: Int64, body: [UInt8]
    ) throws {
        let name = self.path(unit, path)
        let folder = (name as NSString).deletingLastPathComponent
        let stem = "\(folder)/.\(path.name)"
        let old = "\(stem).replacing-old"
        let new = "\(stem).replacing-new"
        try takePermit(stored + keep + Int64(body.count), name)
        defer {
            unsafe unlink(old)
            unsafe unlink(new)
        }
        try writeTemporary(old) { try copy(descriptor, name, bytes: stored, to: $0, old) }
        try writeTemporary(new) {
            try copy(descriptor, name, bytes: keep, to: $0, new)
            try write(body[...], $0, new, at: keep)
        }

        var kept = Self.keptNumbers(stem)
        // A run that was killed may have kept this content already. Twice it would take the room of an older one.
        let isKept = kept.last.map { FileManager.default.contentsEqual(atPath: "\(stem).replaced-\($0)", andPath: old) }
        if isKept != true, kept.last ?? 0 > Self.mostReplaced {
            try renumber(stem)
            kept = Self.keptNumbers(stem)
        }
        let aside = isKept == true ? nil : "\(stem).replaced-\((kept.last ?? 0) + 1)"

        let file = File(unit: unit, path: path)
        _ = replacing.withLock { $0.insert(file) }
        defer { _ = replacing.withLock { $0.remove(file) } }
        try begunAnew(unit, path)
        if let aside, unsafe edge_rename_new(old, aside) != 0 { throw Self.failure("\(aside) cannot be made") }
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

    /// Memory: the path is borrowed for the call.
    private func writeTemporary(_ name: String, _ write: (Int32) throws -> Void) throws {
        let descriptor = unsafe open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
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

    // MARK: - Folders

    private func parents(_ unit: NodeID, _ path: PushPath) -> [String] {
        var all = [folder, "\(folder)/\(unit.text)"]
        for part in path.folder.split(separator: "/") { all.append("\(all[all.count - 1])/\(part)") }
        return all
    }

    /// Memory: the path is borrowed for the call.
    private func makeFolders(_ unit: NodeID, _ path: PushPath) throws {
        // All of them may have been removed while the daemon runs.
        _ = try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for parent in parents(unit, path) where unsafe mkdir(parent, 0o755) != 0 && errno != EEXIST {
            throw Self.failure("\(parent) cannot be made")
        }
    }

    private func syncFolders(_ unit: NodeID, _ path: PushPath) throws {
        for parent in parents(unit, path).reversed() { try sync(parent) }
    }

    /// Memory: the path is borrowed for the call.
    private func sync(_ folder: String) throws {
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("\(folder) cannot be opened") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw Self.failure("\(folder) cannot be synced") }
    }

    /// Counts bytes that a unit is about to keep; its folder is looked through once, when it is first heard of.
    private func reserve(_ unit: NodeID, _ bytes: Int64) throws {
        let known = sizes.withLock { $0[unit] }
        let before = known ?? FolderFiles.all(below: "\(folder)/\(unit.text)").reduce(0) { $0 + $1.bytes }
        guard before + bytes <= mostUnitBytes else {
            throw Failure(
                code: .tooLarge,
                description:
                    "\(unit.text) keeps \(before) bytes here and may keep \(mostUnitBytes) (co2_unit_max_bytes)")
        }
        sizes.withLock { $0[unit] = before + bytes }
    }

    /// Reads a part of a unit's file. Nil when there is no such file, or when it is being replaced: its reader is told when that
    /// has ended.
    ///
    /// Memory: the path and the status are borrowed for the calls.
    func read(
        _ unit: NodeID, _ path: PushPath, from offset: Int64, most: Int
    ) throws -> (bytes: [UInt8], size: Int64)? {
        guard !replacing.withLock({ $0.contains(File(unit: unit, path: path)) }) else { return nil }
        let name = self.path(unit, path)
        let descriptor = unsafe open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw Self.failure("\(name) cannot be opened")
        }
        defer { close(descriptor) }
        var status = EdgeFileStatus()
        guard unsafe edge_fstat(descriptor, &status) == 0 else { throw Self.failure("\(name) cannot be read") }
        guard status.isFile else { return nil }
        let count = max(0, min(Int64(most), status.size_bytes - offset))
        return (try read(descriptor, name, offset: offset, count: count), status.size_bytes)
    }
}

extension EdgeFileStatus {
    var isFile: Bool { kind == CChar(UInt8(ascii: "f")) }
    var isFolder: Bool { kind == CChar(UInt8(ascii: "d")) }
}
