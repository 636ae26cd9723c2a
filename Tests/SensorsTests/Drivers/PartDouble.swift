@testable import Sensors

/// A part of each kind on its bus, which can lose its power, be shorted, or be as after power-on. Its answers are those of the
/// datasheets that the drivers name.
final class PartDouble: Bus {
    enum Condition: String, CaseIterable, Sendable {
        case well
        /// Each byte reads as 0x00, and the bus cannot tell why.
        case zeros
        /// The same, and the START byte is acknowledged.
        case heldLow
        /// Each byte reads as 0xFF.
        case ones
        /// Its registers are those of power-on, whatever is written.
        case powerOn
    }

    var condition = Condition.well
    let kind: String
    let secondsSince1970 = 1_795_271_914.0
    private(set) var asked: [[UInt8]] = []
    private var command: [UInt8] = []

    init(kind: String) {
        self.kind = kind
    }

    var isHeldLow: Bool { condition == .heldLow }

    func pause(milliseconds: Int) {}

    func exchange(_ bytes: [UInt8], reading count: Int) throws(BusError) -> [UInt8] {
        if !bytes.isEmpty {
            command = bytes
            asked.append(bytes)
        }
        if kind == "ds18b20" { return Array(kernelFile.utf8) }
        guard count > 0 else { return [] }
        switch condition {
        case .zeros, .heldLow: return [UInt8](repeating: 0x00, count: count)
        case .ones: return [UInt8](repeating: 0xFF, count: count)
        case .well, .powerOn:
            guard let answer = answer(isWell: condition == .well, count: count) else { throw .absent }
            guard answer.count == count else { throw .timeout }
            return answer
        }
    }

    private var kernelFile: String {
        let (scratchpad, verdict, thousandths) =
            switch condition {
            case .well: ("72 01 4b 46 7f ff 0e 10 57", "YES", 23_125)
            case .zeros, .heldLow: ("00 00 00 00 00 00 00 00 00", "YES", 0)
            case .ones: ("ff ff ff ff ff ff ff ff ff", "NO", -62)
            case .powerOn: ("50 05 4b 46 7f ff 0c 10 1c", "YES", 85_000)
            }
        let checksum = scratchpad.suffix(2)
        return "\(scratchpad) : crc=\(checksum) \(verdict)\n\(scratchpad) t=\(thousandths)\n"
    }

    private func answer(isWell: Bool, count: Int) -> [UInt8]? {
        switch kind {
        case "scd4x": return scd4x(isWell: isWell)
        case "scd30":
            if command == [0x02, 0x02] { return words([1]) }
            return words(isWell ? [0x43DB, 0x8C2E, 0x41D9, 0xE7FF, 0x4243, 0x3A1B] : [0, 0, 0, 0, 0, 0])
        // Not acknowledged while there is no measurement.
        case "sht3x", "sht4x": return isWell ? words([0x6666, 0x72B0]) : nil
        case "bh1750": return isWell ? [0x83, 0x90] : [0x00, 0x00]
        case "bme280": return bme280(isWell: isWell, count: count)
        case "ina219": return word([0x00: 0x399F, 0x01: 1000, 0x02: isWell ? 2995 << 3 | 2 : 0])
        case "ina226":
            return word([
                0xFE: 0x5449, 0x00: 0x4127, 0x06: isWell ? 8 : 0, 0x01: isWell ? 1000 : 0, 0x02: isWell ? 9600 : 0,
            ])
        case "max17048": return word([0x08: 0x0012, 0x02: 51_200, 0x04: 0x4B00, 0x1A: isWell ? 0 : 0x0100])
        case "ds3231":
            let (clock, status): ([UInt8], [UInt8]) =
                isWell
                ? ([0x44, 0x38, 0x14, 0x07, 0x21, 0x11, 0x26, 0, 0, 0], [0x19, 0x40])
                : ([0, 0, 0, 1, 1, 1, 0], [0x1C, 0x88, 0, 0, 0])
            return clock + [UInt8](repeating: 0, count: 7) + status
        case "senseair_s8": return modbus([0xFE, 4, 8, 0, 0, 0, 0, 0, 0, isWell ? 0x02 : 0, isWell ? 0x64 : 0])
        case "senseair_k30": return modbus([0x68, 4, 8, 0, 0, 0, 0, 0, 0, isWell ? 0x02 : 0, isWell ? 0x64 : 0])
        // 500 ppm and U = 15,000 after power-on.
        case "mhz19":
            return isWell
                ? [0xFF, 0x86, 0x02, 0x60, 0x47, 0, 0, 0, 0xD1]
                : [0xFF, 0x86, 0x01, 0xF4, 0x47, 0x01, 0x3A, 0x98, 0x6B]
        case "explorir": return explorIR(isWell: isWell)
        default: return nil
        }
    }

    private func scd4x(isWell: Bool) -> [UInt8]? {
        switch command {
        case [0x36, 0x82]: return words([0xF896, 0x9F07, 0x3BBE])
        // Idle after power-on: nothing is ready, and a read is not acknowledged.
        case [0xE4, 0xB8]: return words([isWell ? 0x8006 : 0x8000])
        default: return isWell ? words([500, 0x6667, 0x5EB9]) : nil
        }
    }

    /// The example of the BMP280's datasheet (§3.12), with a humidity; its settings hold while it has power.
    private func bme280(isWell: Bool, count: Int) -> [UInt8] {
        let calibration: [Int] = [
            27_504, 26_435, -1000, 36_477, -10_685, 3024, 2855, 140, -7, 15_500, -14_600, 6000,
        ]
        switch command.first {
        case 0xD0: return [0x60]
        case 0x88: return calibration.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8 & 0xFF)] }
        case 0xA1: return [75]
        case 0xE1: return [0x6A, 0x01, 0x00, 0x13, 0x29, 0x03, 0x1E]
        case 0xF3: return [0x00]
        case 0xF2 where isWell: return [0x01, 0, 0x24, 0, 0, 0x65, 0x5A, 0xC0, 0x7E, 0xED, 0x00, 0x6D, 0x60]
        default: return [0, 0, 0, 0, 0, 0x80, 0, 0, 0x80, 0, 0, 0x80, 0]
        }
    }

    private func explorIR(isWell: Bool) -> [UInt8] {
        guard isWell else { return Array(" Z 00068 z".utf8) }
        switch command.first {
        case UInt8(ascii: "K"): return Array(" K 00002\r\n".utf8)
        case UInt8(ascii: "."): return Array(" . 00010\r\n".utf8)
        default: return Array(" Z 00068\r\n".utf8)
        }
    }

    private func word(_ registers: [UInt8: UInt16]) -> [UInt8] {
        // What `begin` writes reads back, and is what the registers have after power-on.
        let value = registers[command.first ?? 0] ?? 0
        return [UInt8(value >> 8), UInt8(value & 0xFF)]
    }

    private func words(_ values: [UInt16]) -> [UInt8] {
        values.flatMap { value in
            let own = [UInt8(value >> 8), UInt8(value & 0xFF)]
            return own + [SensirionWords.checksum(own)]
        }
    }

    private func modbus(_ body: [UInt8]) -> [UInt8] { body + ModbusChecksum.of(body) }
}
