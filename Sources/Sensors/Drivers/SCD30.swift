/// Sensirion SCD30: CO2, temperature and humidity (interface description version 1.0, §1.4).
///
/// After power-on it measures on by itself, for it remembers the command (§1.4.1). Words of zeros or ones alone have wrong
/// checksums (0x81 and 0xAC are right). 0 ppm and the end of its range, 40,000 ppm (datasheet version 0.94, Table 1), are no
/// readings.
struct SCD30: SensorDriver {
    private let altitudeMetres: Double?
    private let pressureHPa: Double?
    private let selfCalibration: Bool?

    init(_ options: SensorOptions) throws(SensorError) {
        altitudeMetres = try options.number("altitude_m", in: 0...10_000)
        pressureHPa = try options.number("pressure_hpa", in: 700...1400)
        selfCalibration = try options.flag("self_calibration")
    }

    func begin(_ bus: some Bus) throws(SensorError) {
        if let altitudeMetres { _ = try bus.ask(SensirionWords.command(0x5102, UInt16(altitudeMetres))) }
        if let selfCalibration { _ = try bus.ask(SensirionWords.command(0x5306, selfCalibration ? 1 : 0)) }
        // 0 for no pressure: then the altitude counts (§1.4.1).
        _ = try bus.ask(SensirionWords.command(0x0010, UInt16(pressureHPa ?? 0)))
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        _ = try bus.ask(SensirionWords.command(0x0202))
        // It stretches the clock; a write and a read apart, with a pause, goes on every bus (§1.1).
        bus.pause(milliseconds: 4)
        guard try SensirionWords.decode(try bus.ask([], reading: 3))[0] == 1 else { throw .notReady }
        _ = try bus.ask(SensirionWords.command(0x0300))
        bus.pause(milliseconds: 4)
        let words = try SensirionWords.decode(try bus.ask([], reading: 18))
        let values = stride(from: 0, to: 6, by: 2).map {
            Double(Float(bitPattern: UInt32(words[$0]) << 16 | UInt32(words[$0 + 1])))
        }
        guard values.allSatisfy({ $0.isFinite }) else { throw .garbled("a value that is no number") }
        return [
            try .co2(values[0], limit: 40_000), Quantity("temperature", values[1], unit: "°C"),
            Quantity("humidity", values[2], unit: "%"),
        ]
    }

    /// Forced recalibration value (§1.4.6), after at least two minutes of measuring in that air.
    func recalibrate(_ bus: some Bus, co2PPM: Int) throws(SensorError) {
        guard (400...2000).contains(co2PPM) else { throw .badOption("it can be told 400 to 2000 ppm") }
        _ = try bus.ask(SensirionWords.command(0x5204, UInt16(co2PPM)))
    }
}
