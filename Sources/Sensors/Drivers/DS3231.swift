/// Maxim DS3231: a clock with a battery (19-5170 rev. 10, "Timekeeping Registers"). It tells whether it is there and running,
/// how far it is from this machine's clock, and its temperature.
///
/// Without power and battery it loses its time: bit 7 of register 0x0F (OSF) says so, and after power-on its registers are
/// 2000-01-01 00:00:00 and 0 °C ("Status Register (0Fh)"). Nine registers of zeros or ones are no date, and set bits that
/// always read as 0 (Figure 1).
///
/// It counts whole seconds, so the difference is known to half a second: two parts in a million show after three days.
struct DS3231: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        let registers = try bus.ask([0x00], reading: 0x13)
        guard registers[0x0F] & 0x80 == 0 else {
            throw .faulty("it has stood still (battery?): set it, as with `hwclock --systohc`")
        }
        // Bits that always read as 0, in the registers of the time and in the fraction of the temperature (Figure 1).
        let isDS3231 =
            zip(registers, [0x80, 0x80, 0x80, 0xF8, 0xC0, 0x60] as [UInt8]).allSatisfy { $0 & $1 == 0 }
            && registers[0x12] & 0x3F == 0
        guard isDS3231 else { throw .faulty("bits are set that a DS3231 has not: another chip, or one without power") }
        guard let seconds = Self.secondsSince1970(Array(registers[..<7])) else {
            throw .garbled("a date that does not exist")
        }
        // Ten bits, quarters of a degree, signed (Table 3).
        let temperature = Int16(bitPattern: UInt16(registers[0x11]) << 8 | UInt16(registers[0x12])) >> 6
        return [
            Quantity("clock_offset", Double(seconds) + 0.5 - bus.secondsSince1970, unit: "s"),
            Quantity("temperature", Double(temperature) / 4, unit: "°C"),
        ]
    }

    /// Registers 0x00 to 0x06, in packed decimals, UTC; bit 7 of the month is the next century.
    static func secondsSince1970(_ registers: [UInt8]) -> Int64? {
        func decimal(_ byte: UInt8) -> Int64? {
            byte & 0x0F < 10 && byte >> 4 < 10 ? Int64(byte >> 4) * 10 + Int64(byte & 0x0F) : nil
        }
        let hours = registers[2]
        guard let second = decimal(registers[0] & 0x7F), let minute = decimal(registers[1] & 0x7F),
            // Bit 6: twelve hours, and bit 5 then says afternoon.
            let hour = hours & 0x40 == 0
                ? decimal(hours & 0x3F) : decimal(hours & 0x1F).map({ $0 % 12 + (hours & 0x20 == 0 ? 0 : 12) }),
            let day = decimal(registers[4] & 0x3F), let month = decimal(registers[5] & 0x1F),
            let shortYear = decimal(registers[6]),
            second < 60, minute < 60, hour < 24, (1...31).contains(day), (1...12).contains(month)
        else { return nil }
        // Days from the civil calendar, years that begin in March (Howard Hinnant, "chrono-Compatible Low-Level Date
        // Algorithms", days_from_civil).
        let year = 2000 + shortYear + (registers[5] & 0x80 == 0 ? 0 : 100) - (month <= 2 ? 1 : 0)
        let era = year / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return ((days * 24 + hour) * 60 + minute) * 60 + second
    }
}
