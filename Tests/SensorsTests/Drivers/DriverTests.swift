import Testing

@testable import Sensors

/// A device that answers as it is told, and remembers what it was asked.
private final class ScriptedBus: Bus {
    private var answers: [[UInt8]]
    private(set) var asked: [[UInt8]] = []

    /// - Parameter answers: for those exchanges that read, in their order.
    init(_ answers: [[UInt8]]) {
        self.answers = answers
    }

    func exchange(_ bytes: [UInt8], reading count: Int) throws(BusError) -> [UInt8] {
        if !bytes.isEmpty { asked.append(bytes) }
        guard count > 0 || bytes.isEmpty else { return [] }
        guard !answers.isEmpty else { throw .absent }
        let answer = answers.removeFirst()
        guard count == 0 || answer.count == count else { throw .timeout }
        return answer
    }

    func pause(milliseconds: Int) {}
}

/// Against the examples of datasheets.
@Suite struct DriverTests {
    private func values(_ quantities: [Quantity]) -> [String: Double] {
        Dictionary(uniqueKeysWithValues: quantities.map { ($0.name, $0.value) })
    }

    private func isNear(_ value: Double?, _ wanted: Double, by tolerance: Double = 0.01) -> Bool {
        value.map { abs($0 - wanted) <= tolerance } ?? false
    }

    /// SCD4x datasheet §3.6.2; checksum §3.11.
    @Test func readsAnSCD4x() throws {
        #expect(SensirionWords.checksum([0xBE, 0xEF]) == 0x92)
        let driver = try SCD4x(SensorOptions(["altitude_m": "1950", "self_calibration": "false"]))
        let start = ScriptedBus([[0xF8, 0x96, 0x31, 0x9F, 0x07, 0xC2, 0x3B, 0xBE, 0x89]])
        try driver.begin(start)
        // §3.7.4: 1,950 m is sent as 0x079E, checksum 0x09.
        #expect(start.asked.contains([0x24, 0x27, 0x07, 0x9E, 0x09]))
        #expect(start.asked.first == [0x3F, 0x86] && start.asked.last == [0x21, 0xB1])
        let bus = ScriptedBus([
            [0x80, 0x06, SensirionWords.checksum([0x80, 0x06])],
            [0x01, 0xF4, 0x33, 0x66, 0x67, 0xA2, 0x5E, 0xB9, 0x3C],
        ])
        let read = values(try driver.read(bus))
        #expect(read["co2"] == 500 && isNear(read["temperature"], 25) && isNear(read["humidity"], 37, by: 0.05))
        #expect(throws: SensorError.notReady) { try driver.read(ScriptedBus([[0x80, 0x00, 0xA2]])) }
        #expect(throws: SensorError.self) {
            try driver.read(
                ScriptedBus([[0x80, 0x06, 0x04], [0x01, 0xF4, 0x34, 0x66, 0x67, 0xA2, 0x5E, 0xB9, 0x3C]]))
        }
    }

    /// SCD30 interface description §1.4.5.
    @Test func readsAnSCD30() throws {
        let driver = try SCD30(SensorOptions(["pressure_hpa": "700"]))
        let start = ScriptedBus([])
        try driver.begin(start)
        // §1.4.1: 700 mbar is 0x02BC.
        #expect(start.asked.last?.prefix(4) == [0x00, 0x10, 0x02, 0xBC])
        let bus = ScriptedBus([
            [0x00, 0x01, 0xB0],
            [
                0x43, 0xDB, 0xCB, 0x8C, 0x2E, 0x8F, 0x41, 0xD9, 0x70, 0xE7, 0xFF, 0xF5, 0x42, 0x43, 0xBF, 0x3A, 0x1B,
                0x74,
            ],
        ])
        let read = values(try driver.read(bus))
        #expect(isNear(read["co2"], 439.09))
        #expect(isNear(read["temperature"], 27.238) && isNear(read["humidity"], 48.806))
    }

    /// BMP280 datasheet §3.12, "Calculating pressure and temperature".
    @Test func compensatesLikeBoschsExample() {
        var calibration = BME280.Calibration()
        calibration.t = [27_504, 26_435, -1000]
        calibration.p = [36_477, -10_685, 3024, 2855, 140, -7, 15_500, -14_600, 6000]
        let (hundredths, fine) = BME280.temperature(519_888, calibration)
        #expect(hundredths == 2508 && fine == 128_422)
        // The example's own result is 100,653.27 Pa, in floating point.
        #expect(isNear(Double(BME280.pressure(415_148, fine, calibration)) / 256, 100_653.27, by: 0.02))
    }

    /// Against the datasheet's own formula in floating point (BME280, §8.1).
    @Test func compensatesHumidityLikeTheFormulaInFloatingPoint() {
        let h: [Int32] = [75, 362, 0, 313, 50, 30]
        for raw in stride(from: Int32(20_000), through: 40_000, by: 500) {
            for fine in [Int32(60_000), 128_422, 200_000] {
                var value = Double(fine) - 76_800
                value =
                    (Double(raw) - (Double(h[3]) * 64 + Double(h[4]) / 16_384 * value))
                    * (Double(h[1]) / 65_536
                        * (1 + Double(h[5]) / 67_108_864 * value * (1 + Double(h[2]) / 67_108_864 * value)))
                value = min(max(value * (1 - Double(h[0]) * value / 524_288), 0), 100)
                let own = Double(BME280.humidity(raw, fine, h)) / 1024
                #expect(abs(own - value) < 0.05, "\(raw) \(fine): \(own) \(value)")
            }
        }
    }

    @Test func readsABMP280AndRefusesAnotherChip() throws {
        var driver = try BME280(SensorOptions([:]))
        func little(_ values: [Int]) -> [UInt8] { values.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8 & 0xFF)] } }
        let calibration = little([
            27_504, 26_435, -1000, 36_477, -10_685, 3024, 2855, 140, -7, 15_500, -14_600, 6000,
        ])
        try driver.begin(ScriptedBus([[0x58], calibration]))
        let read = values(try driver.read(ScriptedBus([[0x65, 0x5A, 0xC0, 0x7E, 0xED, 0x00]])))
        #expect(read["temperature"] == 25.08 && isNear(read["pressure"], 1006.5327, by: 0.0003))
        #expect(read["humidity"] == nil)
        #expect(throws: SensorError.self) { try driver.begin(ScriptedBus([[0x61]])) }
    }

    @Test func readsSHTAndLight() throws {
        let word: [UInt8] = [0xBE, 0xEF, 0x92]
        let third = try SHT3x(SensorOptions([:]))
        let read = values(try third.read(ScriptedBus([word + word])))
        // 0xBEEF is 48,879 of 65,535.
        #expect(isNear(read["temperature"], 85.523, by: 0.001) && isNear(read["humidity"], 74.585, by: 0.001))
        let fourth = try SHT4x(SensorOptions([:]))
        #expect(isNear(values(try fourth.read(ScriptedBus([word + word])))["humidity"], 87.231, by: 0.001))
        // BH1750 datasheet: 1000 0011 1001 0000 is 28,067 lx.
        let light = try BH1750(SensorOptions([:]))
        #expect(isNear(values(try light.read(ScriptedBus([[0x83, 0x90]])))["illuminance"], 28_067, by: 0.4))
    }

    /// INA219 datasheet, table 8, and INA226 datasheet, table 13: 11.98 V and 10 A through 2 mΩ.
    @Test func readsPower() throws {
        let options = SensorOptions(["shunt_ohms": "0.002"])
        let first = try INA219(options)
        try first.begin(ScriptedBus([[0x39, 0x9F]]))
        let read = values(try first.read(ScriptedBus([[0x5D, 0x9A], [0x07, 0xD0]])))
        #expect(isNear(read["voltage"], 11.98) && isNear(read["current"], 10) && isNear(read["power"], 119.8))
        let second = try INA226(options)
        try second.begin(ScriptedBus([[0x54, 0x49]]))
        let again = values(try second.read(ScriptedBus([[0x1F, 0x40], [0x25, 0x70]])))
        #expect(isNear(again["voltage"], 11.98) && isNear(again["current"], 10))
        // Current that flows the other way.
        #expect(isNear(values(try second.read(ScriptedBus([[0xE0, 0xC0], [0x25, 0x70]])))["current"], -10))
        let gauge = try MAX17048(SensorOptions([:]))
        try gauge.begin(ScriptedBus([[0x00, 0x12]]))
        let cell = values(try gauge.read(ScriptedBus([[0xC0, 0x00], [0x56, 0x80]])))
        #expect(cell["voltage"] == 3.84 && cell["battery"] == 86.5)
    }

    /// The kernel's documentation of w1_therm.
    @Test func readsADS18B20() throws {
        let driver = try DS18B20(SensorOptions([:]))
        func read(_ text: String) throws -> Double? {
            values(try driver.read(ScriptedBus([Array(text.utf8)])))["temperature"]
        }
        #expect(
            try read(
                "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n") == 23.125)
        #expect(try read("ff : crc=57 YES\nff t=-1062\n") == -1.062)
        #expect(throws: SensorError.notReady) { try read("50 05 : crc=1c YES\n50 05 t=85000\n") }
        #expect(throws: SensorError.self) { try read("72 : crc=00 NO\n72 t=23125\n") }
        #expect(throws: SensorError.self) { try read("") }
    }

    @Test func readsSerialCO2() throws {
        let s8 = try SenseairS8(SensorOptions([:]))
        // Senseair's own example: 400 ppm.
        let bus = ScriptedBus([[0xFE, 0x04, 0x02, 0x01, 0x90, 0xAC, 0xD8]])
        #expect(values(try s8.read(bus))["co2"] == 400)
        #expect(bus.asked == [[0xFE, 0x04, 0x00, 0x03, 0x00, 0x01, 0xD5, 0xC5]])
        let k30 = try SenseairK30(SensorOptions([:]))
        let other = ScriptedBus([[0x68, 0x04, 0x02, 0x01, 0x90, 0x00, 0x00]])
        #expect(throws: SensorError.self) { try k30.read(other) }
        #expect(other.asked == [[0x68, 0x04, 0x00, 0x03, 0x00, 0x01, 0xC8, 0xF3]])
        let winsen = try MHZ19(SensorOptions([:]))
        let third = ScriptedBus([[0xFF, 0x86, 0x02, 0x60, 0x47, 0x00, 0x00, 0x00, 0xD1]])
        #expect(values(try winsen.read(third))["co2"] == 608)
        var gss = try ExplorIR(SensorOptions([:]))
        try gss.begin(ScriptedBus([Array(" K 00002\r\n".utf8), Array(" . 00010\r\n".utf8)]))
        #expect(values(try gss.read(ScriptedBus([Array(" Z 00068\r\n".utf8)])))["co2"] == 680)
        #expect(throws: SensorError.self) { try gss.read(ScriptedBus([Array(" ? 00000\r\n".utf8)])) }
    }

    @Test func saysWhichOptionIsWrong() {
        #expect(throws: SensorError.badOption("altitude_m=9000 is not a number from 0.0 to 3000.0")) {
            try SCD4x(SensorOptions(["altitude_m": "9000"]))
        }
    }
}

@Suite struct SensorWatchTests {
    private static let second: Int64 = 1_000_000_000
    private let entry = SensorCatalogue.byKind["scd4x"]!
    private let good = [Quantity("co2", 500, unit: "ppm"), Quantity("temperature", 20, unit: "°C")]

    @Test func letsItWarmUpAndCorrects() {
        var correction = SensorWatch.Correction()
        correction.offset = -3
        var watch = SensorWatch(
            entry: entry, intervalNanoseconds: 60 * Self.second, corrections: ["temperature": correction])
        #expect(watch.needsBegin)
        #expect(watch.take(.success(good), now: 0).isEmpty && watch.state == .warming && !watch.needsBegin)
        let kept = watch.take(.success(good), now: 60 * Self.second)
        #expect(watch.state == .ok && kept.first { $0.name == "co2" }?.raw == nil)
        #expect(kept.first { $0.name == "temperature" }.map { [$0.value, $0.raw ?? 0] } == [17, 20])
    }

    @Test func tellsWhatIsWrongAndPausesLonger() {
        var watch = SensorWatch(entry: entry, intervalNanoseconds: 60 * Self.second)
        _ = watch.take(.success(good), now: 0)
        _ = watch.take(.success(good), now: 60 * Self.second)
        let cannotBe = [Quantity("co2", 0, unit: "ppm")]
        #expect(watch.take(.success(cannotBe), now: 61 * Self.second).isEmpty && watch.state == .faulty)
        let absent: Result<[Quantity], SensorError> = .failure(.bus(.absent))
        var pauses: [Int64] = []
        for round in 0..<12 {
            _ = watch.take(absent, now: (62 + Int64(round)) * Self.second)
            #expect(watch.state == .absent && watch.needsBegin)
            pauses.append(watch.pauseNanoseconds(after: absent, spread: 0) / Self.second)
        }
        #expect(pauses == [60, 120, 240, 480, 600, 600, 600, 600, 600, 600, 600, 600])
        // It is back, and warms up again.
        #expect(watch.take(.success(good), now: 7000 * Self.second).isEmpty && watch.state == .warming)
        #expect(watch.take(.success(good), now: 7060 * Self.second).count == 2 && watch.state == .ok)
        // Nothing new for three intervals.
        _ = watch.take(.failure(.notReady), now: 7070 * Self.second)
        #expect(watch.state == .ok)
        _ = watch.take(.failure(.notReady), now: 7300 * Self.second)
        #expect(watch.state == .stale && watch.needsBegin)
    }
}
