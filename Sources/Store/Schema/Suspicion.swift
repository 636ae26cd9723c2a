import CEdgeSystem
import Foundation
import TextParts

/// A note beside the database that counts what has happened in a row.
struct Suspicion {
    enum Kind: String {
        /// Runs ended because the database was damaged. The next start looks more closely than it does otherwise, which takes
        /// long for a large database.
        case damage = "suspect"
        /// Starts ended because the disk did not let the database be read.
        case unreadable
    }

    struct Standing: Equatable {
        /// How often in a row.
        let times: Int
        let reason: String
    }

    /// After so many runs the database is put aside though every check passes.
    static let mostTimes = 3
    /// After so many starts a database that cannot be read is put aside: a box that receives is worth more. With a supervisor's
    /// pauses that takes minutes, in which a disk that was only away comes back.
    static let maximumUnreadableStarts = 10

    private let database: String
    private let kind: Kind
    private var path: String { "\(database).\(kind.rawValue)" }

    /// - Parameter path: of the database.
    init(path: String, _ kind: Kind = .damage) {
        database = path
        self.kind = kind
    }

    /// Nil when there is none, or when it was about another file that is not in its place any more.
    var standing: Standing? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        let lines = text.parts(at: "\n", maximumSplits: 2, omittingEmpty: false)
        guard lines.count == 3, let times = Int(lines[0]), let file = FileIdentity(path: database),
            lines[1] == file.text
        else { return nil }
        return Standing(times: times, reason: lines[2].trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Notes one more. Without room for the note the next start checks as usual.
    func raise(_ reason: String) {
        guard let identity = FileIdentity(path: database) else { return }
        let text = "\((standing?.times ?? 0) + 1)\n\(identity.text)\n\(reason)\n"
        try? Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    /// Ends the row.
    func clear() { try? FileManager.default.removeItem(atPath: path) }
}

/// Which file is at a path: another one has another identity, also under the same name.
public struct FileIdentity: Equatable, Sendable {
    private let device: UInt64
    private let inode: UInt64

    var text: String { "\(device):\(inode)" }

    /// Nil when there is none.
    ///
    /// Memory: the path and the status are borrowed for the call.
    init?(path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}
