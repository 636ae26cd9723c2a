/// FLAC files of silence, written block by block by RFC 9639: hours of sound in a megabyte, made in a moment.
public enum SilentFLAC {
    /// Sample frames of a block, the most that a FLAC file can have (RFC 9639 §9.1.1).
    public static let blockSize = 65_535

    /// One channel of 16 bits.
    ///
    /// - Parameters:
    ///   - rate: up to 655,350 Hz.
    ///   - declaring: sample frames that STREAMINFO says there are; nil for those that there are, 0 for unknown.
    public static func file(hours: Double, rate: Int = 48_000, declaring: Int? = nil) -> [UInt8] {
        let blocks = blocks(hours: hours, rate: rate)
        var bytes = Array("fLaC".utf8) + [0x80, 0, 0, 34]
        bytes += [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0]
        let total = UInt64(declaring ?? frames(hours: hours, rate: rate))
        let packed = UInt64(rate) << 44 | 15 << 36 | total
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: packed >> shift)) }
        bytes += [UInt8](repeating: 0, count: 16)
        for number in 0..<blocks { bytes += block(number) }
        return bytes
    }

    /// Sample frames that ``file(hours:rate:declaring:)`` has: whole blocks.
    public static func frames(hours: Double, rate: Int = 48_000) -> Int {
        blocks(hours: hours, rate: rate) * blockSize
    }

    private static func blocks(hours: Double, rate: Int) -> Int { max(1, Int(hours * 3600 * Double(rate)) / blockSize) }

    /// A block of which the channel is one value, 0.
    public static func block(_ number: Int) -> [UInt8] {
        var block: [UInt8] = [0xFF, 0xF8, 0x70, 0x08]
        if number < 0x80 {
            block.append(UInt8(number))
        } else {
            // As UTF-8, with up to 36 bits.
            var more = 1
            while number >= 1 << (5 * more + 6) { more += 1 }
            block.append(UInt8(truncatingIfNeeded: 0xFF00 >> (more + 1)) | UInt8(number >> (6 * more)))
            for place in stride(from: more - 1, through: 0, by: -1) {
                block.append(0x80 | UInt8(truncatingIfNeeded: number >> (6 * place)) & 0x3F)
            }
        }
        block += [0xFF, 0xFE]
        block.append(block.reduce(UInt8(0)) { headTable[Int($0 ^ $1)] })
        block += [0, 0, 0]
        let sum = block.reduce(UInt16(0)) { ($0 << 8) ^ blockTable[Int(UInt8($0 >> 8) ^ $1)] }
        return block + [UInt8(sum >> 8), UInt8(truncatingIfNeeded: sum)]
    }

    private static let headTable: [UInt8] = (0..<256).map { index in
        (0..<8).reduce(UInt8(index)) { sum, _ in sum & 0x80 == 0 ? sum << 1 : (sum << 1) ^ 0x07 }
    }

    private static let blockTable: [UInt16] = (0..<256).map { index in
        (0..<8).reduce(UInt16(index) << 8) { sum, _ in sum & 0x8000 == 0 ? sum << 1 : (sum << 1) ^ 0x8005 }
    }
}
