import CEdgeSystem
import Foundation
import TextParts

/// The user to whom the daemon's files belong. What root makes for the daemon must not stay root's, or the daemon cannot use it.
struct FileOwner {
    private let user: uid_t
    private let group: gid_t

    /// The owner of a folder, or of the nearest one above that is there.
    init(of folder: String) {
        var path = folder
        while !FileManager.default.fileExists(atPath: path), path != "/", !path.isEmpty {
            path = (path as NSString).deletingLastPathComponent
        }
        let facts = (try? FileManager.default.attributesOfItem(atPath: path.isEmpty ? "." : path)) ?? [:]
        user = (facts[.ownerAccountID] as? NSNumber)?.uint32Value ?? 0
        group = (facts[.groupOwnerAccountID] as? NSNumber)?.uint32Value ?? 0
    }

    /// Gives it a file. Only root can give, and only root needs to.
    ///
    /// Memory: the path is borrowed for the call.
    func take(_ path: String) throws {
        guard geteuid() == 0, user != 0 else { return }
        guard unsafe lchown(path, user, group) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    }

    /// Gives it a file and the folders on the way to it.
    func take(_ name: String, below folder: String) throws {
        var path = folder
        for piece in name.parts(at: "/") {
            path += "/\(piece)"
            try take(path)
        }
    }

    /// Gives it a database and the files that SQLite keeps beside it.
    ///
    /// Memory: the paths are borrowed for the calls.
    func take(databaseAt path: String) throws {
        for suffix in ["", "-wal", "-shm"] where unsafe access(path + suffix, F_OK) == 0 { try take(path + suffix) }
    }

    /// Goes on as that user, where root runs a command that uses nothing but the daemon's files: what it makes is the daemon's.
    ///
    /// Of all threads, and for good.
    func become() throws {
        guard geteuid() == 0, user != 0 else { return }
        guard setegid(group) == 0, seteuid(user) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    }

    /// Gives it a file or folder that root has made since then (nanoseconds since 1970).
    ///
    /// Memory: the path is borrowed for the call.
    func takeNew(_ path: String, since: Int64) throws {
        guard geteuid() == 0, user != 0 else { return }
        guard unsafe edge_give_new(path, user, group, since) == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
    }
}
