import CEdgeSystem
import FieldNodes
import Foundation
import Synchronization
import TextParts

/// The units' files, as they are on the units: `remote_data/<unit>/data/readings/readings-0000.tsv`.
///
/// A push is answered when its bytes are synced. Nothing looks through folders: the file that is pushed is all that counts,
/// so a push costs the same with one file and with ten thousand. All of this waits for the disk: call it on threads that may.
final class CO2Depot: Sendable {
    struct Failure: Error, CustomStringConvertible {
        enum Code: Sendable {
            case full, tooLarge, failed
            /// Later it may succeed.
            case tooOften
        }
        let code: Code
        let description: String
    }

    let folder: String
    let permit: DiskPermit
    /// Pushes to a unit's folder go one after the other.
    let locks: [Lock]
    let accounts: Mutex<CO2Accounts>
    /// All units that the address of a unit has added; none for a unit that the operator has named.
    let fellows: @Sendable (NodeID) -> [NodeID]
    /// Units that have no limit by address; nil until it is needed first.
    let unitsBeforeLimits = Mutex<Set<NodeID>?>(nil)
    /// Takes what the operator must know.
    let report: @Sendable (String) -> Void
    /// The file of each unit whose folders are known to be synced.
    let synced = Mutex<[NodeID: PushPath]>([:])
    /// Files that are being replaced. They are not read meanwhile, so nobody records a position in the old content for the new.
    let replacing = Mutex<Set<File>>([])
    /// Records that a file must be read again from its beginning. Called before new content takes its place, so that a crash
    /// leaves no doubt.
    let begunAnew: @Sendable (NodeID, PushPath) throws -> Void

    struct File: Hashable {
        let unit: NodeID
        let path: PushPath
    }

    final class Lock: Sendable {
        let mutex = Mutex(())
    }

    /// Earlier contents of one file that are kept.
    static let mostReplaced = 8

    init(
        folder: String, limits: CO2Accounts.Limits, permit: DiskPermit,
        fellows: @escaping @Sendable (NodeID) -> [NodeID] = { _ in [] },
        report: @escaping @Sendable (String) -> Void = { _ in },
        begunAnew: @escaping @Sendable (NodeID, PushPath) throws -> Void
    ) {
        self.folder = folder
        accounts = Mutex(CO2Accounts(limits: limits))
        self.fellows = fellows
        self.report = report
        self.permit = permit
        self.begunAnew = begunAnew
        locks = (0..<64).map { _ in Lock() }
    }

    /// The place of a unit's lock.
    func lockIndex(_ unit: NodeID) -> Int { Int(unit.hashValue.magnitude % UInt(locks.count)) }

    func path(_ unit: NodeID, _ path: PushPath) -> String { "\(folder)/\(unit.text)/\(path.text)" }

    struct Outcome: Sendable {
        let verdict: PushVerdict
        /// Whether the file has more bytes, or others, than before.
        let hasChanged: Bool
    }

    /// Takes bytes that a unit pushed at an offset; they are synced when this returns.
    func push(_ unit: NodeID, _ path: PushPath, offset: Int64, body: [UInt8]) throws -> Outcome {
        try locks[lockIndex(unit)].mutex.withLock { _ in
            do {
                let outcome = try take(unit, path, offset: offset, body: body)
                if case .replaces = outcome.verdict { forgetUsage(unit) }
                return outcome
            } catch {
                // What is rejected for a limit has changed nothing.
                if ![.tooLarge, .tooOften].contains((error as? Failure)?.code) { forgetUsage(unit) }
                throw error
            }
        }
    }

    /// What was put aside, cut or not written after all is counted in the folder, when it is needed next.
    func forgetUsage(_ unit: NodeID) { accounts.withLock { $0.forget(unit) } }

    /// Memory: the path and the status are borrowed for the calls. Both arrays are borrowed within the closures; the verdict holds
    /// numbers only.
    private func take(_ unit: NodeID, _ path: PushPath, offset: Int64, body: [UInt8]) throws -> Outcome {
        let name = self.path(unit, path)
        var descriptor = unsafe open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        var isReserved = false
        if descriptor < 0, errno == ENOENT {
            guard offset == 0 else { return Outcome(verdict: .gap(storedBytes: 0), hasChanged: false) }
            // There is nothing to keep, and an empty file would take an inode.
            guard !body.isEmpty else {
                return Outcome(verdict: .follows(skip: 0, acknowledged: 0), hasChanged: false)
            }
            // Before the file exists: a rejected push leaves no empty file either.
            try reserve(unit, path, bytes: Int64(body.count), entries: 1 + missingFolders(unit, path))
            try takePermit(Int64(body.count), name)
            isReserved = true
            try makeFolders(unit, path)
            descriptor = unsafe open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
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
                    try reserve(unit, path, bytes: Int64(body.count - skip), entries: 0)
                    try takePermit(Int64(body.count - skip), name)
                }
                try write(body[skip...], descriptor, name, at: offset + Int64(skip))
                hasChanged = true
            }
        case .replaces(let keep, _):
            guard accounts.withLock({ $0.takeCopy(unit, bytes: keep, nowNanoseconds: steadyNanoseconds()) }) else {
                throw Failure(
                    code: .tooOften,
                    description: "\(unit.text) has changed the middle of its files too often; its push is taken later")
            }
            try reserve(unit, path, bytes: Int64(body.count) + stored, entries: 1)
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
    static func failure(_ text: String) -> Failure {
        Failure(
            code: errno == ENOSPC || errno == EDQUOT ? .full : .failed,
            description: unsafe "\(text): \(String(cString: strerror(errno)))")
    }

    // MARK: - Bytes

    /// Memory: `buffer` is the new array's storage and used within the closure only; `filled` counts the bytes that `pread` has
    /// written there.
    func read(_ descriptor: Int32, _ name: String, offset: Int64, count: Int64) throws -> [UInt8] {
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
    func write(_ bytes: ArraySlice<UInt8>, _ descriptor: Int32, _ name: String, at offset: Int64) throws {
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
    func takePermit(_ bytes: Int64, _ name: String) throws {
        do {
            try permit.take(Int(bytes), path: name)
        } catch {
            throw Failure(code: .full, description: "\(error)")
        }
    }

    /// Copies the beginning of a file, a part at a time, since a file may be larger than the memory.
    func copy(_ source: Int32, _ name: String, bytes: Int64, to target: Int32, _ targetName: String) throws {
        for offset in stride(from: 0, to: bytes, by: 262_144) {
            let part = try read(source, name, offset: offset, count: min(262_144, bytes - offset))
            try write(part[...], target, targetName, at: offset)
        }
    }

    private let start = ContinuousClock.now

    private func steadyNanoseconds() -> Int64 {
        let parts = (ContinuousClock.now - start).components
        return parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
    }

    // MARK: - Folders

    func parents(_ unit: NodeID, _ path: PushPath) -> [String] {
        var all = [folder, "\(folder)/\(unit.text)"]
        for part in path.folder.parts(at: "/") { all.append("\(all[all.count - 1])/\(part)") }
        return all
    }

    /// Memory: the path is borrowed for the call.
    private func makeFolders(_ unit: NodeID, _ path: PushPath) throws {
        // All of them may have been removed while the daemon runs.
        _ = try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for parent in parents(unit, path) where unsafe mkdir(parent, 0o750) != 0 && errno != EEXIST {
            throw Self.failure("\(parent) cannot be made")
        }
    }

    private func syncFolders(_ unit: NodeID, _ path: PushPath) throws {
        for parent in parents(unit, path).reversed() { try sync(parent) }
    }

    /// Memory: the path is borrowed for the call.
    func sync(_ folder: String) throws {
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("\(folder) cannot be opened") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw Self.failure("\(folder) cannot be synced") }
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
