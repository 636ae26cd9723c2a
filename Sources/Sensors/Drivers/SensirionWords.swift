/// Words as Sensirion's sensors send them: two bytes, the high one first, and their checksum.
///
/// CRC-8, polynomial 0x31, start 0xFF, nothing reflected (SCD4x datasheet §3.11, SCD30 interface description §1.1.3, SHT3x
/// datasheet §4.12); 0xBEEF gives 0x92.
enum SensirionWords {
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt8 {
        bytes.reduce(0xFF) { crc, byte in
            var crc = crc ^ byte
            for _ in 0..<8 { crc = crc & 0x80 != 0 ? crc << 1 ^ 0x31 : crc << 1 }
            return crc
        }
    }

    static func decode(_ bytes: [UInt8]) throws(SensorError) -> [UInt16] {
        var words: [UInt16] = []
        for start in stride(from: 0, to: bytes.count - 2, by: 3) {
            guard checksum(bytes[start..<start + 2]) == bytes[start + 2] else {
                throw .garbled("the checksum of word \(start / 3) is wrong")
            }
            words.append(UInt16(bytes[start]) << 8 | UInt16(bytes[start + 1]))
        }
        return words
    }

    /// -45 °C to 130 °C in 65,535 steps (SCD4x datasheet §3.6.2, SHT3x datasheet §4.13, SHT4x datasheet §4.6). No part measures
    /// at either end: its element is open or shorted there.
    static func temperature(_ word: UInt16) throws(SensorError) -> Quantity {
        guard word != 0, word != 0xFFFF else {
            throw .saturated("its temperature converter is at an end of its range")
        }
        return Quantity("temperature", -45 + 175 * Double(word) / 65_535, unit: "°C")
    }

    /// A command of two bytes and a word for it.
    static func command(_ command: UInt16, _ word: UInt16? = nil) -> [UInt8] {
        var bytes = [UInt8(command >> 8), UInt8(command & 0xFF)]
        if let word {
            let own = [UInt8(word >> 8), UInt8(word & 0xFF)]
            bytes += own + [checksum(own)]
        }
        return bytes
    }
}
