import Digests
import Foundation

/// How S3 is told to check what arrives.
public enum S3Checksum: String, Sendable, CaseIterable, Codable {
    case sha256, crc32c, md5, none
}

/// What a stretch of bytes is known by.
struct FileDigest: Sendable, Hashable, Codable {
    let sha256Hex: String
    /// Of the wanted kind, in base 64; nil for none.
    let checksum: String?

    /// The header that carries the checksum: its name and value.
    func header(_ kind: S3Checksum) -> (name: String, value: String)? {
        guard let checksum else { return nil }
        switch kind {
        case .sha256: return ("x-amz-checksum-sha256", checksum)
        case .crc32c: return ("x-amz-checksum-crc32c", checksum)
        case .md5: return ("Content-MD5", checksum)
        case .none: return nil
        }
    }

    /// SHA-256 in hexadecimal.
    static func hash(_ bytes: [UInt8]) -> String {
        SHA256.hash(bytes).hexadecimal
    }
}

/// Makes a digest while bytes go by.
struct RunningDigest: ~Copyable {
    private let kind: S3Checksum
    private var sha = SHA256()
    /// Nil when another kind is wanted.
    private var md5: MD5?
    private var crc = CRC32C()

    init(_ kind: S3Checksum) {
        self.kind = kind
        md5 = kind == .md5 ? MD5() : nil
    }

    /// Memory: `bytes` are the caller's; the hash functions read them during their calls only.
    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        let span = unsafe bytes.bytes
        sha.update(span)
        md5?.update(span)
        if kind == .crc32c { unsafe crc.update(bytes) }
    }

    consuming func finish() -> FileDigest {
        let sha256 = sha.finalize()
        let checksum: [UInt8]? =
            switch kind {
            case .sha256: sha256.bytes
            case .md5: md5?.finalize().bytes
            case .crc32c: crc.bytes
            case .none: nil
            }
        return FileDigest(
            sha256Hex: sha256.hexadecimal, checksum: checksum.map { Data($0).base64EncodedString() })
    }
}
