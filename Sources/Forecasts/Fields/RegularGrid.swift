/// Places along a line with the same distance between them, ascending.
public struct RegularAxis: Sendable, Equatable {
    public var first: Double
    /// Above 0.
    public var step: Double
    public var count: Int

    public init(first: Double, step: Double, count: Int) {
        self.first = first
        self.step = step
        self.count = count
    }

    public func value(_ index: Int) -> Double { first + Double(index) * step }
    public var last: Double { value(count - 1) }
}

/// A grid of latitudes and longitudes in degrees, from south to north and from west to east.
public struct RegularGrid: Sendable, Equatable {
    public var latitude: RegularAxis
    /// May go beyond 180, so that it is ascending over the date line too.
    public var longitude: RegularAxis

    public init(latitude: RegularAxis, longitude: RegularAxis) {
        self.latitude = latitude
        self.longitude = longitude
    }

    public var points: Int { latitude.count * longitude.count }

    /// Whether the first column follows the last one.
    public var isAround: Bool { abs(longitude.step * Double(longitude.count) - 360) < longitude.step / 2 }
}

/// Values on a grid, row by row, NaN where there is none.
public struct GridField: Sendable, Equatable {
    public var grid: RegularGrid
    public var values: [Float]

    public init(grid: RegularGrid, values: [Float]) {
        self.grid = grid
        self.values = values
    }

    /// The part that a window shows.
    public func cut(_ window: GridWindow) -> GridField {
        var part: [Float] = []
        part.reserveCapacity(window.grid.points)
        for row in window.rows {
            let start = row * grid.longitude.count
            for columns in window.columns {
                part += values[(start + columns.lowerBound)..<(start + columns.upperBound)]
            }
        }
        return GridField(grid: window.grid, values: part)
    }
}
