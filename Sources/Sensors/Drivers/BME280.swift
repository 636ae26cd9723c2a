/// Bosch BME280, and BMP280 without humidity: temperature, pressure, humidity, compensated in integers as the datasheets have
/// it (BST-BME280-DS002, §4.2.3; BST-BMP280-DS001, §3.11.3).
///
/// After a short loss of power the chip may answer, convert, and be wrong until a soft reset: pressure near 700 hPa, which is
/// possible at 3,000 m, so no range shows it (github.com/esphome/issues 3383). So each measurement begins with a soft reset,
/// and counts only if the chip still has the settings of this measurement afterwards. What is never a reading:
/// - data registers at 0x80000 (temperature, pressure) or 0x8000 (humidity): nothing was measured (Table 18; §5.4.7, §5.4.8),
/// - ctrl_hum or ctrl_meas at 0x00: the chip was reset meanwhile (Table 18),
/// - a converter at an end of its range.
struct BME280: SensorDriver {
    struct Calibration: Sendable, Hashable {
        var t: [Int64] = [0, 0, 0]
        var p: [Int64] = Array(repeating: 0, count: 9)
        /// H1 to H6; nil for a BMP280.
        var h: [Int32]?
    }

    var calibration: Calibration?

    init(_ options: SensorOptions) throws(SensorError) {}

    mutating func begin(_ bus: some Bus) throws(SensorError) {
        calibration = nil
        let id = try bus.ask([0xD0], reading: 1)[0]
        guard id == 0x60 || (0x56...0x58).contains(id) else {
            throw .faulty("the chip says that it is 0x\(String(id, radix: 16)), not a BME280 or BMP280")
        }
        try Self.reset(bus)
        let read = try Self.readCalibration(bus, hasHumidity: id == 0x60)
        // It has no checksum that the datasheet tells of, and each later reading depends on it.
        guard try Self.readCalibration(bus, hasHumidity: id == 0x60) == read else {
            throw .garbled("its calibration was not the same when read twice")
        }
        guard ![0, 0xFFFF].contains(read.t[0]), ![0, 0xFFFF].contains(read.p[0]) else {
            throw .faulty("its calibration is empty")
        }
        calibration = read
    }

    /// Soft reset: the whole power-on procedure (§5.4.2). It takes 2 ms (Table 1) and is over when the chip has copied its
    /// calibration, which bit 0 of `status` tells (§5.4.4).
    private static func reset(_ bus: some Bus) throws(SensorError) {
        _ = try bus.ask([0xE0, 0xB6])
        for _ in 0..<10 {
            bus.pause(milliseconds: 2)
            if try bus.ask([0xF3], reading: 1)[0] & 0x01 == 0 { return }
        }
        throw .faulty("it was reset and does not copy its calibration")
    }

    private static func readCalibration(_ bus: some Bus, hasHumidity: Bool) throws(SensorError) -> Calibration {
        let low = try bus.ask([0x88], reading: 24)
        func unsigned(_ at: Int) -> Int64 { Int64(UInt16(low[at]) | UInt16(low[at + 1]) << 8) }
        func signed(_ at: Int) -> Int64 { Int64(Int16(bitPattern: UInt16(low[at]) | UInt16(low[at + 1]) << 8)) }
        var read = Calibration()
        read.t = [unsigned(0), signed(2), signed(4)]
        read.p = [unsigned(6)] + stride(from: 8, to: 24, by: 2).map(signed)
        guard hasHumidity else { return read }
        let first = try bus.ask([0xA1], reading: 1)[0]
        let rest = try bus.ask([0xE1], reading: 7)
        read.h = [
            Int32(first), Int32(Int16(bitPattern: UInt16(rest[0]) | UInt16(rest[1]) << 8)), Int32(rest[2]),
            // H4 and H5 share a byte, and are signed (§4.2.2).
            Int32(Int8(bitPattern: rest[3])) << 4 | Int32(rest[4] & 0x0F),
            Int32(Int8(bitPattern: rest[5])) << 4 | Int32(rest[4] >> 4), Int32(Int8(bitPattern: rest[6])),
        ]
        return read
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        guard let calibration else { throw .notReady }
        try Self.reset(bus)
        // Humidity first: it takes effect with the write of the other register (§5.4.3). Each once, forced mode: 9.3 ms at most
        // (§9.1).
        if calibration.h != nil { _ = try bus.ask([0xF2, 0x01]) }
        _ = try bus.ask([0xF4, 0x25])
        bus.pause(milliseconds: 10)
        // The settings and the data in one burst: ctrl_hum (BME280 alone), status, ctrl_meas, config, 0xF6, and the data.
        let first: UInt8 = calibration.h == nil ? 0xF3 : 0xF2
        let last: UInt8 = calibration.h == nil ? 0xFC : 0xFE
        let bytes = try bus.ask([first], reading: Int(last - first) + 1)
        func register(_ address: UInt8) -> Int64 { Int64(bytes[Int(address - first)]) }
        guard bytes.contains(where: { $0 != 0 }) else { throw .faulty("each of its registers is 0: it has no power") }
        // Forced mode ends in sleep mode (§3.3.3).
        guard register(0xF4) & 0xFC == 0x24, calibration.h == nil || register(0xF2) & 0x07 == 0x01 else {
            throw .warming("it was reset while it measured: its settings are not the ones that were written")
        }
        guard register(0xF3) & 0x08 == 0, register(0xF4) & 0x03 == 0 else { throw .notReady }
        let pressure = register(0xF7) << 12 | register(0xF8) << 4 | register(0xF9) >> 4
        let temperature = register(0xFA) << 12 | register(0xFB) << 4 | register(0xFC) >> 4
        guard temperature != 0x80000, pressure != 0x80000 else { throw .notReady }
        // Measured once, a value has 16 bits; the low four are 0 (§4).
        guard (0x10..<0xFFFF0).contains(temperature), (0x10..<0xFFFF0).contains(pressure) else {
            throw .saturated("its converter is at an end of its range")
        }
        let (hundredths, fine) = Self.temperature(temperature, calibration)
        var quantities = [
            Quantity("temperature", Double(hundredths) / 100, unit: "°C"),
            Quantity("pressure", Double(Self.pressure(pressure, fine, calibration)) / 25_600, unit: "hPa"),
        ]
        if let h = calibration.h {
            let raw = Int32(register(0xFD) << 8 | register(0xFE))
            guard raw != 0x8000 else { throw .notReady }
            guard raw != 0, raw != 0xFFFF else { throw .saturated("its humidity converter is at an end of its range") }
            quantities.append(
                Quantity("humidity", Double(Self.humidity(raw, Int32(truncatingIfNeeded: fine), h)) / 1024, unit: "%"))
        }
        return quantities
    }

    /// Hundredths of a degree, and the finer value that the others need.
    static func temperature(_ raw: Int64, _ calibration: Calibration) -> (hundredths: Int64, fine: Int64) {
        let t = calibration.t
        let first = (((raw >> 3) - (t[0] << 1)) * t[1]) >> 11
        let offset = (raw >> 4) - t[0]
        let second = (((offset * offset) >> 12) * t[2]) >> 14
        return (((first + second) * 5 + 128) >> 8, first + second)
    }

    /// 256ths of a pascal.
    static func pressure(_ raw: Int64, _ fine: Int64, _ calibration: Calibration) -> Int64 {
        let p = calibration.p
        var first = fine - 128_000
        var second = first * first * p[5]
        second += (first * p[4]) << 17
        second += p[3] << 35
        first = ((first * first * p[2]) >> 8) + ((first * p[1]) << 12)
        first = (((1 << 47) + first) * p[0]) >> 33
        guard first != 0 else { return 0 }
        var value = 1_048_576 - raw
        value = (((value << 31) - second) * 3125) / first
        let third = (p[8] * (value >> 13) * (value >> 13)) >> 25
        let fourth = (p[7] * value) >> 19
        return ((value + third + fourth) >> 8) + (p[6] << 4)
    }

    /// 1024ths of a percent.
    static func humidity(_ raw: Int32, _ fine: Int32, _ h: [Int32]) -> Int32 {
        let x = fine &- 76_800
        let left = ((raw << 14) &- (h[3] << 20) &- (h[4] &* x) &+ 16_384) >> 15
        let inner = (((x &* h[5]) >> 10) &* (((x &* h[2]) >> 11) &+ 32_768)) >> 10
        let right = ((inner &+ 2_097_152) &* h[1] &+ 8192) >> 14
        var value = left &* right
        value = value &- (((((value >> 15) &* (value >> 15)) >> 7) &* h[0]) >> 4)
        return min(max(value, 0), 419_430_400) >> 12
    }
}
