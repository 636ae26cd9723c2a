/// Sensirion SHT30, SHT31, SHT35: temperature and humidity (datasheet version 7, §4.3, §4.13).
///
/// It measures when it is asked, so a reset leaves nothing behind: one that was reset meanwhile does not acknowledge the read
/// (§4.3). Words of zeros or ones alone have wrong checksums (0x81 and 0xAC are right).
struct SHT3x: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        // Single shot, high repeatability, without clock stretching: 15.5 ms at most.
        _ = try bus.ask(SensirionWords.command(0x2400))
        bus.pause(milliseconds: 16)
        let words = try SensirionWords.decode(try bus.ask([], reading: 6))
        return [
            try SensirionWords.temperature(words[0]),
            Quantity("humidity", 100 * Double(words[1]) / 65_535, unit: "%"),
        ]
    }
}

/// Sensirion SHT40, SHT41, SHT45: temperature and humidity (datasheet version 6, §4.5, §4.6). What is said of the SHT3x holds
/// for it too.
struct SHT4x: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        // High precision: 8.3 ms at most.
        _ = try bus.ask([0xFD])
        bus.pause(milliseconds: 9)
        let words = try SensirionWords.decode(try bus.ask([], reading: 6))
        // The formula goes beyond what can be; the datasheet says to cut it.
        let humidity = min(max(-6 + 125 * Double(words[1]) / 65_535, 0), 100)
        return [
            try SensirionWords.temperature(words[0]),
            Quantity("humidity", humidity, unit: "%"),
        ]
    }
}
