/// A line of `readings-NNNN.tsv`: 16 columns, or 21 of later units.
public struct CO2Reading: Sendable, Equatable {
    public let unitID: String
    /// What people call the unit; nil for none.
    public let nickname: String?
    /// UTC, seconds since 1970.
    public let timeSeconds: Int64
    /// What is kept of it, in the order of ``layout``; NaN for what is missing.
    public let values: [Double]

    /// The clock was not set: the line tells of 1970.
    public struct NoClock: Error {}

    /// Quantities and their units: the mean (see ``mean(_:)``), temperature, camera flashes since the last reading, the ten
    /// measurements in the order in which they were taken, and raw fields of the sensor (ExplorIR-W user's manual, fields Z, d,
    /// o, h, v): filtered CO2, normalised LED, LED signal, zero point, sensor temperature.
    public static let layout: [(name: String, unit: String)] =
        [("co2", "ppm"), ("temperature", "°C"), ("flashes", "")]
        + (1...10).map { ("co2_\($0 < 10 ? "0" : "")\($0)", "ppm") }
        + ["co2_filtered", "led_normalised", "led_signal", "zero_point", "sensor_temperature_raw"].map { ($0, "") }

    static let columns = 16
    /// The first column with a number is the second value.
    private static let firstNumber = 4
    private static let mostColumns = 21
    /// What the sensor says beyond its range.
    public static let saturatedPPM = 200_010.0
    /// What a DS18B20 says before its first measurement (datasheet, "Operation: Measuring Temperature").
    public static let powerOnCelsius = 85.0

    private struct Problem: Error {
        let reason: String
    }

    /// - Parameters:
    ///   - line: without its line feed.
    ///   - isCut: whether it is the last of a file that ends in the middle of a line: what is missing is missing.
    /// - Throws: ``RejectedLine``, ``NoClock``.
    public init(line: Substring, isCut: Bool = false) throws {
        // Memory: `text` owns the bytes until the closure returns; the reading holds copies.
        var text = line
        do {
            self = try text.withUTF8 { try unsafe CO2Reading($0, isCut: isCut) }
        } catch let problem as Problem {
            throw RejectedLine(line, problem.reason)
        }
    }

    private init(_ bytes: UnsafeBufferPointer<UInt8>, isCut: Bool) throws {
        // Memory: the caller owns the bytes, and this call the temporary allocation; slices of both are used until it returns.
        // The beginnings of columns, and beyond the last.
        self = try unsafe withUnsafeTemporaryAllocation(of: Int.self, capacity: Self.mostColumns + 1) { starts in
            var count = 1
            unsafe starts[0] = 0
            for place in bytes.indices {
                let byte = unsafe bytes[place]
                if byte == 0x09 {
                    // What comes behind the last known column is let pass.
                    if count <= Self.mostColumns { unsafe starts[count] = place + 1 }
                    count += 1
                } else if byte < 0x20 || byte == 0x7F {
                    throw Problem(reason: "it holds control characters")
                }
            }
            if count <= Self.mostColumns { unsafe starts[count] = bytes.count + 1 }
            guard count >= (isCut ? Self.firstNumber : Self.columns) else {
                throw Problem(reason: "it has \(count) columns, not \(Self.columns) or more")
            }
            let known = min(count, Self.mostColumns)
            return try unsafe CO2Reading(columns: known, isCut: isCut && known == count) { column in
                unsafe bytes[starts[column]..<(starts[column + 1] - 1)]
            }
        }
    }

    /// Memory: the caller owns the bytes of the fields until the return; they are copied.
    private init(
        columns: Int, isCut: Bool, _ field: (Int) -> Slice<UnsafeBufferPointer<UInt8>>
    ) throws {
        func text(_ column: Int) -> String { unsafe String(decoding: field(column), as: UTF8.self) }
        unitID = text(0)
        guard NodeID(.co2, unitID) != nil else { throw Problem(reason: "the unit's id is none") }
        let name = text(1)
        nickname = unsafe Self.isMissing(field(1)) || name.hasSuffix("NICK") ? nil : name
        if unsafe field(2).starts(with: Array("1970-".utf8)) { throw NoClock() }
        guard let seconds = unsafe CivilTime.seconds(dateBytes: field(2), timeBytes: field(3)) else {
            throw Problem(reason: "`\(text(2)) \(text(3))` is not a time")
        }
        timeSeconds = seconds
        var values = [Double](repeating: .nan, count: Self.layout.count)
        // A number may be cut as well, and half a number is none.
        for column in Self.firstNumber..<max(Self.firstNumber, isCut ? columns - 1 : columns) {
            let bytes = unsafe field(column)
            if unsafe Self.isMissing(bytes) { continue }
            guard let value = unsafe Decimal.value(bytes), value.isFinite else {
                throw Problem(reason: "`\(text(column))` is not a number")
            }
            values[column - Self.firstNumber + 1] = value
        }
        values[0] = Self.mean(values[3..<13])
        self.values = values
    }

    /// An empty field, `None` and what a cut leaves of it.
    ///
    /// Memory: the caller owns the field; `none` is a constant of the program.
    private static func isMissing(_ field: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        let none: StaticString = "None"
        return unsafe field.count <= 4 && none.withUTF8Buffer { unsafe field.elementsEqual($0.prefix(field.count)) }
    }

    /// The mean of ten measurements once the sensor was warm, in ppm; NaN when there is none. The first two are not counted,
    /// nor what lies beyond the sensor's range.
    static func mean(_ co2PPM: ArraySlice<Double>) -> Double {
        var sum = 0.0
        var count = 0.0
        for value in co2PPM.dropFirst(2) where value > 0 && value < saturatedPPM {
            sum += value
            count += 1
        }
        return count > 0 ? sum / count : .nan
    }

    public var meanCO2PPM: Double? { value(0) }
    public var temperatureCelsius: Double? { value(1) }
    public var flashes: Double? { value(2) }
    public var co2PPM: [Double?] { (3..<13).map(value) }
    public var raw: [Double?] { (13..<18).map(value) }

    private func value(_ place: Int) -> Double? { values[place].isNaN ? nil : values[place] }
}
