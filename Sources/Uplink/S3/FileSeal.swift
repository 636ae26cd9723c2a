import CEdgeSystem
import Foundation

/// All that an upload must know of a file's bytes before it sends the first: made once, in one reading, soon after the file
/// was finished and while it is still in the system's memory, and kept in the store. A signed request begins with the hash of
/// what follows.
struct FileSeal: Sendable, Hashable, Codable {
    let bytes: Int64
    /// A file that was written since is another file.
    let modifiedNanoseconds: Int64
    let kind: S3Checksum
    /// 0 when the file goes whole.
    let partBytes: Int64
    /// Its checksum is of the wanted kind only when the file goes whole.
    let whole: FileDigest
    let parts: [FileDigest]

    enum Failure: Error, Equatable {
        case gone
        case unreadable(String)
        /// The file became shorter or longer while it was read.
        case changed
    }

    /// Reads the file; blocks meanwhile.
    ///
    /// - Parameter partBytes: how large its parts are; 0 when it goes whole.
    ///
    /// Memory: `block` is allocated and freed here, and what is made of it is a digest. The path and the statuses are borrowed for
    /// the calls; the texts of errors are the system's and are copied at once.
    init(path: String, kind: S3Checksum, partBytes: Int64) throws(Failure) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw unsafe errno == ENOENT ? .gone : .unreadable(String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var status = EdgeFileStatus()
        guard unsafe edge_fstat(descriptor, &status) == 0 else {
            throw unsafe .unreadable(String(cString: strerror(errno)))
        }
        var whole = RunningDigest(partBytes == 0 ? kind : .none)
        var part = RunningDigest(kind)
        var parts: [FileDigest] = []
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
        defer { unsafe block.deallocate() }
        var done: Int64 = 0
        while done < status.size_bytes {
            let toPartEnd = partBytes > 0 ? partBytes - done % partBytes : .max
            let wanted = Int(min(Int64(block.count), status.size_bytes - done, toPartEnd))
            let got = unsafe pread(descriptor, block.baseAddress, wanted, off_t(done))
            guard got >= 0 else { throw unsafe .unreadable(String(cString: strerror(errno))) }
            guard got > 0 else { throw .changed }
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: block[..<got])
            unsafe whole.update(bytes)
            done += Int64(got)
            guard partBytes > 0 else { continue }
            unsafe part.update(bytes)
            if done % partBytes == 0 || done == status.size_bytes {
                parts.append(part.finish())
                part = RunningDigest(kind)
            }
        }
        var after = EdgeFileStatus()
        guard unsafe edge_fstat(descriptor, &after) == 0, after.size_bytes == status.size_bytes,
            after.modified_ns == status.modified_ns
        else { throw .changed }
        bytes = status.size_bytes
        modifiedNanoseconds = status.modified_ns
        self.kind = kind
        self.partBytes = partBytes
        self.whole = whole.finish()
        self.parts = parts
    }

    /// Like the above, on a thread that may wait for the disk.
    static func make(path: String, kind: S3Checksum, partBytes: Int64) async throws(Failure) -> FileSeal {
        let result: Result<FileSeal, Failure> = await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                do throws(Failure) {
                    continuation.resume(
                        returning: .success(try FileSeal(path: path, kind: kind, partBytes: partBytes)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    /// Whether it still is of the file, and of the wanted form.
    ///
    /// Memory: the path and the status are borrowed for the call.
    func isOf(path: String, kind: S3Checksum, partBytes: Int64) -> Bool {
        var status = EdgeFileStatus()
        return unsafe edge_stat(path, &status) == 0 && status.size_bytes == bytes
            && status.modified_ns == modifiedNanoseconds && self.kind == kind && self.partBytes == partBytes
    }

    // MARK: - In the store

    init?(text: String?) {
        guard let text, let seal = try? JSONDecoder().decode(FileSeal.self, from: Data(text.utf8)) else { return nil }
        self = seal
    }

    var text: String { (try? JSONEncoder().encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "" }
}
