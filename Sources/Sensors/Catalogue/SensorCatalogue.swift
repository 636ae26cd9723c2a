/// Where a kind of sensor is found.
public enum SensorPlace: Sendable, Hashable {
    /// The address that it has unless set otherwise.
    case i2c(address: UInt8)
    case serial(baud: Int)
    /// A file of the kernel, read anew each time.
    case file
    /// An input line of a GPIO chip.
    case line
}

/// Every kind of sensor.
public enum SensorCatalogue {
    public struct Entry: Sendable {
        public let kind: String
        public let place: SensorPlace
        /// After power-up its readings mean nothing for so long.
        public let warmUpSeconds: Double
        /// Names of its own options.
        public let options: [String]
        /// What can be, by quantity; anything else is a fault.
        public let ranges: [String: ClosedRange<Double>]
        public let make: Make
    }

    public enum Make: Sendable {
        case driver(@Sendable (SensorOptions) throws(SensorError) -> any SensorDriver)
        case line(@Sendable (SensorOptions) throws(SensorError) -> LineKind)
    }

    public static let all: [Entry] = [
        Entry(
            kind: "scd4x", place: .i2c(address: 0x62), warmUpSeconds: 10,
            options: ["altitude_m", "pressure_hpa", "self_calibration"],
            ranges: ["co2": 1...40_000, "temperature": -40...85, "humidity": 0...100],
            make: .driver { options throws(SensorError) in try SCD4x(options) }),
        Entry(
            kind: "scd30", place: .i2c(address: 0x61), warmUpSeconds: 10,
            options: ["altitude_m", "pressure_hpa", "self_calibration"],
            ranges: ["co2": 1...40_000, "temperature": -40...85, "humidity": 0...100],
            make: .driver { options throws(SensorError) in try SCD30(options) }),
        Entry(
            kind: "bme280", place: .i2c(address: 0x76), warmUpSeconds: 0, options: [],
            ranges: ["temperature": -40...85, "humidity": 0...100, "pressure": 300...1100],
            make: .driver { options throws(SensorError) in try BME280(options) }),
        Entry(
            kind: "sht3x", place: .i2c(address: 0x44), warmUpSeconds: 0, options: [],
            ranges: ["temperature": -45...125, "humidity": 0...100],
            make: .driver { options throws(SensorError) in try SHT3x(options) }),
        Entry(
            kind: "sht4x", place: .i2c(address: 0x44), warmUpSeconds: 0, options: [],
            ranges: ["temperature": -45...125, "humidity": 0...100],
            make: .driver { options throws(SensorError) in try SHT4x(options) }),
        Entry(
            kind: "bh1750", place: .i2c(address: 0x23), warmUpSeconds: 0, options: [],
            ranges: ["illuminance": 0...65_535], make: .driver { options throws(SensorError) in try BH1750(options) }),
        Entry(
            kind: "ina219", place: .i2c(address: 0x40), warmUpSeconds: 0, options: ["shunt_ohms"],
            ranges: ["voltage": 0...32, "current": -1000...1000, "power": -32_000...32_000],
            make: .driver { options throws(SensorError) in try INA219(options) }),
        Entry(
            kind: "ina226", place: .i2c(address: 0x40), warmUpSeconds: 0, options: ["shunt_ohms"],
            ranges: ["voltage": 0...36, "current": -1000...1000, "power": -36_000...36_000],
            make: .driver { options throws(SensorError) in try INA226(options) }),
        Entry(
            kind: "max17048", place: .i2c(address: 0x36), warmUpSeconds: 1, options: [],
            ranges: ["voltage": 2...5.1, "battery": 0...110],
            make: .driver { options throws(SensorError) in try MAX17048(options) }),
        Entry(
            kind: "ds3231", place: .i2c(address: 0x68), warmUpSeconds: 0, options: [],
            ranges: ["clock_offset": -1e10...1e10, "temperature": -40...85],
            make: .driver { options throws(SensorError) in try DS3231(options) }),
        Entry(
            kind: "gpio_counter", place: .line, warmUpSeconds: 0,
            options: ["edge", "debounce_ms", "per_pulse", "quantity", "unit"], ranges: [:],
            make: .line { options throws(SensorError) in try LineKind.counter(options) }),
        Entry(
            kind: "gpio_input", place: .line, warmUpSeconds: 0, options: ["debounce_ms", "quantity"], ranges: [:],
            make: .line { options throws(SensorError) in try LineKind.state(options) }),
        Entry(
            kind: "ds18b20", place: .file, warmUpSeconds: 0, options: [], ranges: ["temperature": -55...125],
            make: .driver { options throws(SensorError) in try DS18B20(options) }),
        Entry(
            kind: "senseair_s8", place: .serial(baud: 9600), warmUpSeconds: 30, options: [],
            ranges: ["co2": 1...40_000], make: .driver { options throws(SensorError) in try SenseairS8(options) }),
        Entry(
            kind: "senseair_k30", place: .serial(baud: 9600), warmUpSeconds: 60, options: [],
            ranges: ["co2": 1...40_000], make: .driver { options throws(SensorError) in try SenseairK30(options) }),
        Entry(
            kind: "mhz19", place: .serial(baud: 9600), warmUpSeconds: 180, options: ["range_ppm"],
            ranges: ["co2": 1...40_000], make: .driver { options throws(SensorError) in try MHZ19(options) }),
        Entry(
            kind: "explorir", place: .serial(baud: 9600), warmUpSeconds: 10, options: [],
            ranges: ["co2": 1...1_000_000], make: .driver { options throws(SensorError) in try ExplorIR(options) }),
    ]

    public static let byKind = Dictionary(uniqueKeysWithValues: all.map { ($0.kind, $0) })
}
