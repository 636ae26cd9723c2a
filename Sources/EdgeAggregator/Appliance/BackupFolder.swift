import CEdgeSystem
import Digests
import Foundation
import Store

/// A backup: the database as of one moment, what it is by its own word, and, if wanted, the sound that it knows.
struct BackupFolder {
    struct Manifest: Codable {
        var version: String
        var box: String
        var madeAt: String
        var databaseBytes: Int64
        var databaseSha256: String
        var schema: [String]
        var recordings: Int
        var detections: Int
        var observations: Int
        var files: Int
    }

    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    let path: String
    private var database: String { "\(path)/edge.db" }
    private var manifest: String { "\(path)/backup.json" }

    func make(_ settings: Settings, withRecordings: Bool) throws -> Manifest {
        let files = FileManager.default
        if let there = try? files.contentsOfDirectory(atPath: path), !there.isEmpty {
            throw Problem(description: "\(path) is not empty; name a new folder")
        }
        try files.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        // On the device's own disk a backup leaves the room that sound leaves.
        let permit = DiskGuard(settings).permit(for: .sound, at: path)
        let source = "\(settings.box.baseFolder)/edge.db"
        try permit.take(Self.size(source) + Self.size("\(source)-wal"), path: database)
        let facts = try DatabaseBackup.copy(from: source, to: database)
        let copied = withRecordings ? try copy(settings.recordings.folder, to: "\(path)/recordings", permit) : 0
        let made = Manifest(
            version: Version.text, box: settings.box.uuid, madeAt: ISOTime.text(edge_realtime_ns()),
            databaseBytes: facts.bytes, databaseSha256: try Self.sha256(database), schema: facts.schema,
            recordings: facts.recordings, detections: facts.detections, observations: facts.observations,
            files: copied)
        // The sound too, before anything says that it is there.
        sync()
        // Last: a folder without it is no backup.
        try Answer.encoder.encode(made).write(to: URL(fileURLWithPath: manifest), options: .atomic)
        sync()
        return made
    }

    /// - Returns: where the former database was put, if there was one.
    func restore(_ settings: Settings) throws -> String? {
        let files = FileManager.default
        guard let text = files.contents(atPath: manifest),
            let made = try? Self.decoder.decode(Manifest.self, from: text)
        else { throw Problem(description: "\(path) is no backup: backup.json is missing or cannot be read") }
        guard try Self.sha256(database) == made.databaseSha256 else {
            throw Problem(description: "\(database) is not as it was when the backup was made; take another one")
        }
        _ = try DatabaseBackup.look(at: database)
        try files.createDirectory(atPath: settings.box.baseFolder, withIntermediateDirectories: true)
        let lock = try InstanceLock(baseFolder: settings.box.baseFolder)
        return try withExtendedLifetime(lock) {
            let place = "\(settings.box.baseFolder)/edge.db"
            let swap = DatabaseSwap(path: place, reason: .restore)
            let disk = DiskGuard(settings)
            // What can fail for want of room comes first; until the last line the box is what it was.
            try restoreSound(settings.recordings.folder, disk.permit(for: .sound, at: settings.recordings.folder))
            sync()
            try disk.permit(for: .database, at: place).take(Self.size(database), path: place)
            try swap.begin(from: database) { try FileOwner(of: settings.box.baseFolder).take($0) }
            return try swap.finish()
        }
    }

    /// Of sound that is there already nothing changes.
    private func restoreSound(_ folder: String, _ permit: DiskPermit) throws {
        guard FileManager.default.fileExists(atPath: "\(path)/recordings") else { return }
        _ = try copy("\(path)/recordings", to: folder, permit)
    }

    /// 0 for a file that is not there.
    ///
    /// Memory: the path and the status are borrowed for the call.
    private static func size(_ path: String) -> Int {
        var status = EdgeFileStatus()
        return unsafe edge_stat(path, &status) == 0 ? Int(status.size_bytes) : 0
    }

    /// Memory: the paths and the status are borrowed for the calls.
    private func copy(_ source: String, to target: String, _ permit: DiskPermit) throws -> Int {
        let files = FileManager.default
        let owner = FileOwner(of: target)
        try files.createDirectory(atPath: target, withIntermediateDirectories: true)
        try owner.take(target)
        let partial = "\(target)/.copying"
        defer { unsafe unlink(partial) }
        var count = 0
        guard let names = files.enumerator(atPath: source) else { return 0 }
        for case let name as String in names {
            var status = EdgeFileStatus()
            guard unsafe edge_lstat("\(source)/\(name)", &status) == 0, status.kind == 0x66 else { continue }
            let place = "\(target)/\(name)"
            guard !files.fileExists(atPath: place) else { continue }
            try permit.take(Int(status.size_bytes), path: place)
            try files.createDirectory(
                atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            do {
                // Whole or not at all: what has the name is not copied again.
                unsafe unlink(partial)
                try files.copyItem(atPath: "\(source)/\(name)", toPath: partial)
                guard unsafe rename(partial, place) == 0 else {
                    throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
                }
                try owner.take(name, below: target)
                count += 1
            } catch {
                // Retention may have removed it meanwhile.
                guard files.fileExists(atPath: "\(source)/\(name)") else { continue }
                throw error
            }
        }
        return count
    }

    private static let decoder: JSONDecoder = {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }()

    private static func sha256(_ path: String) throws -> String {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? file.close() }
        var hash = SHA256()
        while let piece = try file.read(upToCount: 1 << 20), !piece.isEmpty { hash.update(piece) }
        return hash.finalize().hexadecimal
    }
}
