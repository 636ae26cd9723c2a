/// Maxim DS18B20 through the kernel's 1-Wire driver: the file `w1_slave` (kernel documentation, "w1_therm").
struct DS18B20: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        let text = String(decoding: try bus.ask([], reading: 0), as: UTF8.self)
        let lines = text.split(separator: "\n")
        guard lines.count >= 2 else { throw .garbled("two lines were expected") }
        guard lines[0].hasSuffix("YES") else { throw .garbled("the checksum is wrong") }
        guard let mark = lines[1].lastIndex(of: "="), let value = Int(lines[1][lines[1].index(after: mark)...]) else {
            throw .garbled("no temperature in: \(lines[1])")
        }
        // What it says after power-up before it has measured (datasheet, table 1).
        guard value != 85_000 else { throw .notReady }
        return [Quantity("temperature", Double(value) / 1000, unit: "°C")]
    }
}
