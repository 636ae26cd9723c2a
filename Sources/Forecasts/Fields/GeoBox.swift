/// A box of latitudes and longitudes in degrees. East is never less than west, and more than 180 when the box lies across
/// the date line.
public struct GeoBox: Sendable, Equatable {
    public let south: Double
    public let north: Double
    public let west: Double
    public let east: Double

    public static let globe = GeoBox(south: -90, north: 90, west: -180, east: 180)

    private init(south: Double, north: Double, west: Double, east: Double) {
        self.south = south
        self.north = north
        self.west = west
        self.east = east
    }

    /// Nil when it makes no sense.
    ///
    /// - Parameters:
    ///   - minLatitude: -90...90, not above `maxLatitude`.
    ///   - minLongitude: -360...360. One that is above `maxLongitude` means across the date line.
    public init?(minLatitude: Double, maxLatitude: Double, minLongitude: Double, maxLongitude: Double) {
        guard (-90...90).contains(minLatitude), (-90...90).contains(maxLatitude), minLatitude <= maxLatitude,
            (-360...360).contains(minLongitude), (-360...360).contains(maxLongitude)
        else { return nil }
        south = minLatitude
        north = maxLatitude
        guard maxLongitude - minLongitude < 360 else {
            // Round the globe, from where it was asked to begin.
            (west, east) = (minLongitude, minLongitude + 360)
            return
        }
        west = minLongitude
        east = maxLongitude < minLongitude ? maxLongitude + 360 : maxLongitude
    }

    public var isGlobe: Bool { south <= -90 && north >= 90 && east - west >= 360 }

    /// Wider by so many degrees on each side, as far as the globe goes.
    public func grown(_ degrees: Double) -> GeoBox {
        guard east - west + 2 * degrees < 360 else {
            return GeoBox(
                south: max(-90, south - degrees), north: min(90, north + degrees), west: west, east: west + 360)
        }
        return GeoBox(
            south: max(-90, south - degrees), north: min(90, north + degrees), west: west - degrees,
            east: east + degrees)
    }
}

/// The part of a grid that lies in a box: its rows, and its columns in one stretch, or in two where the grid's last column
/// and its first are both in it.
public struct GridWindow: Sendable, Equatable {
    public let rows: Range<Int>
    /// In the order from west to east.
    public let columns: [Range<Int>]
    /// Of the part; longitudes in the box's own numbers, so that they ascend over the date line.
    public let grid: RegularGrid

    /// Nil when no point of the grid is in the box.
    public init?(_ grid: RegularGrid, in box: GeoBox) {
        // Points on the edge belong to it, in spite of rounding.
        let slack = 1e-6
        func indices(_ axis: RegularAxis, _ from: Double, _ to: Double) -> Range<Int>? {
            let low = ((from - axis.first) / axis.step - slack).rounded(.up)
            let high = ((to - axis.first) / axis.step + slack).rounded(.down)
            guard low.isFinite, high.isFinite, high >= 0, low <= Double(axis.count - 1), low <= high else { return nil }
            return Int(max(0, low))..<(Int(min(high, Double(axis.count - 1))) + 1)
        }
        guard let rows = indices(grid.latitude, box.south, box.north) else { return nil }
        self.rows = rows
        let axis = grid.longitude
        var parts: [(columns: Range<Int>, first: Double)] = []
        // The same meridian has other numbers 360 degrees on: the grid is laid side by side with itself.
        for turn in -3...3 {
            let shift = Double(turn) * 360
            guard let found = indices(axis, box.west - shift, box.east - shift) else { continue }
            parts.append((found, axis.value(found.lowerBound) + shift))
        }
        // A box round the whole globe ends where it begins: that meridian is taken once.
        var taken = 0
        var columns: [Range<Int>] = []
        for part in parts {
            let room = axis.count - taken
            let range = part.columns.lowerBound..<min(part.columns.upperBound, part.columns.lowerBound + room)
            guard !range.isEmpty else { break }
            columns.append(range)
            taken += range.count
        }
        guard let first = parts.first, taken > 0 else { return nil }
        // Parts of a grid that does not go round are not next to each other: the first is taken.
        if columns.count > 1, !grid.isAround {
            columns = [columns[0]]
            taken = columns[0].count
        }
        self.columns = columns
        self.grid = RegularGrid(
            latitude: RegularAxis(
                first: grid.latitude.value(rows.lowerBound), step: grid.latitude.step, count: rows.count),
            longitude: RegularAxis(first: first.first, step: axis.step, count: taken))
    }
}
