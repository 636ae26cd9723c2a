import Crypto
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
        SignatureV4.hex(SHA256.hash(data: Data(bytes)))
    }
}

/// Makes a digest while bytes go by.
struct RunningDigest {
    private let kind: S3Checksum
    private var sha = SHA256()
    private var md5 = Insecure.MD5()
    private var crc = CRC32C()

    init(_ kind: S3Checksum) {
        self.kind = kind
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        sha.update(bufferPointer: bytes)
        switch kind {
        case .md5: md5.update(bufferPointer: bytes)
        case .crc32c: crc.update(bytes)
        case .sha256, .none: break
        }
    }

    func finish() -> FileDigest {
        let sha256 = Array(sha.finalize())
        let checksum: [UInt8]? =
            switch kind {
            case .sha256: sha256
            case .md5: Array(md5.finalize())
            case .crc32c: crc.bytes
            case .none: nil
            }
        return FileDigest(
            sha256Hex: SignatureV4.hex(sha256), checksum: checksum.map { Data($0).base64EncodedString() })
    }
}
