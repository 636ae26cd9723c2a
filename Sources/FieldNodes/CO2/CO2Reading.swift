/// A line of `readings-NNNN.tsv`: 16 columns, or 21 of later units.
public struct CO2Reading: Sendable, Equatable {
    public var unitID: String
    /// What people call the unit; nil for none.
    public var nickname: String?
    /// UTC, seconds since 1970.
    public var timeSeconds: Int64
    public var temperatureCelsius: Double?
    /// Camera flashes since the last reading.
    public var flashes: Double?
    /// Ten, in the order in which they were taken; the first two while the sensor warms up.
    public var co2PPM: [Double?]
    /// Raw fields of the sensor (ExplorIR-W user's manual, fields Z, d, o, h, v): filtered CO2, normalised LED, LED signal,
    /// zero point, sensor temperature.
    public var raw: [Double?]

    /// The clock was not set: the line tells of 1970.
    public struct NoClock: Error {}

    static let columns = 16
    private static let co2Columns = 6..<16
    private static let rawColumns = 16..<21
    /// What the sensor says beyond its range.
    public static let saturatedPPM = 200_010.0
    /// What a DS18B20 says before its first measurement (datasheet, "Operation: Measuring Temperature").
    public static let powerOnCelsius = 85.0

    /// - Parameters:
    ///   - line: without its line feed.
    ///   - isCut: whether it is the last of a file that ends in the middle of a line: what is missing is missing.
    /// - Throws: ``RejectedLine``, ``NoClock``.
    public init(line: Substring, isCut: Bool = false) throws {
        guard line.utf8.allSatisfy({ $0 == 0x09 || (0x20..<0x7F).contains($0) || $0 >= 0x80 }) else {
            throw RejectedLine(line, "it holds control characters")
        }
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
        guard fields.count >= (isCut ? 4 : Self.columns) else {
            throw RejectedLine(line, "it has \(fields.count) columns, not \(Self.columns) or more")
        }
        guard NodeID(.co2, fields[0]) != nil else { throw RejectedLine(line, "the unit's id is none") }
        unitID = String(fields[0])
        let name = Self.text(fields[1])
        nickname = name.flatMap { $0.hasSuffix("NICK") ? nil : String($0) }
        if fields[2].hasPrefix("1970-") { throw NoClock() }
        guard let seconds = CivilTime.seconds(date: fields[2], time: fields[3]) else {
            throw RejectedLine(line, "`\(fields[2]) \(fields[3])` is not a time")
        }
        timeSeconds = seconds
        func number(_ column: Int) throws -> Double? {
            guard column < fields.count, let text = Self.text(fields[column]) else { return nil }
            if let value = Decimal.value(text), value.isFinite { return value }
            // A number may be cut as well, and half a number is none.
            if isCut, column == fields.count - 1 { return nil }
            throw RejectedLine(line, "`\(text)` is not a number")
        }
        temperatureCelsius = try number(4)
        flashes = try number(5)
        co2PPM = try Self.co2Columns.map(number)
        raw = try Self.rawColumns.map(number)
        // The last number of a line that is cut may have lost digits.
        if isCut { dropLastNumber(column: fields.count - 1) }
    }

    private mutating func dropLastNumber(column: Int) {
        switch column {
        case 4: temperatureCelsius = nil
        case 5: flashes = nil
        case Self.co2Columns: co2PPM[column - Self.co2Columns.lowerBound] = nil
        case Self.rawColumns: raw[column - Self.rawColumns.lowerBound] = nil
        default: break
        }
    }

    /// Nil for an empty field, `None` and what a cut leaves of it.
    private static func text(_ field: Substring) -> Substring? {
        if field.isEmpty || field.utf8.first == UInt8(ascii: "N") && "None".hasPrefix(field) { return nil }
        return field
    }

    /// The mean of the readings once the sensor was warm, in ppm; nil when there is none. Of ten the first two are not
    /// counted, nor what lies beyond the sensor's range.
    public var meanCO2PPM: Double? { Self.mean(co2PPM) }

    public static func mean(_ co2PPM: [Double?]) -> Double? {
        let warm = co2PPM.dropFirst(2).compactMap { $0 }.filter { $0 > 0 && $0 < saturatedPPM }
        return warm.isEmpty ? nil : warm.reduce(0, +) / Double(warm.count)
    }

    /// What is kept of it, in the order of ``layout``; NaN for what is missing.
    public var values: [Double] {
        ([meanCO2PPM, temperatureCelsius, flashes] + co2PPM + raw).map { $0 ?? .nan }
    }

    /// Quantities and their units.
    public static let layout: [(name: String, unit: String)] =
        [("co2", "ppm"), ("temperature", "°C"), ("flashes", "")]
        + (1...10).map { ("co2_\($0 < 10 ? "0" : "")\($0)", "ppm") }
        + ["co2_filtered", "led_normalised", "led_signal", "zero_point", "sensor_temperature_raw"].map { ($0, "") }
}
