/// Sensirion SCD40, SCD41: CO2, temperature and humidity (datasheet version 1.4, §3).
///
/// After power-on it is idle (§3.1) and has nothing ready (§3.8.2), until it is begun again. Words of zeros or ones alone have
/// wrong checksums (0x81 and 0xAC are right). 0 ppm and the end of its range, 40,000 ppm (Table 1), are no readings.
struct SCD4x: SensorDriver {
    private let altitudeMetres: Double?
    private let pressureHPa: Double?
    private let selfCalibration: Bool?
    private(set) var identity: String?

    init(_ options: SensorOptions) throws(SensorError) {
        altitudeMetres = try options.number("altitude_m", in: 0...3000)
        pressureHPa = try options.number("pressure_hpa", in: 700...1200)
        selfCalibration = try options.flag("self_calibration")
    }

    mutating func begin(_ bus: some Bus) throws(SensorError) {
        // It takes settings only while it does not measure (§3.5): stop_periodic_measurement needs 500 ms.
        _ = try bus.ask(SensirionWords.command(0x3F86))
        bus.pause(milliseconds: 500)
        // get_serial_number: whoever answers with other than three good words is another device.
        _ = try bus.ask(SensirionWords.command(0x3682))
        bus.pause(milliseconds: 1)
        let serial = try SensirionWords.decode(try bus.ask([], reading: 9))
        // Each has a number of its own; these are what an empty memory has.
        guard serial.contains(where: { $0 != 0 }), serial.contains(where: { $0 != 0xFFFF }) else {
            throw .faulty("its serial number is empty")
        }
        identity = "serial " + String(serial.reduce(UInt64(0)) { $0 << 16 | UInt64($1) }, radix: 16)
        if let altitudeMetres {
            _ = try bus.ask(SensirionWords.command(0x2427, UInt16(altitudeMetres)))
            bus.pause(milliseconds: 1)
        }
        if let selfCalibration {
            _ = try bus.ask(SensirionWords.command(0x2416, selfCalibration ? 1 : 0))
            bus.pause(milliseconds: 1)
        }
        _ = try bus.ask(SensirionWords.command(0x21B1))
        if let pressureHPa { _ = try bus.ask(SensirionWords.command(0xE000, UInt16(pressureHPa))) }
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        _ = try bus.ask(SensirionWords.command(0xE4B8))
        bus.pause(milliseconds: 1)
        // Ready when the lowest eleven bits are not all 0 (§3.8.2).
        guard try SensirionWords.decode(try bus.ask([], reading: 3))[0] & 0x07FF != 0 else { throw .notReady }
        _ = try bus.ask(SensirionWords.command(0xEC05))
        bus.pause(milliseconds: 1)
        let words = try SensirionWords.decode(try bus.ask([], reading: 9))
        return [
            try .co2(Double(words[0]), limit: 40_000), try SensirionWords.temperature(words[1]),
            Quantity("humidity", 100 * Double(words[2]) / 65_535, unit: "%"),
        ]
    }

    /// perform_forced_recalibration (§3.7.1), after at least three minutes of measuring in that air; it is 400 ms at it, and
    /// answers 0xFFFF when it could not.
    func recalibrate(_ bus: some Bus, co2PPM: Int) throws(SensorError) {
        guard (400...2000).contains(co2PPM) else { throw .badOption("it can be told 400 to 2000 ppm") }
        _ = try bus.ask(SensirionWords.command(0x3F86))
        bus.pause(milliseconds: 500)
        _ = try bus.ask(SensirionWords.command(0x362F, UInt16(co2PPM)))
        bus.pause(milliseconds: 400)
        let correction = try SensirionWords.decode(try bus.ask([], reading: 3))[0]
        _ = try bus.ask(SensirionWords.command(0x21B1))
        guard correction != 0xFFFF else {
            throw .faulty("it refused: let it measure for three minutes in that air first")
        }
    }
}
