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

    /// Memory: `bytes` are the caller's and are read during this call only.
    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        let tables = Self.tables
        var crc = value
        var offset = 0
        while offset + 8 <= bytes.count {
            let low = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian ^ crc
            let high = unsafe bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self).littleEndian
            crc =
                tables[7][Int(low & 0xFF)] ^ tables[6][Int(low >> 8 & 0xFF)] ^ tables[5][Int(low >> 16 & 0xFF)]
                ^ tables[4][Int(low >> 24)]
            crc ^=
                tables[3][Int(high & 0xFF)] ^ tables[2][Int(high >> 8 & 0xFF)] ^ tables[1][Int(high >> 16 & 0xFF)]
                ^ tables[0][Int(high >> 24)]
            offset += 8
        }
        while offset < bytes.count {
            crc = unsafe crc >> 8 ^ tables[0][Int((crc ^ UInt32(bytes[offset])) & 0xFF)]
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
