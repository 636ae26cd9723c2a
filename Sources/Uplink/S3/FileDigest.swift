import Crypto
import Foundation

/// How S3 is told to check what arrives.
public enum S3Checksum: String, Sendable, CaseIterable {
    case sha256, crc32c, md5, none
}

/// Digests of a stretch of a file, read once.
struct FileDigest: Sendable {
    let sha256Hex: String
    let sha256: [UInt8]
    /// Of the wanted kind; nil for none, and for SHA-256.
    let other: [UInt8]?

    enum Failure: Error {
        case unreadable(String)
        /// The file is shorter than it was.
        case short
    }

    /// Blocks while it reads.
    init(path: String, offset: Int64, count: Int64, checksum: S3Checksum) throws(Failure) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var sha = SHA256()
        var md5 = Insecure.MD5()
        var crc = CRC32C()
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
        defer { block.deallocate() }
        var done: Int64 = 0
        while done < count {
            let wanted = Int(min(Int64(block.count), count - done))
            let got = pread(descriptor, block.baseAddress, wanted, off_t(offset + done))
            if got < 0 { throw .unreadable(String(cString: strerror(errno))) }
            if got == 0 { throw .short }
            let bytes = UnsafeRawBufferPointer(rebasing: block[..<got])
            sha.update(bufferPointer: bytes)
            if checksum == .md5 { md5.update(bufferPointer: bytes) }
            if checksum == .crc32c { crc.update(bytes) }
            done += Int64(got)
        }
        sha256 = Array(sha.finalize())
        sha256Hex = SignatureV4.hex(sha256)
        switch checksum {
        case .md5: other = Array(md5.finalize())
        case .crc32c: other = crc.bytes
        case .sha256, .none: other = nil
        }
    }

    /// The header that carries a checksum: its name and value.
    func header(_ checksum: S3Checksum) -> (name: String, value: String)? {
        switch checksum {
        case .sha256: ("x-amz-checksum-sha256", Data(sha256).base64EncodedString())
        case .crc32c: ("x-amz-checksum-crc32c", Data(other ?? []).base64EncodedString())
        case .md5: ("Content-MD5", Data(other ?? []).base64EncodedString())
        case .none: nil
        }
    }
}

/// CRC-32C (Castagnoli; RFC 3720 §12.1), reflected, polynomial 0x1EDC6F41.
struct CRC32C: Sendable {
    private var value: UInt32 = 0xFFFF_FFFF

    /// Eight tables: eight bytes are taken at once.
    private static let tables: [[UInt32]] = {
        var tables = [[UInt32]](repeating: [UInt32](repeating: 0, count: 256), count: 8)
        for index in 0..<256 {
            var entry = UInt32(index)
            for _ in 0..<8 { entry = entry & 1 == 1 ? entry >> 1 ^ 0x82F6_3B78 : entry >> 1 }
            tables[0][index] = entry
        }
        for index in 0..<256 {
            for table in 1..<8 {
                let before = tables[table - 1][index]
                tables[table][index] = before >> 8 ^ tables[0][Int(before & 0xFF)]
            }
        }
        return tables
    }()

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        let tables = Self.tables
        var crc = value
        var offset = 0
        while offset + 8 <= bytes.count {
            let low = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian ^ crc
            let high = bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self).littleEndian
            crc =
                tables[7][Int(low & 0xFF)] ^ tables[6][Int(low >> 8 & 0xFF)] ^ tables[5][Int(low >> 16 & 0xFF)]
                ^ tables[4][Int(low >> 24)]
            crc ^=
                tables[3][Int(high & 0xFF)] ^ tables[2][Int(high >> 8 & 0xFF)] ^ tables[1][Int(high >> 16 & 0xFF)]
                ^ tables[0][Int(high >> 24)]
            offset += 8
        }
        while offset < bytes.count {
            crc = crc >> 8 ^ tables[0][Int((crc ^ UInt32(bytes[offset])) & 0xFF)]
            offset += 1
        }
        value = crc
    }

    /// Big-endian, as S3 wants it.
    var bytes: [UInt8] {
        let final = ~value
        return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: final >> $0) }
    }
}

extension FileDigest {
    /// SHA-256 in hexadecimal.
    static func hash(_ bytes: [UInt8]) -> String {
        SignatureV4.hex(SHA256.hash(data: Data(bytes)))
    }
}
