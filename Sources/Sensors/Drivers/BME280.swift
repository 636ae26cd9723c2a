/// Bosch BME280, and BMP280 without humidity: temperature, pressure, humidity, compensated in integers as the datasheets have
/// it (BST-BME280-DS002, §4.2.3; BST-BMP280-DS001, §3.11.3).
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
        let id = try bus.ask([0xD0], reading: 1)[0]
        guard id == 0x60 || (0x56...0x58).contains(id) else {
            throw .faulty("the chip says that it is 0x\(String(id, radix: 16)), not a BME280 or BMP280")
        }
        let low = try bus.ask([0x88], reading: 24)
        func unsigned(_ at: Int) -> Int64 { Int64(UInt16(low[at]) | UInt16(low[at + 1]) << 8) }
        func signed(_ at: Int) -> Int64 { Int64(Int16(bitPattern: UInt16(low[at]) | UInt16(low[at + 1]) << 8)) }
        var read = Calibration()
        read.t = [unsigned(0), signed(2), signed(4)]
        read.p = [unsigned(6)] + stride(from: 8, to: 24, by: 2).map(signed)
        if id == 0x60 {
            let first = try bus.ask([0xA1], reading: 1)[0]
            let rest = try bus.ask([0xE1], reading: 7)
            read.h = [
                Int32(first), Int32(Int16(bitPattern: UInt16(rest[0]) | UInt16(rest[1]) << 8)), Int32(rest[2]),
                // H4 and H5 share a byte, and are signed (§4.2.2).
                Int32(Int8(bitPattern: rest[3])) << 4 | Int32(rest[4] & 0x0F),
                Int32(Int8(bitPattern: rest[5])) << 4 | Int32(rest[4] >> 4), Int32(Int8(bitPattern: rest[6])),
            ]
        }
        guard read.t[0] != 0, read.p[0] != 0 else { throw .faulty("its calibration is empty") }
        calibration = read
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        guard let calibration else { throw .notReady }
        // Humidity first: it takes effect with the write of the other register (§5.4.3). Each once, forced mode.
        if calibration.h != nil { _ = try bus.ask([0xF2, 0x01]) }
        _ = try bus.ask([0xF4, 0x25])
        bus.pause(milliseconds: 10)
        let data = try bus.ask([0xF7], reading: calibration.h == nil ? 6 : 8)
        let pressure = Int64(data[0]) << 12 | Int64(data[1]) << 4 | Int64(data[2] >> 4)
        let temperature = Int64(data[3]) << 12 | Int64(data[4]) << 4 | Int64(data[5] >> 4)
        // What stands there while nothing was measured.
        guard temperature != 0x80000, pressure != 0x80000 else { throw .notReady }
        let (hundredths, fine) = Self.temperature(temperature, calibration)
        var quantities = [
            Quantity("temperature", Double(hundredths) / 100, unit: "°C"),
            Quantity("pressure", Double(Self.pressure(pressure, fine, calibration)) / 25_600, unit: "hPa"),
        ]
        if let h = calibration.h {
            let raw = Int32(data[6]) << 8 | Int32(data[7])
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
