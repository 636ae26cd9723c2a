extension Bus {
    /// A register of two bytes, the high one first.
    fileprivate func word(_ register: UInt8) throws(SensorError) -> UInt16 {
        let bytes = try ask([register], reading: 2)
        return UInt16(bytes[0]) << 8 | UInt16(bytes[1])
    }
}

/// Voltage at the load, and what flows through the shunt.
private func quantities(volts: Double, shuntVolts: Double, shuntOhms: Double) -> [Quantity] {
    let amperes = shuntVolts / shuntOhms
    return [
        Quantity("voltage", volts, unit: "V"), Quantity("current", amperes, unit: "A"),
        Quantity("power", volts * amperes, unit: "W"),
    ]
}

/// Texas Instruments INA219 (SBOS448G, §8.6). As it is after power-up: 32 V, ±320 mV, 12 bits, continuous.
struct INA219: SensorDriver {
    private let shuntOhms: Double

    init(_ options: SensorOptions) throws(SensorError) {
        shuntOhms = try options.number("shunt_ohms", in: 0.0001...10) ?? 0.1
    }

    func begin(_ bus: some Bus) throws(SensorError) {
        _ = try bus.ask([0x00, 0x39, 0x9F])
        guard try bus.word(0x00) == 0x399F else { throw .faulty("it does not keep its configuration: not an INA219") }
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        // Bits 3 to 15 count 4 mV; bit 1 says that a conversion is done (§8.6.3.2). The shunt counts 10 µV.
        let voltage = try bus.word(0x02)
        guard voltage & 2 != 0 else { throw .notReady }
        let shunt = Int16(bitPattern: try bus.word(0x01))
        return quantities(
            volts: Double(voltage >> 3) * 0.004, shuntVolts: Double(shunt) * 1e-5, shuntOhms: shuntOhms)
    }
}

/// Texas Instruments INA226 (SBOS547A, §7.6). As it is after power-up: continuous.
struct INA226: SensorDriver {
    private let shuntOhms: Double

    init(_ options: SensorOptions) throws(SensorError) {
        shuntOhms = try options.number("shunt_ohms", in: 0.0001...10) ?? 0.1
    }

    func begin(_ bus: some Bus) throws(SensorError) {
        let maker = try bus.word(0xFE)
        guard maker == 0x5449 else {
            throw .faulty("its maker's number is 0x\(String(maker, radix: 16)), not Texas Instruments'")
        }
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        // 1.25 mV and 2.5 µV a step (§7.6.2, §7.6.3).
        let shunt = Int16(bitPattern: try bus.word(0x01))
        return quantities(
            volts: Double(try bus.word(0x02)) * 0.00125, shuntVolts: Double(shunt) * 2.5e-6, shuntOhms: shuntOhms)
    }
}

/// Maxim MAX17048: a lithium cell's voltage and charge (19-6171 rev. 7, "Registers").
struct MAX17048: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func begin(_ bus: some Bus) throws(SensorError) {
        let version = try bus.word(0x08)
        guard version & 0xFFF0 == 0x0010 else {
            throw .faulty("its version is 0x\(String(version, radix: 16)), not a MAX17048's")
        }
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        [
            Quantity("voltage", Double(try bus.word(0x02)) * 78.125e-6, unit: "V"),
            Quantity("battery", Double(try bus.word(0x04)) / 256, unit: "%"),
        ]
    }
}
