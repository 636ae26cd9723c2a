import CEdgeSystem
import Foundation
import Logging
import Synchronization
import TextParts

/// One file system: what is free on it, and which uses there is room for.
///
/// Writers are counted between two looks at the disk, so that many of them together do not use more than there is.
final class DiskVolume: Sendable {
    struct Space: Sendable {
        var freeBytes: Int64 = 0
        var totalBytes: Int64 = 0
        /// Nil where the file system does not limit them.
        var freeFiles: Int64?
    }

    private struct State {
        var space = Space()
        /// Free bytes, less what was granted since the last look.
        var estimatedFreeBytes: Int64 = 0
        /// By ``DiskGuard/Use``.
        var isShort = DiskGuard.Use.allCases.map { _ in false }
        var checked: ContinuousClock.Instant?
        var isUnreadable = false
    }

    /// Free inodes that each use leaves.
    private static let reserveFiles: [Int64] = [256, 64, 16]
    private static let checkInterval = Duration.seconds(1)
    private static let names = ["sound", "node data", "the database"]

    let device: UInt64
    private let path: String
    private let reserveBytes: Int64
    private let logger: Logger
    private let state = Mutex(State())

    /// Memory: the path and the status are borrowed for the call.
    init(path: String, reserveBytes: Int64, logger: Logger) {
        // What does not exist yet will be on the disk of its nearest existing parent.
        var existing = path
        var status = EdgeFileStatus()
        while unsafe edge_stat(existing, &status) != 0, existing.holds("/"), existing != "/" {
            existing = (existing as NSString).deletingLastPathComponent
            if existing.isEmpty { existing = "/" }
        }
        device = status.device
        self.path = existing
        self.reserveBytes = reserveBytes
        self.logger = logger
    }

    var space: Space {
        state.withLock { state in
            check(&state)
            return state.space
        }
    }

    func hasRoom(for use: DiskGuard.Use) -> Bool {
        state.withLock { state in
            check(&state)
            return !state.isShort[use.rawValue]
        }
    }

    /// Counts bytes that are about to be written.
    ///
    /// - Parameter isCopy: Whether they are a large file that can wait. Where it has no room, its use does not stop for others: what is
    ///   left may do for them. A tenth more than the reserve has to be left.
    /// - Returns: False if fewer than the use's reserve would be left, or if there is no room for it since before.
    func take(_ bytes: Int64, for use: DiskGuard.Use, isCopy: Bool = false) -> Bool {
        state.withLock { state in
            check(&state)
            if isCopy {
                look(&state)
                guard state.estimatedFreeBytes - bytes >= Self.enough(reserve(use)) else { return false }
            }
            // The estimate is low where what was granted has been removed again: look before refusing.
            if !state.isShort[use.rawValue], state.estimatedFreeBytes - bytes < reserve(use) { look(&state) }
            guard !state.isShort[use.rawValue] else { return false }
            guard state.estimatedFreeBytes - bytes >= reserve(use) else {
                setShort(&state, use)
                return false
            }
            state.estimatedFreeBytes -= bytes
            return true
        }
    }

    /// The kernel refused a write for want of room, whatever the figures say.
    func noteFull(for use: DiskGuard.Use) {
        state.withLock { state in
            state.checked = .now
            if !state.isShort[use.rawValue] { setShort(&state, use) }
        }
    }

    /// What has to be removed before there is room for a use again; 0 while there is.
    func missing(for use: DiskGuard.Use) -> (bytes: Int64, files: Int64) {
        state.withLock { state in
            look(&state)
            guard state.isShort[use.rawValue] || state.space.freeBytes < reserve(use) else { return (0, 0) }
            let files = state.space.freeFiles.map { Self.enough(Self.reserveFiles[use.rawValue]) - $0 } ?? 0
            return (max(0, Self.enough(reserve(use)) - state.space.freeBytes), max(0, files))
        }
    }

    private func reserve(_ use: DiskGuard.Use) -> Int64 {
        switch use {
        case .sound: reserveBytes
        case .nodeData: min(reserveBytes / 8, 64 << 20)
        case .database: min(reserveBytes / 16, 16 << 20)
        }
    }

    /// A use resumes at a tenth more than its reserve, so that it does not stop again at once.
    private static func enough(_ reserve: Int64) -> Int64 { reserve + reserve / 10 }

    private func check(_ state: inout State) {
        if let checked = state.checked, ContinuousClock.now - checked < Self.checkInterval { return }
        look(&state)
    }

    /// Memory: the path and the status are borrowed for the call; the text of the error is the system's and is copied at once.
    private func look(_ state: inout State) {
        state.checked = .now
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else {
            // A write then finds out by itself. The former figures are all there is.
            if !state.isUnreadable {
                logger.error(
                    "The free space of a disk cannot be read",
                    metadata: ["path": "\(path)", "error": "\(unsafe String(cString: strerror(errno)))"])
            }
            state.isUnreadable = true
            return
        }
        state.isUnreadable = false
        let block = Int64(status.f_frsize)
        state.space = Space(
            freeBytes: Int64(status.f_bavail) * block, totalBytes: Int64(status.f_blocks) * block,
            freeFiles: status.f_files > 0 ? Int64(clamping: status.f_favail) : nil)
        state.estimatedFreeBytes = state.space.freeBytes
        for use in DiskGuard.Use.allCases {
            let files = state.space.freeFiles ?? .max
            let leastFiles = Self.reserveFiles[use.rawValue]
            if state.isShort[use.rawValue] {
                guard state.space.freeBytes >= max(1, Self.enough(reserve(use))), files >= Self.enough(leastFiles)
                else { continue }
                state.isShort[use.rawValue] = false
                logger.notice(
                    "There is room on the disk again for \(Self.names[use.rawValue])", metadata: describe(state))
            } else if state.space.freeBytes < reserve(use) || files < leastFiles {
                setShort(&state, use)
            }
        }
    }

    private func setShort(_ state: inout State, _ use: DiskGuard.Use) {
        state.isShort[use.rawValue] = true
        let what = use == .sound ? "sound is not kept" : "\(Self.names[use.rawValue]) is not written"
        logger.error(
            "The disk is nearly full: \(what) until there is room again",
            metadata: describe(state).merging(["reserve_bytes": "\(reserve(use))"]) { $1 })
    }

    private func describe(_ state: State) -> Logger.Metadata {
        [
            "path": "\(path)", "free_bytes": "\(state.space.freeBytes)",
            "free_inodes": "\(state.space.freeFiles.map(String.init) ?? "unlimited")",
        ]
    }
}
