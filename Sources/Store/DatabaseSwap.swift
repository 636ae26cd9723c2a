import Foundation

/// Puts another database in the place of one, whatever moment the power is cut at: the new one lies complete beside the old one
/// before that is moved, and whoever starts next brings to its end what was begun.
///
/// Memory: the paths are borrowed for the calls of `rename`.
public struct DatabaseSwap: Sendable {
    /// Why: an operator's restore, or an older program's way back.
    public enum Reason: String, CaseIterable, Sendable {
        case restore, goBack

        fileprivate var coming: String { self == .restore ? "restoring" : "going-back" }
        fileprivate var aside: String { self == .restore ? "before-restore" : "newer" }
    }

    let path: String
    let reason: Reason

    public init(path: String, reason: Reason) {
        self.path = path
        self.reason = reason
    }

    private var coming: String { "\(path).\(reason.coming)" }

    /// Whether a complete copy waits to take its place.
    var isBegun: Bool { FileManager.default.fileExists(atPath: coming) }

    /// Copies `source` beside the database, which stays as it is.
    ///
    /// - Throws: ``StoreError``; nothing has changed then.
    ///
    /// - Parameter prepare: what is done with the copy before it counts.
    public func begin(from source: String, prepare: (String) throws -> Void = { _ in }) throws(StoreError) {
        _ = try DatabaseBackup.copy(from: source, to: coming, prepare: prepare)
    }

    /// Lets a copy that lies on the same disk be the one, without another copy of it.
    func begin(with copy: String) throws {
        guard unsafe rename(copy, coming) == 0 else { throw Self.failure }
    }

    /// Moves the old database aside, with its journal, and the copy to its place.
    ///
    /// - Returns: where the old one is now, if there was one.
    public func finish() throws -> String? {
        let aside = try putAside()
        guard unsafe rename(coming, path) == 0 else { throw Self.failure }
        try DatabaseBackup.sync((path as NSString).deletingLastPathComponent)
        return aside
    }

    /// - Returns: where the old one is now, if there was one.
    func putAside() throws -> String? {
        let files = FileManager.default
        var aside: String?
        var number = 1
        while files.fileExists(atPath: "\(path).\(reason.aside)-\(number)") { number += 1 }
        let name = "\(path).\(reason.aside)-\(number)"
        // The journal first, under its database's new name: cut in between, the next round moves the rest to the same name.
        for suffix in ["-wal", "-shm", ""] where files.fileExists(atPath: path + suffix) {
            guard unsafe rename(path + suffix, name + suffix) == 0 else { throw Self.failure }
            if suffix.isEmpty { aside = name }
        }
        try DatabaseBackup.sync((path as NSString).deletingLastPathComponent)
        return aside
    }

    private static var failure: POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
}
