/// What a field is, of which level, and for when: section 4 with template 4.0 (at a point in time) or 4.8 (over an
/// interval).
public struct GRIBProduct: Sendable, Equatable {
    /// Code table 4.1.
    public let category: Int
    /// Code table 4.2.
    public let parameter: Int
    /// Code table 4.5: 1 surface, 103 height above ground.
    public let surfaceType: Int
    /// In the unit of the surface's type; 0 where it has none.
    public let surfaceValue: Double
    /// From the reference time to the field's time, or to the beginning of its interval.
    public let forecastSeconds: Int64
    /// Of template 4.8: the end of the interval, seconds since 1970.
    public let intervalEndSeconds: Int64?

    init(_ section: GRIBOctets) throws(GRIBError) {
        let template = try section.unsigned(8, 2)
        guard template == 0 || template == 8 else { throw .unknownTemplate("4.\(template)") }
        category = try section.unsigned(10, 1)
        parameter = try section.unsigned(11, 1)
        let unit = try section.unsigned(18, 1)
        guard let unitSeconds = Self.seconds(ofUnit: unit) else { throw .unsupported("the unit of time \(unit)") }
        forecastSeconds = Int64(try section.signed(19, 4)) * unitSeconds
        surfaceType = try section.unsigned(23, 1)
        let isLevelMissing = try section.isMissing(24, 1)
        let isValueMissing = try section.isMissing(25, 4)
        if isLevelMissing || isValueMissing {
            surfaceValue = 0
        } else {
            surfaceValue = Double(try section.signed(25, 4)) / pow10(try section.signed(24, 1))
        }
        if template == 8 {
            let (year, month) = (try section.unsigned(35, 2), try section.unsigned(37, 1))
            let (day, hour) = (try section.unsigned(38, 1), try section.unsigned(39, 1))
            let (minute, second) = (try section.unsigned(40, 1), try section.unsigned(41, 1))
            guard
                let end = CalendarTime.seconds(
                    year: year, month: month, day: day, hour: hour, minute: minute, second: second)
            else { throw .malformed("its interval ends \(year)-\(month)-\(day) \(hour):\(minute):\(second)") }
            intervalEndSeconds = end
        } else {
            intervalEndSeconds = nil
        }
    }

    /// Code table 4.4; months and years have no fixed length and are not known here.
    private static func seconds(ofUnit unit: Int) -> Int64? {
        switch unit {
        case 0: 60
        case 1: 3600
        case 2: 86_400
        case 10: 3 * 3600
        case 11: 6 * 3600
        case 12: 12 * 3600
        case 13: 1
        default: nil
        }
    }
}

/// Ten to a whole power; exponents of messages are -32,767 to 32,767.
func pow10(_ exponent: Int) -> Double {
    var result = 1.0
    for _ in 0..<min(abs(exponent), 400) { result *= 10 }
    return exponent < 0 ? 1 / result : result
}
