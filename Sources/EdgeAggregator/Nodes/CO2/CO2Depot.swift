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
    /// Is told that a file must be read again from its beginning: before it is cut, so that a crash leaves no doubt, and after
    /// it was written, for who has read it in between.
    private let begunAnew: @Sendable (NodeID, PushPath) throws -> Void

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
        if descriptor < 0, errno == ENOENT {
            guard offset == 0 else { return Outcome(verdict: .gap(storedBytes: 0), hasChanged: false) }
            do {
                // A file that stays empty takes an inode.
                try permit.take(0, path: name)
            } catch {
                throw Failure(code: .full, description: "\(error)")
            }
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
                try reserve(unit, Int64(body.count - skip))
                try write(body[skip...], descriptor, name, at: offset + Int64(skip))
                hasChanged = true
            }
        case .replaces(let keep, _):
            try reserve(unit, Int64(body.count) + stored)
            try putAside(descriptor, name, bytes: stored)
            try begunAnew(unit, path)
            guard ftruncate(descriptor, off_t(keep)) == 0 else { throw Self.failure("\(name) cannot be cut") }
            try write(body[...], descriptor, name, at: keep)
            try begunAnew(unit, path)
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
        do {
            try permit.take(bytes.count, path: name)
        } catch {
            throw Failure(code: .full, description: "\(error)")
        }
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

    /// Keeps what a file holds beside it, as `.readings-0000.tsv.replaced-1` and so on: of the last few times.
    ///
    /// Memory: the paths are borrowed for the calls.
    private func putAside(_ descriptor: Int32, _ name: String, bytes: Int64) throws {
        let folder = (name as NSString).deletingLastPathComponent
        let stem = "\(folder)/.\((name as NSString).lastPathComponent).replaced-"
        var number = 1
        while number <= Self.mostReplaced, unsafe access("\(stem)\(number)", F_OK) == 0 { number += 1 }
        if number > Self.mostReplaced {
            for older in 1..<Self.mostReplaced { unsafe rename("\(stem)\(older + 1)", "\(stem)\(older)") }
            number = Self.mostReplaced
        }
        let aside = unsafe open("\(stem)\(number)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard aside >= 0 else { throw Self.failure("\(stem)\(number) cannot be made") }
        defer { close(aside) }
        try write(try read(descriptor, name, offset: 0, count: bytes)[...], aside, "\(stem)\(number)", at: 0)
        guard fsync(aside) == 0 else { throw Self.failure("\(stem)\(number) cannot be synced") }
        try sync(folder)
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

    /// Reads a stretch of a unit's file; nil when it is not there.
    ///
    /// Memory: the path and the status are borrowed for the calls.
    func read(_ unit: NodeID, _ path: PushPath, from offset: Int64, most: Int) -> (bytes: [UInt8], size: Int64)? {
        let descriptor = unsafe open(self.path(unit, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = EdgeFileStatus()
        guard unsafe edge_fstat(descriptor, &status) == 0 else { return nil }
        let count = max(0, min(Int64(most), status.size_bytes - offset))
        guard let bytes = try? read(descriptor, path.text, offset: offset, count: count) else { return nil }
        return (bytes, status.size_bytes)
    }
}

/// What lies in a folder.
enum FolderFiles {
    /// Plain files below a folder, with paths relative to it, in order; links are not followed.
    ///
    /// Memory: the path and the status are borrowed for the call.
    static func all(below folder: String, depth: Int = 6) -> [(path: String, bytes: Int64)] {
        var found: [(path: String, bytes: Int64)] = []
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names.sorted() {
            var status = EdgeFileStatus()
            guard unsafe edge_lstat("\(folder)/\(name)", &status) == 0 else { continue }
            if status.isFile { found.append((name, status.size_bytes)) }
            if status.isFolder, depth > 0 {
                found += all(below: "\(folder)/\(name)", depth: depth - 1).map { ("\(name)/\($0.path)", $0.bytes) }
            }
        }
        return found
    }
}

extension EdgeFileStatus {
    var isFile: Bool { kind == CChar(UInt8(ascii: "f")) }
    var isFolder: Bool { kind == CChar(UInt8(ascii: "d")) }
}
