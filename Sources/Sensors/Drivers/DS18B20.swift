/// Maxim DS18B20 through the kernel's 1-Wire driver: the file `w1_slave` (kernel documentation, "w1_therm").
///
/// The kernel says YES to a scratchpad whose checksum is right. It is right for nine zeros too, which a line that is shorted to
/// ground gives. What is never a reading (datasheet 19-7487 rev. 6, Figures 9 and 10):
/// - a scratchpad whose byte 4 (configuration, `0 R1 R0 1 1 1 1 1`) has no bit 4,
/// - 0 °C in a scratchpad that has nothing but the configuration. A genuine part has 0xFF in byte 5 and 0x10 in byte 7; some clones
///   have other bytes there (github.com/cpetrich/counterfeit_DS18B20, families D and E), but never zeros alone,
/// - 85 °C with 0x0C in byte 6: what it has after power-on before it has measured (Table 1; kernel documentation,
///   "sysfs-driver-w1_therm", feature 1). A measured 85 °C has 0x10 there,
/// - 127.94 °C (0x07FF): a conversion that failed for want of power (ibid.).
struct DS18B20: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        let text = String(decoding: try bus.ask([], reading: 0), as: UTF8.self)
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"))
        guard lines.count >= 2 else { throw .garbled("two lines were expected") }
        let fields = lines[0].split(separator: UInt8(ascii: " "))
        guard let verdict = fields.last, Array(verdict) == Array("YES".utf8) else {
            throw .garbled("the checksum is wrong")
        }
        // `72 01 4b 46 7f ff 0e 10 57 : crc=57 YES`
        var scratchpad: [UInt8] = []
        for field in fields.prefix(9) {
            guard let byte = UInt8(Substring(field), radix: 16) else { break }
            scratchpad.append(byte)
        }
        guard scratchpad.count == 9 else { throw .garbled("nine bytes were expected in the first line") }
        guard let mark = lines[1].lastIndex(of: UInt8(ascii: "=")),
            let value = Int(Substring(lines[1][lines[1].index(after: mark)...]))
        else {
            throw .garbled("no temperature in: \(Substring(lines[1]))")
        }
        return [Quantity("temperature", Double(try Self.check(value, scratchpad)) / 1000, unit: "°C")]
    }

    /// - Parameter thousandths: of a degree, as the kernel has it.
    private static func check(_ thousandths: Int, _ scratchpad: [UInt8]) throws(SensorError) -> Int {
        guard scratchpad[4] & 0x10 != 0, scratchpad.contains(where: { $0 != 0xFF }) else {
            throw .faulty("its scratchpad has no configuration: the line is shorted, or the sensor has no power")
        }
        let hasFixedBytes = scratchpad[5] == 0xFF && scratchpad[7] == 0x10
        switch thousandths {
        case 0:
            let isConfigured = scratchpad[4] & 0x9F == 0x1F
            let hasContent = [2, 3, 5, 6, 7].contains { scratchpad[$0] != 0 }
            guard hasFixedBytes || isConfigured && hasContent else {
                throw .faulty("0 °C in a scratchpad that has nothing else")
            }
        case 85_000:
            guard hasFixedBytes, scratchpad[6] != 0x0C else { throw .notReady }
        case 127_900...128_000:
            throw .faulty("the conversion failed: it has too little power (127.94 °C)")
        default: break
        }
        return thousandths
    }
}
