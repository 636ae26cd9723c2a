import Foundation

/// Puts another database in the place of one, whatever moment the power is cut at: the new one lies complete beside the old one
/// before that is moved, and whoever starts next brings to its end what was begun.
///
/// Memory: the paths are borrowed for the calls of `rename`.
public struct DatabaseSwap: Sendable {
    /// Why a database is replaced.
    public enum Reason: String, CaseIterable, Sendable {
        /// An operator restores a backup.
        case restore
        /// An older program uses the copy from before a newer one.
        case goBack
        /// The file was too short and was rebuilt from its write-ahead log.
        case rebuild
        /// The database is damaged, and an empty one takes its place.
        case beginAnew

        fileprivate var coming: String {
            switch self {
            case .restore: "restoring"
            case .goBack: "going-back"
            case .rebuild: "rebuilt"
            case .beginAnew: "beginning"
            }
        }

        fileprivate var aside: String {
            switch self {
            case .restore: "before-restore"
            case .goBack: "newer"
            case .rebuild, .beginAnew: "damaged"
            }
        }
    }

    let path: String
    let reason: Reason

    /// What SQLite has beside a database. They belong to it: under another name, or without it, they are of no use.
    static let companions = ["-wal", "-journal", "-shm"]

    public init(path: String, reason: Reason) {
        self.path = path
        self.reason = reason
    }

    private var coming: String { "\(path).\(reason.coming)" }

    /// Whether a complete copy waits to take its place.
    var isBegun: Bool { FileManager.default.fileExists(atPath: coming) }

    /// Finishes what was begun before the power was cut.
    ///
    /// - Returns: What an operator should know; nothing if nothing was begun.
    static func finishAll(_ path: String) throws -> [String] {
        try Reason.allCases.compactMap { reason in
            let swap = DatabaseSwap(path: path, reason: reason)
            guard swap.isBegun else { return nil }
            _ = try swap.finish()
            return "\(path): what was to take its place before the power went has taken it"
        }
    }

    /// Moves a damaged database aside, with its journals, and puts an empty file in its place.
    ///
    /// - Returns: Where the database is now.
    static func beginAnew(_ path: String) throws -> String {
        let swap = DatabaseSwap(path: path, reason: .beginAnew)
        swap.beginEmpty()
        return try swap.finish() ?? path
    }

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
        guard unsafe rename(copy, coming) == 0 else { throw Self.failure(coming) }
    }

    /// Lets an empty file, which is an empty database, be the one. Where no file can be made, ``finish()`` still moves the old database
    /// aside, and only a power cut in between would separate it from its journal.
    func beginEmpty() {
        guard FileManager.default.createFile(atPath: coming, contents: nil) else { return }
        try? DatabaseBackup.sync((path as NSString).deletingLastPathComponent)
    }

    /// Moves the old database aside, with its journal, and the copy to its place.
    ///
    /// - Returns: where the old one is now, if there was one.
    public func finish() throws -> String? {
        let aside = try putAside()
        if isBegun {
            guard unsafe rename(coming, path) == 0 else { throw Self.failure(path) }
        }
        try DatabaseBackup.sync((path as NSString).deletingLastPathComponent)
        return aside
    }

    /// - Returns: where the old one is now, if there was one, or a journal of it.
    private func putAside() throws -> String? {
        let name = freeName
        var aside: String?
        // The journal first, under its database's new name: cut in between, the next round moves the rest to the same name.
        for suffix in Self.companions + [""] where Self.exists(path + suffix) {
            guard unsafe rename(path + suffix, name + suffix) == 0 else { throw Self.failure(name + suffix) }
            aside = name
        }
        // The name stays taken, and the journal has a database that it can be found by.
        if aside != nil, !Self.exists(name) { _ = FileManager.default.createFile(atPath: name, contents: nil) }
        try DatabaseBackup.sync((path as NSString).deletingLastPathComponent)
        return aside
    }

    /// The first name that nothing has to be overwritten for. A journal that was moved there before a cut is no obstacle, as long as
    /// no other one has to go there.
    private var freeName: String {
        var number = 1
        while true {
            let name = "\(path).\(reason.aside)-\(number)"
            let isTaken =
                Self.exists(name)
                || Self.companions.contains { Self.exists(name + $0) && Self.exists(path + $0) }
            if !isTaken { return name }
            number += 1
        }
    }

    private static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    private static func failure(_ path: String) -> StoreError {
        let error = POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        return StoreError(.open, reason: "\(path) could not be put in its place: \(error)")
    }
}
