import CNetCDF

/// Reads a file that ``FieldWriter`` has written.
///
/// Memory: libnetcdf borrows paths, names and arrays for the call. It reads as many places and counts as a variable has dimensions,
/// so these are checked first. It owns the file behind `file`, a number, which is closed in `deinit`.
public final class FieldReader {
    private let path: String
    private var file: Int32 = -1
    public let grid: RegularGrid
    /// Seconds since 1970.
    public let times: [Int64]

    /// - Throws: also for a file that is something else.
    public init(path: String) throws(NetCDFError) {
        self.path = path
        var number: Int32 = -1
        try unsafe NetCDFError.check(nc_open(path, NC_NOWRITE, &number), path)
        do throws(NetCDFError) {
            grid = RegularGrid(
                latitude: try Self.axis("latitude", number, path), longitude: try Self.axis("longitude", number, path))
            times = try Self.times(number, path)
        } catch {
            nc_close(number)
            throw error
        }
        file = number
    }

    deinit {
        if file >= 0 { nc_close(file) }
    }

    /// The number of a variable.
    ///
    /// - Parameter dimensions: how many it must have.
    private static func variable(
        _ name: String, dimensions: Int32, _ file: Int32, _ path: String
    ) throws(NetCDFError) -> Int32 {
        var (number, count): (Int32, Int32) = (0, 0)
        try unsafe NetCDFError.check(nc_inq_varid(file, name, &number), path)
        try unsafe NetCDFError.check(nc_inq_varndims(file, number, &count), path)
        guard count == dimensions else {
            throw NetCDFError(path: path, reason: "\(name) has \(count) dimensions, not \(dimensions)")
        }
        return number
    }

    private static func axis(_ name: String, _ file: Int32, _ path: String) throws(NetCDFError) -> RegularAxis {
        var dimension: Int32 = 0
        var count = 0
        try unsafe NetCDFError.check(nc_inq_dimid(file, name, &dimension), path)
        try unsafe NetCDFError.check(nc_inq_dimlen(file, dimension, &count), path)
        let variable = try variable(name, dimensions: 1, file, path)
        guard (1...1_000_000).contains(count) else {
            throw NetCDFError(path: path, reason: "\(count) values of \(name)")
        }
        var (first, last) = (0.0, 0.0)
        try unsafe NetCDFError.check(nc_get_var1_double(file, variable, [0], &first), path)
        try unsafe NetCDFError.check(nc_get_var1_double(file, variable, [count - 1], &last), path)
        let step = count > 1 ? (last - first) / Double(count - 1) : 1
        guard step > 0 else { throw NetCDFError(path: path, reason: "\(name) does not ascend") }
        return RegularAxis(first: first, step: step, count: count)
    }

    private static func times(_ file: Int32, _ path: String) throws(NetCDFError) -> [Int64] {
        var dimension: Int32 = 0
        var count = 0
        try unsafe NetCDFError.check(nc_inq_dimid(file, "time", &dimension), path)
        try unsafe NetCDFError.check(nc_inq_dimlen(file, dimension, &count), path)
        let variable = try variable("time", dimensions: 1, file, path)
        guard (1...100_000).contains(count) else { throw NetCDFError(path: path, reason: "\(count) times") }
        var values = [Double](repeating: 0, count: count)
        try unsafe NetCDFError.check(nc_get_vara_double(file, variable, [0], [count], &values), path)
        return values.map { Int64(exactly: $0.rounded()) ?? 0 }
    }

    /// What the file is of; nil when it has none of the variables.
    public var kind: ForecastKind? {
        ForecastKind.allCases.first { kind in
            kind.variables.allSatisfy { variable in
                var number: Int32 = 0
                return unsafe nc_inq_varid(file, variable.name, &number) == NC_NOERR
            }
        }
    }

    /// The part of a variable that a window of ``grid`` shows, row by row, NaN where there is no value.
    public func values(
        _ variable: ForecastKind.Variable, in window: GridWindow, time: Int = 0
    ) throws(NetCDFError) -> [Float] {
        let number = try Self.variable(variable.name, dimensions: 3, file, path)
        let (rows, width) = (window.rows.count, window.grid.longitude.count)
        var result = [Float](repeating: .nan, count: rows * width)
        var column = 0
        for columns in window.columns {
            var part = [Float](repeating: 0, count: rows * columns.count)
            try unsafe NetCDFError.check(
                nc_get_vara_float(
                    file, number, [time, window.rows.lowerBound, columns.lowerBound], [1, rows, columns.count], &part),
                path)
            for row in 0..<rows {
                for place in 0..<columns.count {
                    let value = part[row * columns.count + place]
                    // Anything near the fill value, as the netCDF users' guide has it.
                    if value < 9.9e36 { result[row * width + column + place] = value }
                }
            }
            column += columns.count
        }
        return result
    }
}
