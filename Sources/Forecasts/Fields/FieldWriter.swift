import CNetCDF
import Foundation

/// Writes fields as CF NetCDF (CF-1.8; the classic format with 64-bit offsets, which every reader knows), a stretch of rows
/// at a time. libnetcdf is not made for threads: everything here runs on one.
///
/// Memory: libnetcdf borrows paths, names and arrays for the call, and copies them. It owns the file behind `file`, a number, which
/// is closed by `finish`, or else in `deinit`.
public final class FieldWriter {
    /// What a file says of itself.
    public struct Description: Sendable {
        public var kind: ForecastKind
        public var grid: RegularGrid
        /// Seconds since 1970, ascending.
        public var times: [Int64]
        /// When the forecast begins that the fields are of; nil for several.
        public var runSeconds: Int64?
        /// How the file was made, for the attribute `history` (CF-1.8 §2.6.2): ``history(atSeconds:program:made:)``.
        public var history: String

        public init(kind: ForecastKind, grid: RegularGrid, times: [Int64], runSeconds: Int64?, history: String) {
            self.history = history
            self.kind = kind
            self.grid = grid
            self.times = times
            self.runSeconds = runSeconds
        }

        /// A line of `history`: when, by which program, and of what.
        ///
        /// - Parameters:
        ///   - seconds: UTC, since 1970.
        ///   - program: Name and version.
        public static func history(atSeconds seconds: Int64, program: String, made: String) -> String {
            "\(CalendarTime.text(seconds)): \(program): \(made)"
        }
    }

    private let path: String
    private let isInMemory: Bool
    private var file: Int32 = -1
    private var variables: [Int32] = []
    private let description: Description

    /// What stands for a value that there is none of (`NC_FILL_FLOAT`).
    static let fill = Float(9.969_209_968_386_869e36)

    /// - Parameter path: of a file to be made; nil for bytes in memory.
    public init(_ description: Description, path: String?) throws(NetCDFError) {
        self.description = description
        self.path = path ?? "an answer"
        isInMemory = path == nil
        if let path {
            try unsafe NetCDFError.check(nc_create(path, NC_64BIT_OFFSET | NC_CLOBBER, &file), self.path)
        } else {
            let bytes = 4096 + 8 * (description.grid.latitude.count + description.grid.longitude.count)
            let values = description.grid.points * 4 * description.times.count * description.kind.variables.count
            try unsafe NetCDFError.check(
                nc_create_mem("answer", NC_64BIT_OFFSET, bytes + values, &file), self.path)
        }
        try define()
    }

    deinit {
        if file >= 0 { nc_abort(file) }
    }

    private func check(_ status: Int32) throws(NetCDFError) { try NetCDFError.check(status, path) }

    private func define() throws(NetCDFError) {
        var dimensions: [Int32] = [0, 0, 0]
        let grid = description.grid
        // Values are written once, over the whole variable or not at all.
        try check(nc_set_fill(file, NC_NOFILL, nil))
        try unsafe check(nc_def_dim(file, "time", description.times.count, &dimensions[0]))
        try unsafe check(nc_def_dim(file, "latitude", grid.latitude.count, &dimensions[1]))
        try unsafe check(nc_def_dim(file, "longitude", grid.longitude.count, &dimensions[2]))
        let time = try define(
            "time", [dimensions[0]],
            [
                ("standard_name", "time"), ("units", "seconds since 1970-01-01 00:00:00"), ("calendar", "standard"),
                ("axis", "T"),
            ], type: NC_DOUBLE)
        let latitude = try define(
            "latitude", [dimensions[1]],
            [
                ("standard_name", "latitude"), ("units", "degrees_north"), ("axis", "Y"),
            ], type: NC_DOUBLE)
        let longitude = try define(
            "longitude", [dimensions[2]],
            [
                ("standard_name", "longitude"), ("units", "degrees_east"), ("axis", "X"),
            ], type: NC_DOUBLE)
        var run: Int32?
        if description.runSeconds != nil {
            run = try define(
                "forecast_reference_time", [],
                [
                    ("standard_name", "forecast_reference_time"), ("units", "seconds since 1970-01-01 00:00:00"),
                    ("calendar", "standard"),
                ], type: NC_DOUBLE)
        }
        for variable in description.kind.variables {
            let number = try define(
                variable.name, dimensions,
                [
                    ("standard_name", variable.standardName), ("long_name", variable.longName),
                    ("units", variable.unit),
                ], type: NC_FLOAT)
            var fill = Self.fill
            try unsafe check(nc_put_att_float(file, number, "_FillValue", NC_FLOAT, 1, &fill))
            variables.append(number)
        }
        for (name, text) in [
            ("Conventions", "CF-1.8"), ("title", "\(description.kind.source): \(description.kind.rawValue)"),
            ("source", description.kind.source), ("references", description.kind.attribution),
            ("history", description.history),
        ] {
            try unsafe check(nc_put_att_text(file, NC_GLOBAL, name, text.utf8.count, text))
        }
        try check(nc_enddef(file))
        try unsafe check(nc_put_var_double(file, time, description.times.map(Double.init)))
        try unsafe check(nc_put_var_double(file, latitude, (0..<grid.latitude.count).map(grid.latitude.value)))
        try unsafe check(nc_put_var_double(file, longitude, (0..<grid.longitude.count).map(grid.longitude.value)))
        if let run, var seconds = description.runSeconds.map(Double.init) {
            try unsafe check(nc_put_var_double(file, run, &seconds))
        }
    }

    private func define(
        _ name: String, _ dimensions: [Int32], _ attributes: [(String, String)], type: Int32
    ) throws(NetCDFError) -> Int32 {
        var number: Int32 = 0
        try unsafe check(nc_def_var(file, name, type, Int32(dimensions.count), dimensions, &number))
        for (name, text) in attributes {
            try unsafe check(nc_put_att_text(file, number, name, text.utf8.count, text))
        }
        return number
    }

    /// Writes a part of a variable.
    ///
    /// - Parameters:
    ///   - variable: its place in ``ForecastKind/variables``.
    ///   - time: its place in ``Description/times``.
    ///   - values: row by row; NaN where there is none.
    public func put(
        variable: Int, time: Int, row: Int = 0, column: Int = 0, rows: Int, columns: Int, values: [Float]
    ) throws(NetCDFError) {
        guard variables.indices.contains(variable), values.count == rows * columns else {
            throw NetCDFError(path: path, reason: "\(values.count) values for \(rows) × \(columns) points")
        }
        let filled = values.map { $0.isNaN ? Self.fill : $0 }
        try unsafe check(
            nc_put_vara_float(file, variables[variable], [time, row, column], [1, rows, columns], filled))
    }

    /// Ends the file; of one in memory its bytes, else nothing.
    @discardableResult
    public func finish() throws(NetCDFError) -> [UInt8] {
        let number = file
        file = -1
        guard isInMemory else {
            try check(nc_close(number))
            return []
        }
        // Memory: libnetcdf gives the block to the caller, who copies and frees it here.
        var memory = unsafe NC_memio()
        try unsafe check(nc_close_memio(number, &memory))
        defer { unsafe free(memory.memory) }
        return unsafe Array(UnsafeRawBufferPointer(start: memory.memory, count: memory.size))
    }
}
