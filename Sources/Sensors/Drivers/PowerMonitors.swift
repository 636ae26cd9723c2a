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
///
/// So a reset changes no reading; until its first conversion is done, bit 1 of the bus voltage is 0 (§8.6.3.2). Its
/// configuration is read after each measurement: zeros or ones alone are not it. Full scale, 32 V (8,000 steps) or 320 mV
/// (32,000 steps, Table 7), is no reading.
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
        let shunt = Int16(bitPattern: try bus.word(0x01))
        let configuration = try bus.word(0x00)
        guard configuration == 0x399F else {
            throw .faulty("its configuration is 0x\(String(configuration, radix: 16)): it has no power, or was changed")
        }
        guard voltage & 2 != 0 else { throw .notReady }
        guard voltage >> 3 < 8000, (-31_999...31_999).contains(shunt) else {
            throw .saturated("the voltage or the current is at or above full scale (32 V, 320 mV at the shunt)")
        }
        return quantities(
            volts: Double(voltage >> 3) * 0.004, shuntVolts: Double(shunt) * 1e-5, shuntOhms: shuntOhms)
    }
}

/// Texas Instruments INA226 (SBOS547A, §7.6). As it is after power-up: continuous (0x4127, §7.6.1).
///
/// So a reset changes no reading; until its first conversions are done its registers are 0, and bit 3 of Mask/Enable (CVRF) too
/// (§7.6.7). Its configuration is read after each measurement: zeros or ones alone are not it. Full scale, 81.92 mV at the
/// shunt (0x7FFF, 0x8000) or 40.96 V (0x7FFF), is no reading (§7.6.2, §7.6.3).
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
        _ = try bus.ask([0x00, 0x41, 0x27])
        // Both conversions: 1.21 ms each at most (§6.5).
        bus.pause(milliseconds: 3)
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        // 1.25 mV and 2.5 µV a step (§7.6.2, §7.6.3).
        let flags = try bus.word(0x06)
        let shunt = Int16(bitPattern: try bus.word(0x01))
        let voltage = try bus.word(0x02)
        let configuration = try bus.word(0x00)
        guard configuration == 0x4127 else {
            throw .faulty("its configuration is 0x\(String(configuration, radix: 16)): it has no power, or was changed")
        }
        guard flags & 0x0008 != 0 else { throw .notReady }
        guard voltage < 0x7FFF, shunt != Int16.max, shunt != Int16.min else {
            throw .saturated("the voltage or the current is at or above full scale (40.96 V, 81.92 mV at the shunt)")
        }
        return quantities(
            volts: Double(voltage) * 0.00125, shuntVolts: Double(shunt) * 2.5e-6, shuntOhms: shuntOhms)
    }
}

/// Maxim MAX17048: a lithium cell's voltage and charge (19-6171 rev. 7, "Registers").
///
/// Once it was reset, bit 8 of STATUS (RI) is set until it is cleared, and its charge is guessed anew from the voltage within a
/// second ("STATUS Register (0x1A)", "Power-On Reset"). Its version is read after each measurement. It works from 2.5 V on
/// ("Electrical Characteristics"): zeros or ones alone are no voltage.
struct MAX17048: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func begin(_ bus: some Bus) throws(SensorError) {
        let version = try bus.word(0x08)
        guard version & 0xFFF0 == 0x0010 else {
            throw .faulty("its version is 0x\(String(version, radix: 16)), not a MAX17048's")
        }
        _ = try clearReset(bus)
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        let voltage = try bus.word(0x02)
        let charge = try bus.word(0x04)
        let version = try bus.word(0x08)
        guard version & 0xFFF0 == 0x0010, voltage != 0, voltage != 0xFFFF else {
            throw .faulty("its registers are empty: it has no power")
        }
        if try clearReset(bus) { throw .warming("it was reset: its charge is guessed anew") }
        return [
            Quantity("voltage", Double(voltage) * 78.125e-6, unit: "V"),
            Quantity("battery", Double(charge) / 256, unit: "%"),
        ]
    }

    /// Returns whether it was reset since this was called last.
    private func clearReset(_ bus: some Bus) throws(SensorError) -> Bool {
        let status = try bus.word(0x1A)
        guard status & 0x0100 != 0 else { return false }
        let cleared = status & ~0x0100
        _ = try bus.ask([0x1A, UInt8(cleared >> 8), UInt8(cleared & 0xFF)])
        return true
    }
}
