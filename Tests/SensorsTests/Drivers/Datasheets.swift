#if canImport(Sensors)
@testable import Sensors
#endif

/// A device that answers as it is told, and remembers what it was asked.
final class ScriptedBus: Bus {
    private var answers: [[UInt8]]
    private(set) var asked: [[UInt8]] = []
    let secondsSince1970: Double

    /// - Parameter answers: for those exchanges that read, in their order.
    init(_ answers: [[UInt8]], secondsSince1970: Double = 0) {
        self.answers = answers
        self.secondsSince1970 = secondsSince1970
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

/// The examples of datasheets, and what must come of them.
///
/// Free of a test library and of existentials, so that it also runs where there is neither (Tests/Embedded).
struct Datasheets: Sendable {
    typealias Check = (_ isSo: Bool, _ what: StaticString) -> Void

    let name: StaticString
    let examine: @Sendable (Check) throws(SensorError) -> Void

    static let all: [Datasheets] = [
        Datasheets(name: "SCD4x", examine: scd4x), Datasheets(name: "SCD30", examine: scd30),
        Datasheets(name: "BMP280", examine: bmp280), Datasheets(name: "BME280 humidity", examine: humidity),
        Datasheets(name: "SHT3x, SHT4x, BH1750", examine: sht),
        Datasheets(name: "INA219, INA226, MAX17048", examine: power),
        Datasheets(name: "DS18B20", examine: ds18b20), Datasheets(name: "DS3231", examine: ds3231),
        Datasheets(name: "serial CO2", examine: serial), Datasheets(name: "recalibration", examine: recalibration),
        Datasheets(name: "line watch", examine: line),
    ]

    static func value(_ quantities: [Quantity], _ name: String) -> Double {
        quantities.first { $0.name == name }?.value ?? .nan
    }

    static func isNear(_ value: Double, _ wanted: Double, by tolerance: Double = 0.01) -> Bool {
        abs(value - wanted) <= tolerance
    }

    static func error(_ body: () throws(SensorError) -> Void) -> SensorError? {
        do throws(SensorError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    /// Datasheet §3.6.2; checksum §3.11.
    private static func scd4x(_ check: Check) throws(SensorError) {
        check(SensirionWords.checksum([0xBE, 0xEF]) == 0x92, "the checksum of 0xBEEF")
        var driver = try SCD4x(SensorOptions(["altitude_m": "1950", "self_calibration": "false"]))
        let start = ScriptedBus([[0xF8, 0x96, 0x31, 0x9F, 0x07, 0xC2, 0x3B, 0xBE, 0x89]])
        try driver.begin(start)
        // §3.9.2: the example's serial number.
        check(driver.identity == "serial f8969f073bbe", "the serial number")
        // §3.7.4: 1,950 m is sent as 0x079E, checksum 0x09.
        check(start.asked.contains([0x24, 0x27, 0x07, 0x9E, 0x09]), "the altitude")
        check(start.asked.first == [0x3F, 0x86] && start.asked.last == [0x21, 0xB1], "stopped first, started last")
        let ready: [UInt8] = [0x80, 0x06, SensirionWords.checksum([0x80, 0x06])]
        let read = try driver.read(
            ScriptedBus([ready, [0x01, 0xF4, 0x33, 0x66, 0x67, 0xA2, 0x5E, 0xB9, 0x3C]]))
        check(value(read, "co2") == 500, "500 ppm")
        check(isNear(value(read, "temperature"), 25), "25 degrees")
        check(isNear(value(read, "humidity"), 37, by: 0.05), "37 %")
        check(
            error { () throws(SensorError) in _ = try driver.read(ScriptedBus([[0x80, 0x00, 0xA2]])) } == .notReady,
            "nothing new yet")
        let wrong = ScriptedBus([ready, [0x01, 0xF4, 0x34, 0x66, 0x67, 0xA2, 0x5E, 0xB9, 0x3C]])
        check(error { () throws(SensorError) in _ = try driver.read(wrong) } != nil, "a wrong checksum")
    }

    /// Interface description §1.4.5.
    private static func scd30(_ check: Check) throws(SensorError) {
        let driver = try SCD30(SensorOptions(["pressure_hpa": "700"]))
        let start = ScriptedBus([])
        try driver.begin(start)
        // §1.4.1: 700 mbar is 0x02BC.
        check(start.asked.last?.prefix(4) == [0x00, 0x10, 0x02, 0xBC], "the pressure")
        let read = try driver.read(
            ScriptedBus([
                [0x00, 0x01, 0xB0],
                [
                    0x43, 0xDB, 0xCB, 0x8C, 0x2E, 0x8F, 0x41, 0xD9, 0x70, 0xE7, 0xFF, 0xF5, 0x42, 0x43, 0xBF, 0x3A,
                    0x1B, 0x74,
                ],
            ]))
        check(isNear(value(read, "co2"), 439.09), "439.09 ppm")
        check(isNear(value(read, "temperature"), 27.238), "27.2 degrees")
        check(isNear(value(read, "humidity"), 48.806), "48.8 %")
    }

    private static let bosch: [Int] = [
        27_504, 26_435, -1000, 36_477, -10_685, 3024, 2855, 140, -7, 15_500, -14_600, 6000,
    ]

    /// BMP280 datasheet §3.12, "Calculating pressure and temperature".
    private static func bmp280(_ check: Check) throws(SensorError) {
        var calibration = BME280.Calibration()
        calibration.t = bosch[..<3].map { Int64($0) }
        calibration.p = bosch[3...].map { Int64($0) }
        let (hundredths, fine) = BME280.temperature(519_888, calibration)
        check(hundredths == 2508 && fine == 128_422, "25.08 degrees")
        // The example's own result is 100,653.27 Pa, in floating point.
        check(isNear(Double(BME280.pressure(415_148, fine, calibration)) / 256, 100_653.27, by: 0.02), "100653.27 Pa")
        var driver = try BME280(SensorOptions([:]))
        let registers = bosch.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8 & 0xFF)] }
        let start = ScriptedBus([[0x58], [0x00], registers, registers])
        try driver.begin(start)
        check(start.asked[1] == [0xE0, 0xB6], "a soft reset first")
        // Status, ctrl_meas as forced mode leaves it, config, a reserved register, and the data.
        let read = try driver.read(
            ScriptedBus([[0x00], [0x00, 0x24, 0x00, 0x00, 0x65, 0x5A, 0xC0, 0x7E, 0xED, 0x00]]))
        check(value(read, "temperature") == 25.08, "25.08 degrees from the registers")
        check(isNear(value(read, "pressure"), 1006.5327, by: 0.0003), "1006.53 hPa from the registers")
        check(value(read, "humidity").isNaN, "a BMP280 has no humidity")
        var other = driver
        check(error { () throws(SensorError) in try other.begin(ScriptedBus([[0x61]])) } != nil, "another chip")
    }

    /// Against the datasheet's own formula in floating point (BME280, §8.1).
    private static func humidity(_ check: Check) throws(SensorError) {
        let h: [Int32] = [75, 362, 0, 313, 50, 30]
        for raw in stride(from: Int32(20_000), through: 40_000, by: 500) {
            for fine in [Int32(60_000), 128_422, 200_000] {
                var value = Double(fine) - 76_800
                value =
                    (Double(raw) - (Double(h[3]) * 64 + Double(h[4]) / 16_384 * value))
                    * (Double(h[1]) / 65_536
                        * (1 + Double(h[5]) / 67_108_864 * value * (1 + Double(h[2]) / 67_108_864 * value)))
                value = min(max(value * (1 - Double(h[0]) * value / 524_288), 0), 100)
                check(isNear(Double(BME280.humidity(raw, fine, h)) / 1024, value, by: 0.05), "the formula's humidity")
            }
        }
    }

    private static func sht(_ check: Check) throws(SensorError) {
        let word: [UInt8] = [0xBE, 0xEF, 0x92]
        let third = try SHT3x(SensorOptions([:])).read(ScriptedBus([word + word]))
        // 0xBEEF is 48,879 of 65,535.
        check(isNear(value(third, "temperature"), 85.523, by: 0.001), "SHT3x temperature")
        check(isNear(value(third, "humidity"), 74.585, by: 0.001), "SHT3x humidity")
        let fourth = try SHT4x(SensorOptions([:])).read(ScriptedBus([word + word]))
        check(isNear(value(fourth, "humidity"), 87.231, by: 0.001), "SHT4x humidity")
        // BH1750 datasheet: 1000 0011 1001 0000 is 28,067 lx.
        let light = try BH1750(SensorOptions([:])).read(ScriptedBus([[0x83, 0x90]]))
        check(isNear(value(light, "illuminance"), 28_067, by: 0.4), "28067 lx")
    }

    /// INA219 datasheet, table 8, and INA226 datasheet, table 13: 11.98 V and 10 A through 2 mΩ.
    private static func power(_ check: Check) throws(SensorError) {
        let options = SensorOptions(["shunt_ohms": "0.002"])
        let first = try INA219(options)
        try first.begin(ScriptedBus([[0x39, 0x9F]]))
        let read = try first.read(ScriptedBus([[0x5D, 0x9A], [0x07, 0xD0], [0x39, 0x9F]]))
        check(isNear(value(read, "voltage"), 11.98) && isNear(value(read, "current"), 10), "INA219: 11.98 V, 10 A")
        check(isNear(value(read, "power"), 119.8), "INA219: 119.8 W")
        let second = try INA226(options)
        try second.begin(ScriptedBus([[0x54, 0x49]]))
        let again = try second.read(ScriptedBus([[0x00, 0x08], [0x1F, 0x40], [0x25, 0x70], [0x41, 0x27]]))
        check(isNear(value(again, "voltage"), 11.98) && isNear(value(again, "current"), 10), "INA226: 11.98 V, 10 A")
        let back = try second.read(ScriptedBus([[0x00, 0x08], [0xE0, 0xC0], [0x25, 0x70], [0x41, 0x27]]))
        check(isNear(value(back, "current"), -10), "INA226: the other way")
        let gauge = try MAX17048(SensorOptions([:]))
        try gauge.begin(ScriptedBus([[0x00, 0x12], [0x00, 0x00]]))
        let cell = try gauge.read(ScriptedBus([[0xC0, 0x00], [0x56, 0x80], [0x00, 0x12], [0x00, 0x00]]))
        check(value(cell, "voltage") == 3.84 && value(cell, "battery") == 86.5, "MAX17048: 3.84 V, 86.5 %")
    }

    /// The kernel's documentation of w1_therm.
    private static func ds18b20(_ check: Check) throws(SensorError) {
        let driver = try DS18B20(SensorOptions([:]))
        func read(_ text: String) throws(SensorError) -> Double {
            value(try driver.read(ScriptedBus([Array(text.utf8)])), "temperature")
        }
        check(
            try read("72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n") == 23.125,
            "23.125 degrees")
        check(
            try read("ef ff 4b 46 7f ff 01 10 ce : crc=ce YES\nef ff 4b 46 7f ff 01 10 ce t=-1062\n") == -1.062,
            "below zero")
        check(
            error { () throws(SensorError) in
                _ = try read("72 01 4b 46 7f ff 0e 10 57 : crc=00 NO\n72 01 4b 46 7f ff 0e 10 57 t=23125\n")
            } != nil, "a wrong checksum")
        check(
            error { () throws(SensorError) in _ = try read("72 01 : crc=57 YES\n72 01 t=23125\n") } != nil,
            "bytes are missing")
        check(error { () throws(SensorError) in _ = try read("") } != nil, "nothing at all")
    }

    /// Table 1 of the datasheet; the seconds since 1970 are date(1)'s.
    private static func ds3231(_ check: Check) throws(SensorError) {
        // 2026-11-21 14:38:44, then in the twelve hour form, and the last day before a leap year's March.
        check(DS3231.secondsSince1970([0x44, 0x38, 0x14, 0x07, 0x21, 0x11, 0x26]) == 1_795_271_924, "an afternoon")
        check(
            DS3231.secondsSince1970([0x44, 0x38, 0x62, 0x07, 0x21, 0x11, 0x26]) == 1_795_271_924, "twelve hours, 2 PM")
        check(DS3231.secondsSince1970([0x59, 0x59, 0x23, 0x03, 0x29, 0x02, 0x28]) == 1_835_481_599, "a leap day")
        check(
            DS3231.secondsSince1970([0x00, 0x00, 0x52, 0x01, 0x01, 0x01, 0x00]) == 946_684_800, "twelve AM is midnight")
        check(DS3231.secondsSince1970([0x00, 0x00, 0x00, 0x01, 0x32, 0x01, 0x00]) == nil, "no 32nd")
        check(DS3231.secondsSince1970([0x7A, 0x00, 0x00, 0x01, 0x01, 0x01, 0x00]) == nil, "no such decimal")
        let driver = try DS3231(SensorOptions([:]))
        var registers: [UInt8] = [0x44, 0x38, 0x14, 0x07, 0x21, 0x11, 0x26] + [UInt8](repeating: 0, count: 10)
        // Temperature: 0x1940 is 25.25 degrees.
        registers += [0x19, 0x40]
        let read = try driver.read(ScriptedBus([registers], secondsSince1970: 1_795_271_914))
        check(
            value(read, "clock_offset") == 10.5 && value(read, "temperature") == 25.25,
            "ten seconds ahead, 25.25 degrees")
        registers[0x0F] = 0x80
        check(
            error { () throws(SensorError) in _ = try driver.read(ScriptedBus([registers])) } != nil,
            "it has stood still")
    }

    private static func serial(_ check: Check) throws(SensorError) {
        let s8 = try SenseairS8(SensorOptions([:]))
        // Senseair's own example of status and CO2 in one command: no error, 400 ppm.
        let bus = ScriptedBus([[0xFE, 0x04, 0x08, 0, 0, 0, 0, 0, 0, 0x01, 0x90, 0x16, 0xE6]])
        check(value(try s8.read(bus), "co2") == 400, "S8: 400 ppm")
        check(bus.asked == [[0xFE, 0x04, 0x00, 0x00, 0x00, 0x04, 0xE5, 0xC6]], "S8: its question")
        let k30 = try SenseairK30(SensorOptions([:]))
        let other = ScriptedBus([[0x68, 0x04, 0x08, 0, 0, 0, 0, 0, 0, 0x01, 0x90, 0x00, 0x00]])
        check(error { () throws(SensorError) in _ = try k30.read(other) } != nil, "K30: a wrong checksum")
        check(other.asked == [[0x68, 0x04, 0x00, 0x00, 0x00, 0x04, 0xF8, 0xF0]], "K30: its question")
        var winsen = try MHZ19(SensorOptions([:]))
        let third = ScriptedBus([[0xFF, 0x86, 0x02, 0x60, 0x47, 0x00, 0x00, 0x00, 0xD1]])
        check(value(try winsen.read(third), "co2") == 608, "MH-Z19: 608 ppm")
        var gss = try ExplorIR(SensorOptions([:]))
        try gss.begin(ScriptedBus([Array(" K 00002\r\n".utf8), Array(" . 00010\r\n".utf8)]))
        check(value(try gss.read(ScriptedBus([Array(" Z 00068\r\n".utf8)])), "co2") == 680, "ExplorIR: 680 ppm")
        check(
            error { () throws(SensorError) in _ = try gss.read(ScriptedBus([Array(" ? 00000\r\n".utf8)])) } != nil,
            "ExplorIR: not understood")
    }

    private static func recalibration(_ check: Check) throws(SensorError) {
        // SCD4x §3.7.1: 480 ppm is 0x01E0, checksum 0xB4; the answer 0x7FCE, checksum 0x7B, is -50 ppm.
        let scd4x = try SCD4x(SensorOptions([:]))
        let bus = ScriptedBus([[0x7F, 0xCE, 0x7B]])
        try scd4x.recalibrate(bus, co2PPM: 480)
        check(bus.asked == [[0x3F, 0x86], [0x36, 0x2F, 0x01, 0xE0, 0xB4], [0x21, 0xB1]], "SCD4x: 480 ppm")
        let refused = ScriptedBus([[0xFF, 0xFF, 0xAC]])
        check(
            error { () throws(SensorError) in try scd4x.recalibrate(refused, co2PPM: 480) } != nil
                && refused.asked.last == [0x21, 0xB1], "SCD4x: it refuses, and measures again")
        // SCD30 §1.4.6: 450 ppm is 0x01C2, checksum 0x50.
        let second = ScriptedBus([])
        try SCD30(SensorOptions([:])).recalibrate(second, co2PPM: 450)
        check(second.asked == [[0x52, 0x04, 0x01, 0xC2, 0x50]], "SCD30: 450 ppm")
        // MH-Z19B manual: the zero point's command, checksum 0x78.
        let third = ScriptedBus([])
        try MHZ19(SensorOptions([:])).recalibrate(third, co2PPM: 400)
        check(third.asked == [[0xFF, 0x01, 0x87, 0, 0, 0, 0, 0, 0x78]], "MH-Z19: its zero point")
        var light = try BH1750(SensorOptions([:]))
        check(
            error { () throws(SensorError) in try light.recalibrate(ScriptedBus([]), co2PPM: 400) } != nil,
            "who cannot be recalibrated says so")
    }

    /// No datasheet: a gauge's contact that bounces for 3 ms, twice.
    private static func line(_ check: Check) throws(SensorError) {
        let ms: Int64 = 1_000_000
        var gauge = LineWatch(isActive: false, counts: .rising, debounceNanoseconds: 5 * ms)
        var number: UInt32 = 0
        func edge(_ time: Int64, _ isActive: Bool) -> LineWatch.Edge {
            number += 1
            return LineWatch.Edge(timeNanoseconds: time * ms, isActive: isActive, number: number)
        }
        for start in [Int64(100), 400] {
            for (after, isActive) in [
                (Int64(0), true), (1, false), (2, true), (3, false), (3, true), (80, false), (81, true), (82, false),
            ] {
                gauge.take(edge(start + after, isActive))
            }
            gauge.settle(nowNanoseconds: (start + 200) * ms)
        }
        check(gauge.count == 2 && gauge.missedEdges == 0 && !gauge.isActive, "two tips, bounces and all")
        check(
            gauge.changes.map { $0.timeNanoseconds / ms } == [103, 182, 403, 482], "each when its level began to last")
        // A spike that does not last is none.
        gauge.take(edge(700, true))
        gauge.take(edge(702, false))
        gauge.settle(nowNanoseconds: 900 * ms)
        check(gauge.count == 2, "a spike")
        // The kernel told the level of before: the line itself, at rest, has the last word.
        gauge.take(edge(920, true))
        gauge.take(edge(921, false))
        check(
            !gauge.isLookDue(nowNanoseconds: 930 * ms) && gauge.isLookDue(nowNanoseconds: 931 * ms), "at rest for 10 ms"
        )
        gauge.look(isActive: true, nowNanoseconds: 931 * ms)
        gauge.settle(nowNanoseconds: 936 * ms)
        check(gauge.count == 3 && gauge.missedEdges == 0 && gauge.isActive, "a tip whose edges told it wrong")
        gauge.look(isActive: true, nowNanoseconds: 950 * ms)
        check(
            !gauge.isLookDue(nowNanoseconds: 990 * ms) && gauge.settlesAtNanoseconds == nil, "nothing more to look for")
        gauge.take(edge(960, false))
        gauge.settle(nowNanoseconds: 980 * ms)
        // Numbers that are left out are edges that were lost.
        number += 3
        gauge.take(edge(1000, true))
        check(gauge.missedEdges == 3 && gauge.count == 3, "three lost")
        // Without debouncing each edge that comes is one that counts.
        var wheel = LineWatch(isActive: false, counts: .falling, debounceNanoseconds: 0)
        number = 0
        for round in 0..<1000 { wheel.take(edge(Int64(round), false)) }
        check(wheel.count == 1000 && wheel.edges == .falling && wheel.changes.isEmpty, "a thousand pulses")
        // A line that is looked at.
        var polled = LineWatch(isActive: false, counts: .both, debounceNanoseconds: 20 * ms)
        for (time, isActive) in [
            (Int64(0), false), (10, true), (20, true), (30, true), (40, false), (50, false), (70, false),
        ] {
            polled.look(isActive: isActive, nowNanoseconds: time * ms)
        }
        check(polled.changes.map { $0.timeNanoseconds / ms } == [10, 40], "seen when it was looked at")
        // No more than can be kept.
        var restless = LineWatch(isActive: false, counts: .both, debounceNanoseconds: 0)
        number = 0
        for round in 0..<200 { restless.take(edge(Int64(round), round % 2 == 0)) }
        check(
            restless.count == 200 && restless.changes.count == LineWatch.mostChanges,
            "more changes than are kept are counted")
    }
}
