/// Template 3.0: a grid of latitudes and longitudes with the same distance everywhere, and the order of its points.
public struct GRIBGrid: Sendable, Equatable {
    /// Points along a parallel and along a meridian.
    public let columns: Int
    public let rows: Int
    /// Of the first and of the last point, in degrees.
    public let firstLatitude: Double
    public let firstLongitude: Double
    public let lastLatitude: Double
    public let lastLongitude: Double
    /// Flag table 3.4.
    private let scan: Int

    init(_ section: GRIBOctets) throws(GRIBError) {
        guard try section.unsigned(6, 1) == 0 else { throw .unsupported("a predefined grid") }
        let template = try section.unsigned(13, 2)
        guard template == 0 else { throw .unknownTemplate("3.\(template)") }
        let isReduced = try section.isMissing(31, 4)
        guard try section.unsigned(11, 1) == 0, !isReduced else {
            throw .unsupported("rows of different lengths")
        }
        let points = try section.unsigned(7, 4)
        columns = try section.unsigned(31, 4)
        rows = try section.unsigned(35, 4)
        guard columns > 0, rows > 0, columns.multipliedReportingOverflow(by: rows).partialValue == points,
            points <= GRIBField.mostPoints
        else { throw .malformed("a grid of \(columns) × \(rows) points has \(points)") }
        let basic = try section.unsigned(39, 4)
        let subdivisions = try section.unsigned(43, 4)
        let isMicrodegrees = basic == 0 || subdivisions == 0 || subdivisions == 0xFFFF_FFFF
        let unit = isMicrodegrees ? 1e-6 : Double(basic) / Double(subdivisions)
        firstLatitude = Double(try section.signed(47, 4)) * unit
        firstLongitude = Double(try section.signed(51, 4)) * unit
        lastLatitude = Double(try section.signed(56, 4)) * unit
        lastLongitude = Double(try section.signed(60, 4)) * unit
        scan = try section.unsigned(72, 1)
        guard scan & 0x0F == 0 else { throw .unsupported("rows that are shifted (scanning mode \(scan))") }
        guard abs(firstLatitude) <= 90.001, abs(lastLatitude) <= 90.001, abs(firstLongitude) <= 720,
            abs(lastLongitude) <= 720
        else { throw .malformed("a grid from \(firstLatitude), \(firstLongitude)") }
    }

    private var isWestward: Bool { scan & 0x80 != 0 }
    private var isNorthward: Bool { scan & 0x40 != 0 }
    private var isByColumns: Bool { scan & 0x20 != 0 }
    private var isAlternating: Bool { scan & 0x10 != 0 }

    /// The same points from south to north and from west to east.
    public var regular: RegularGrid {
        let (south, north) = isNorthward ? (firstLatitude, lastLatitude) : (lastLatitude, firstLatitude)
        let (west, east) = isWestward ? (lastLongitude, firstLongitude) : (firstLongitude, lastLongitude)
        var span = east - west
        while span < 0 { span += 360 }
        while span >= 720 { span -= 360 }
        // By its ends: a step in millionths of a degree is not exact for a sixth of a degree.
        return RegularGrid(
            latitude: RegularAxis(
                first: south, step: rows > 1 ? (north - south) / Double(rows - 1) : 1, count: rows),
            longitude: RegularAxis(first: west, step: columns > 1 ? span / Double(columns - 1) : 1, count: columns))
    }

    /// Puts values that are in the message's order into rows from south to north, each from west to east.
    func arrange(_ values: [Float]) throws(GRIBError) -> GridField {
        let grid = regular
        guard grid.latitude.step > 0, grid.longitude.step > 0 else {
            throw .malformed("a grid from \(firstLatitude), \(firstLongitude) to \(lastLatitude), \(lastLongitude)")
        }
        var result = [Float](repeating: .nan, count: values.count)
        let (lines, length) = isByColumns ? (columns, rows) : (rows, columns)
        for line in 0..<lines {
            let isTurned = isAlternating && line % 2 == 1
            // Where the line's first point goes, and how far the next is.
            for place in 0..<length {
                let along = isTurned ? length - 1 - place : place
                let (row, column) = isByColumns ? (along, line) : (line, along)
                let y = isNorthward ? row : rows - 1 - row
                let x = isWestward ? columns - 1 - column : column
                result[y * columns + x] = values[line * length + place]
            }
        }
        return GridField(grid: grid, values: result)
    }
}
