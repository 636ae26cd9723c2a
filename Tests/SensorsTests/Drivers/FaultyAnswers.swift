#if canImport(Sensors)
@testable import Sensors
#endif

/// What the parts answer when they are unpowered, reset, saturated or broken, by their datasheets: never a reading.
///
/// Free of a test library and of existentials, as ``Datasheets``: it also runs as Embedded Swift.
extension Datasheets {
    static let faultyAnswers: [Datasheets] = [
        Datasheets(name: "1-Wire scratchpads", examine: scratchpads), Datasheets(name: "MH-Z19 start", examine: mhz19),
        Datasheets(name: "Senseair meter status", examine: senseair), Datasheets(name: "ExplorIR", examine: explorIR),
        Datasheets(name: "BME280 brown-out", examine: bme280), Datasheets(name: "Sensirion", examine: sensirion),
        Datasheets(name: "power monitors", examine: powerMonitors), Datasheets(name: "BH1750 dark", examine: bh1750),
        Datasheets(name: "DS3231 reserved bits", examine: ds3231Bits),
    ]

    private enum Outcome: Equatable {
        case reading, notReady, warming, saturated, faulty, garbled, bus
    }

    private static func outcome(_ body: () throws(SensorError) -> Void) -> Outcome {
        switch error(body) {
        case nil: .reading
        case .notReady?: .notReady
        case .warming?: .warming
        case .saturated?: .saturated
        case .faulty?, .badOption?, .missing?: .faulty
        case .garbled?: .garbled
        case .bus?: .bus
        }
    }

    /// Scratchpads with right checksums (computed in Python with the datasheet's polynomial, x⁸ + x⁵ + x⁴ + 1).
    private static func scratchpads(_ check: Check) throws(SensorError) {
        let driver = try DS18B20(SensorOptions([:]))
        func read(_ scratchpad: String, _ thousandths: Int) -> Outcome {
            let checksum = scratchpad.suffix(2)
            let text = "\(scratchpad) : crc=\(checksum) YES\n\(scratchpad) t=\(thousandths)\n"
            return outcome { () throws(SensorError) in _ = try driver.read(ScriptedBus([Array(text.utf8)])) }
        }
        check(read("00 00 00 00 00 00 00 00 00", 0) == .faulty, "nine zeros: the line is shorted")
        check(read("ff ff ff ff ff ff ff ff ff", -62) == .faulty, "nine times ones: nobody drives the line")
        check(read("00 00 4b 46 7f ff 10 10 69", 0) == .reading, "a real 0 degrees")
        check(read("00 00 00 00 7f 00 00 00 32", 0) == .faulty, "0 degrees, and nothing but the configuration")
        check(read("00 00 4b 46 10 00 00 00 c0", 0) == .faulty, "0 degrees and no configuration")
        check(read("00 00 55 05 7f 7e 81 66 6d", 0) == .reading, "a real 0 degrees of a clone with other bytes")
        check(read("50 05 4b 46 7f ff 0c 10 1c", 85_000) == .notReady, "85 degrees of power-on")
        check(read("50 05 4b 46 7f ff 10 10 bd", 85_000) == .reading, "a measured 85 degrees")
        check(read("ff 07 4b 46 7f ff 01 10 2f", 127_937) == .faulty, "a conversion without enough power")
        check(read("90 01 55 05 7f 7e 81 66 96", 25_000) == .reading, "a clone with other bytes")
    }

    /// Bytes 2 to 7 as revspace.nl/MHZ19 lists them: `03 87 47 40 2A E1` is 903 ppm, and a start ends in `47 01 3A 98`.
    private static func mhz19(_ check: Check) throws(SensorError) {
        func read(_ bytes: [UInt8], _ driver: inout MHZ19) -> Outcome {
            let body = [0x86] + bytes
            let bus = ScriptedBus([[0xFF] + body + [0 &- body.reduce(0, &+)]])
            let problem: SensorError?
            do throws(SensorError) {
                _ = try driver.read(bus)
                problem = nil
            } catch {
                problem = error
            }
            return outcome { () throws(SensorError) in if let problem { throw problem } }
        }
        var driver = try MHZ19(SensorOptions([:]))
        func read(_ bytes: [UInt8]) -> Outcome { read(bytes, &driver) }
        check(read([0x03, 0x87, 0x47, 0x40, 0x2A, 0xE1]) == .reading, "903 ppm")
        check(read([0x01, 0xF4, 0x47, 0x01, 0x3A, 0x98]) == .warming, "500 ppm while it starts: U is 15000")
        check(read([0x01, 0x9A, 0x47, 0x40, 0x3A, 0x98]) == .warming, "410 ppm while it starts")
        check(read([0x00, 0x00, 0x47, 0x40, 0x2A, 0xE1]) == .warming, "0 ppm")
        check(read([0x13, 0x88, 0x47, 0x40, 0x2A, 0xE1]) == .saturated, "5000 ppm: the end of its range")
        check(read([0x07, 0xD0, 0x47, 0x40, 0x2A, 0xE1]) == .saturated, "2000 ppm: the end of its range")
        // A part that has said 3000 ppm does not end at 2000, nor one that is known to end at 5000.
        check(read([0x0B, 0xB8, 0x47, 0x40, 0x2A, 0xE1]) == .reading, "3000 ppm")
        check(read([0x07, 0xD0, 0x47, 0x40, 0x2A, 0xE1]) == .reading, "2000 ppm of a part that has said more")
        check(read([0x13, 0x88, 0x47, 0x40, 0x2A, 0xE1]) == .saturated, "5000 ppm of the same part")
        var ranged = try MHZ19(SensorOptions(["range_ppm": "5000"]))
        check(read([0x07, 0xD0, 0x47, 0x40, 0x2A, 0xE1], &ranged) == .reading, "2000 ppm of a range of 5000")
        check(read([0x13, 0x88, 0x47, 0x40, 0x2A, 0xE1], &ranged) == .saturated, "5000 ppm of a range of 5000")
        check(
            error { () throws(SensorError) in _ = try MHZ19(SensorOptions(["range_ppm": "3000"])) } != nil,
            "a range that no part has")
        // Its two lines touch: what was asked comes back, with its right checksum.
        let echo = ScriptedBus([[0xFF, 0x01, 0x86, 0, 0, 0, 0, 0, 0x79]])
        check(outcome { () throws(SensorError) in _ = try driver.read(echo) } == .garbled, "an echo")
    }

    private static func senseair(_ check: Check) throws(SensorError) {
        let driver = try SenseairS8(SensorOptions([:]))
        func read(_ status: UInt8, _ ppm: UInt16) -> Outcome {
            let body: [UInt8] = [0xFE, 0x04, 0x08, 0, status, 0, 0, 0, 0, UInt8(ppm >> 8), UInt8(ppm & 0xFF)]
            let bus = ScriptedBus([body + ModbusChecksum.of(body)])
            return outcome { () throws(SensorError) in _ = try driver.read(bus) }
        }
        check(read(0x00, 612) == .reading, "612 ppm")
        for bit in [UInt8(0x01), 0x02, 0x04, 0x08, 0x10, 0x40] { check(read(bit, 612) == .faulty, "an error bit") }
        check(read(0x20, 10_000) == .saturated, "out of range")
        check(read(0x00, 0) == .warming, "0 ppm")
        check(read(0x00, 0x7FFF) == .saturated, "the end of 16 bits")
    }

    private static func explorIR(_ check: Check) throws(SensorError) {
        var driver = try ExplorIR(SensorOptions([:]))
        try driver.begin(ScriptedBus([Array(" K 00002\r\n".utf8), Array(" . 00010\r\n".utf8)]))
        func read(_ text: String) -> Outcome {
            let bus = ScriptedBus([Array(text.utf8)])
            return outcome { () throws(SensorError) in _ = try driver.read(bus) }
        }
        check(read(" Z 00068\r\n") == .reading, "680 ppm")
        check(read(" Z 00000\r\n") == .warming, "0 ppm")
        check(read(" Z 65535\r\n") == .saturated, "the end of its counts")
        check(read(" Z 00068 z") == .garbled, "it streams, as after power-on")
    }

    /// Data of the BMP280 datasheet's example (§3.12); reset values of BST-BME280-DS002, Table 18.
    private static func bme280(_ check: Check) throws(SensorError) {
        var driver = try BME280(SensorOptions([:]))
        var calibration = BME280.Calibration()
        calibration.t = [27_504, 26_435, -1000]
        calibration.p = [36_477, -10_685, 3024, 2855, 140, -7, 15_500, -14_600, 6000]
        calibration.h = [75, 362, 0, 313, 50, 30]
        driver.calibration = calibration
        func read(_ settings: [UInt8], _ data: [UInt8], status: UInt8 = 0) -> Outcome {
            let bus = ScriptedBus([[status], settings + data])
            return outcome { () throws(SensorError) in _ = try driver.read(bus) }
        }
        let held: [UInt8] = [0x01, 0x00, 0x24, 0x00, 0x00]
        let good: [UInt8] = [0x65, 0x5A, 0xC0, 0x7E, 0xED, 0x00, 0x6D, 0x60]
        check(read(held, good) == .reading, "the example")
        check(read([0x00, 0x00, 0x24, 0x00, 0x00], good) == .warming, "ctrl_hum of power-on")
        check(read([0x01, 0x00, 0x00, 0x00, 0x00], good) == .warming, "ctrl_meas of power-on")
        check(read([0x01, 0x08, 0x25, 0x00, 0x00], good) == .notReady, "it still measures")
        let reset: [UInt8] = [0x80, 0x00, 0x00, 0x80, 0x00, 0x00, 0x80, 0x00]
        check(read(held, reset) == .notReady, "data of power-on")
        check(read(held, Array(reset[..<3] + good[3...])) == .notReady, "pressure that was not measured")
        check(read(held, Array(good[..<6] + reset[6...])) == .notReady, "humidity that was not measured")
        check(read(held, [0xFF, 0xFF, 0xF0] + good[3...]) == .saturated, "the end of the converter")
        check(read(held, [0x00, 0x00, 0x00] + good[3...]) == .saturated, "its other end")
        check(read(held, Array(good[..<6]) + [0xFF, 0xFF]) == .saturated, "the end of the humidity's converter")
        let asked = ScriptedBus([[0x00], held + good])
        _ = try driver.read(asked)
        check(asked.asked.first == [0xE0, 0xB6], "each measurement begins with a soft reset")
        // The calibration is not copied yet when it is asked once, and then it is.
        let slow = ScriptedBus([[0x01], [0x01], [0x00], held + good])
        check(value(try driver.read(slow), "temperature") == 25.08, "it is waited for until its calibration is copied")
    }

    private static func sensirion(_ check: Check) throws(SensorError) {
        func words(_ values: [UInt16]) -> [UInt8] {
            values.flatMap { value in
                let own = [UInt8(value >> 8), UInt8(value & 0xFF)]
                return own + [SensirionWords.checksum(own)]
            }
        }
        // A word of zeros has the checksum 0x81, one of ones 0xAC.
        check(words([0, 0xFFFF]) == [0, 0, 0x81, 0xFF, 0xFF, 0xAC], "checksums of zeros and ones")
        let fourth = try SCD4x(SensorOptions([:]))
        func scd4x(_ values: [UInt16]) -> Outcome {
            outcome { () throws(SensorError) in _ = try fourth.read(ScriptedBus([words([0x8006]), words(values)])) }
        }
        check(scd4x([500, 0x6667, 0x5EB9]) == .reading, "500 ppm")
        check(scd4x([0, 0x6667, 0x5EB9]) == .warming, "0 ppm")
        check(scd4x([40_000, 0x6667, 0x5EB9]) == .saturated, "40000 ppm")
        check(scd4x([500, 0, 0x5EB9]) == .saturated, "-45 degrees")
        var other = try SCD4x(SensorOptions([:]))
        check(
            outcome { () throws(SensorError) in try other.begin(ScriptedBus([words([0, 0, 0])])) } == .faulty,
            "a serial number of zeros")
        let third = try SCD30(SensorOptions([:]))
        func scd30(_ co2: Float) -> Outcome {
            let halves = [co2, 20, 50].flatMap { [UInt16($0.bitPattern >> 16), UInt16($0.bitPattern & 0xFFFF)] }
            return outcome { () throws(SensorError) in
                _ = try third.read(ScriptedBus([words([1]), words(halves)]))
            }
        }
        check(scd30(439) == .reading && scd30(0) == .warming, "SCD30: 0 ppm")
        check(scd30(40_000) == .saturated && scd30(.nan) == .garbled, "SCD30: 40000 ppm, no number")
        let air = try SHT3x(SensorOptions([:]))
        // 0x0001 is -44.997 degrees: it is cold, and the part is well (datasheet §4.13).
        let cold = value(try air.read(ScriptedBus([words([1, 0x8000])])), "temperature")
        check(isNear(cold, -44.9973, by: 0.0001), "SHT3x: -45 degrees")
        for word in [UInt16(0), 0xFFFF] {
            let bus = ScriptedBus([words([word, 0x8000])])
            check(outcome { () throws(SensorError) in _ = try air.read(bus) } == .saturated, "SHT3x: an end")
        }
    }

    private static func powerMonitors(_ check: Check) throws(SensorError) {
        func bytes(_ words: [UInt16]) -> [[UInt8]] { words.map { [UInt8($0 >> 8), UInt8($0 & 0xFF)] } }
        let first = try INA219(SensorOptions([:]))
        func ina219(_ words: [UInt16]) -> Outcome {
            outcome { () throws(SensorError) in _ = try first.read(ScriptedBus(bytes(words))) }
        }
        check(ina219([0x5D9A, 2000, 0x399F]) == .reading, "INA219: 11.98 V")
        check(ina219([0x0000, 0x0000, 0x399F]) == .notReady, "INA219: reset, and no conversion is done")
        check(ina219([0x5D9A, 0xFFFF, 0xFFFF]) == .faulty, "INA219: it lost its power while it was read")
        // Table 7: 32000 steps are 320 mV; 8000 steps of 4 mV are 32 V.
        check(ina219([0x5D9A, 0x7D00, 0x399F]) == .saturated, "INA219: 320 mV")
        check(ina219([0x5D9A, 0x8300, 0x399F]) == .saturated, "INA219: -320 mV")
        check(ina219([8000 << 3 | 2, 2000, 0x399F]) == .saturated, "INA219: 32 V")
        let second = try INA226(SensorOptions([:]))
        func ina226(_ words: [UInt16]) -> Outcome {
            outcome { () throws(SensorError) in _ = try second.read(ScriptedBus(bytes(words))) }
        }
        check(ina226([0x0008, 1000, 9600, 0x4127]) == .reading, "INA226: 12 V")
        check(ina226([0x0000, 0, 0, 0x4127]) == .notReady, "INA226: reset, and no conversion is done")
        check(ina226([0x0008, 0x7FFF, 9600, 0x4127]) == .saturated, "INA226: 81.92 mV")
        check(ina226([0x0008, 1000, 9600, 0xFFFF]) == .faulty, "INA226: it lost its power")
        let gauge = try MAX17048(SensorOptions([:]))
        let reset = ScriptedBus(bytes([0xC000, 0x5680, 0x0012, 0x0100]))
        check(outcome { () throws(SensorError) in _ = try gauge.read(reset) } == .warming, "MAX17048: it was reset")
        check(reset.asked.last == [0x1A, 0x00, 0x00], "MAX17048: which is cleared")
        let empty = ScriptedBus(bytes([0x0000, 0x0000, 0x0012, 0x0000]))
        check(outcome { () throws(SensorError) in _ = try gauge.read(empty) } == .faulty, "MAX17048: 0 V")
        let off = ScriptedBus(bytes([0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF]))
        check(outcome { () throws(SensorError) in _ = try gauge.read(off) } == .faulty, "MAX17048: ones")
    }

    private static func bh1750(_ check: Check) throws(SensorError) {
        let driver = try BH1750(SensorOptions([:]))
        func read(_ answers: [[UInt8]]) throws(SensorError) -> Double {
            value(try driver.read(ScriptedBus(answers)), "illuminance")
        }
        check(try read([[0, 0], [0, 0]]) == 0, "dark, twice")
        check(isNear(try read([[0, 0], [0x83, 0x90]]), 28_067, by: 0.4), "it was reset during the first measurement")
        check(
            outcome { () throws(SensorError) in _ = try read([[0xFF, 0xFF]]) } == .saturated,
            "more light than it can tell")
    }

    private static func ds3231Bits(_ check: Check) throws(SensorError) {
        let driver = try DS3231(SensorOptions([:]))
        var registers: [UInt8] = [0x44, 0x38, 0x14, 0x07, 0x21, 0x11, 0x26] + [UInt8](repeating: 0, count: 10)
        registers += [0x19, 0x40]
        for (at, bits) in [(0, UInt8(0x80)), (1, 0x80), (2, 0x80), (3, 0x08), (4, 0x40), (5, 0x20), (0x12, 0x01)] {
            var other = registers
            other[at] |= bits
            check(
                outcome { () throws(SensorError) in _ = try driver.read(ScriptedBus([other])) } == .faulty, "a set bit")
        }
    }
}
