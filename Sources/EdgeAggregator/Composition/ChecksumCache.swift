import CEdgeSystem
import Digests
import Foundation

/// SHA-256 of large files, computed once for each content: a start must not read 50 MB again.
struct ChecksumCache {
    private struct Entry: Codable {
        let size: Int64
        let modifiedNanoseconds: Int64
        let inode: UInt64
        let sha256: String
    }

    let path: String

    /// Memory: the path and the status are borrowed for the call.
    func sha256(of file: String) throws -> String {
        var status = EdgeFileStatus()
        guard unsafe edge_stat(file, &status) == 0 else {
            throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: file])
        }
        var entries =
            (try? JSONDecoder().decode([String: Entry].self, from: Data(contentsOf: URL(fileURLWithPath: path)))) ?? [:]
        if let entry = entries[file], entry.size == status.size_bytes,
            entry.modifiedNanoseconds == status.modified_ns, entry.inode == status.inode
        {
            return entry.sha256
        }
        let sum = try Self.digest(file)
        entries[file] = Entry(
            size: status.size_bytes, modifiedNanoseconds: status.modified_ns, inode: status.inode, sha256: sum)
        // Only a saving: without it the next start computes the sum again.
        try? JSONEncoder().encode(entries).write(to: URL(fileURLWithPath: path), options: .atomic)
        return sum
    }

    static func digest(_ file: String) throws -> String {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
        defer { try? handle.close() }
        var hash = SHA256()
        while let data = try handle.read(upToCount: 1 << 20), !data.isEmpty { hash.update(data) }
        return hash.finalize().hexadecimal
    }
}
