import Foundation
import TextParts

/// What a command of root's makes in the daemon's folders: it becomes the daemon's, or the daemon could not use it. Made before the command makes
/// anything, since a folder that is not there yet belongs to the owner of the one above it.
struct FilesOfRoot {
    private let folders: [(path: String, owner: FileOwner)]
    /// Those of these, and of the folders above them, that are not there yet.
    private let missing: [(path: String, owner: FileOwner)]
    /// Not looked through: recordings are many, and their importer gives away each by itself.
    private let excluded: String
    private let since: Int64

    /// A clock of files may be a tick behind.
    private static let slackSeconds = 1.0

    init(_ settings: Settings) {
        let used = [
            settings.box.baseFolder, settings.nodes.co2.dataFolder, settings.nodes.piwardrive.spoolFolder,
            settings.nodes.piwardrive.uploadsFolder, settings.forecasts.folder,
        ]
        folders = used.map { ($0, FileOwner(of: $0)) }
        missing = folders.flatMap { folder, owner in
            sequence(first: folder) { ($0 as NSString).deletingLastPathComponent }
                .prefix { $0.utf8.count > 1 && !FileManager.default.fileExists(atPath: $0) }.map { ($0, owner) }
        }
        excluded = settings.recordings.folder
        since = Int64((Date().timeIntervalSince1970 - Self.slackSeconds) * 1e9)
    }

    /// Gives them away.
    ///
    /// - Throws: `POSIXError` of the first that could not be given; all others are.
    func handOver() throws {
        guard geteuid() == 0 else { return }
        var failure: (any Error)?
        func give(_ path: String, _ owner: FileOwner) {
            do { try owner.takeNew(path, since: since) } catch { failure = failure ?? error }
        }
        for (folder, owner) in missing { give(folder, owner) }
        for (folder, owner) in folders {
            guard let names = FileManager.default.enumerator(atPath: folder) else { continue }
            for case let name as String in names {
                let path = "\(folder)/\(name)"
                if path == excluded {
                    names.skipDescendants()
                    continue
                }
                give(path, owner)
            }
        }
        if let failure { throw failure }
    }
}
