import EdgeTesting
import Foundation
import Testing

@testable import Forecasts

struct GridTests {
    private static let gfs = RegularGrid(
        latitude: RegularAxis(first: -90, step: 0.25, count: 721),
        longitude: RegularAxis(first: 0, step: 0.25, count: 1440))
    private static let copernicus = RegularGrid(
        latitude: RegularAxis(first: -80, step: 1.0 / 12, count: 2041),
        longitude: RegularAxis(first: -180, step: 1.0 / 12, count: 4320))

    private func window(_ grid: RegularGrid, _ box: (Double, Double, Double, Double)) throws -> GridWindow? {
        GridWindow(
            grid,
            in: try #require(
                GeoBox(minLatitude: box.0, maxLatitude: box.1, minLongitude: box.2, maxLongitude: box.3)))
    }

    /// Columns of a box, whose meridians go on from its west to its east.
    @Test(arguments: [
        (10.0, 20.0, 41), (-10.0, 10.0, 81), (175.0, -175.0, 41), (-180.0, 180.0, 1440), (350.0, 370.0 - 360, 81),
        (0.0, 359.75, 1440), (-0.1, 0.1, 1), (179.9, -179.9, 1),
    ])
    func columnsOfAGlobalGrid(_ west: Double, _ east: Double, _ count: Int) throws {
        let found = try #require(try window(Self.gfs, (50, 60, west, east)))
        #expect(found.grid.longitude.count == count)
        #expect(found.columns.reduce(0) { $0 + $1.count } == count)
        #expect(found.rows == 560..<601)
        // Each column is the meridian that it is called.
        var place = 0
        for column in found.columns.joined() {
            let difference = Self.gfs.longitude.value(column) - found.grid.longitude.value(place)
            #expect(difference.truncatingRemainder(dividingBy: 360) == 0)
            place += 1
        }
    }

    @Test func theDateLineOfAnotherGrid() throws {
        let found = try #require(try window(Self.copernicus, (0, 1, 179, -179)))
        #expect(found.columns == [4308..<4320, 0..<13])
        #expect(found.grid.longitude.count == 25 && abs(found.grid.longitude.first - 179) < 1e-9)
        #expect(try window(Self.copernicus, (-89, -85, 0, 1)) == nil)
    }

    @Test func boxesThatMakeNoSense() {
        #expect(GeoBox(minLatitude: 5, maxLatitude: 4, minLongitude: 0, maxLongitude: 1) == nil)
        #expect(GeoBox(minLatitude: -91, maxLatitude: 4, minLongitude: 0, maxLongitude: 1) == nil)
        #expect(GeoBox(minLatitude: 0, maxLatitude: .nan, minLongitude: 0, maxLongitude: 1) == nil)
        #expect(GeoBox(minLatitude: 0, maxLatitude: 1, minLongitude: 0, maxLongitude: 999) == nil)
    }

    /// A field that is a plane is the plane between its points too; over the seam of the grid as well.
    @Test func interpolatesBetweenPoints() throws {
        let grid = RegularGrid(
            latitude: RegularAxis(first: 0, step: 1, count: 3), longitude: RegularAxis(first: 0, step: 90, count: 4))
        let field = GridField(grid: grid, values: (0..<12).map { Float($0 / 4 * 10) })
        #expect(field.value(latitude: 1.25, longitude: 45, isDirection: false) == 12.5)
        #expect(field.value(latitude: 1, longitude: 315, isDirection: false) == 10)
        #expect(field.value(latitude: 1, longitude: -45, isDirection: false) == 10)
        #expect(field.value(latitude: 2.5, longitude: 0, isDirection: false) == nil)
        // Between 350 and 10 degrees is north.
        let turning = GridField(grid: grid, values: (0..<12).map { $0 % 2 == 0 ? 350 : 10 })
        let north = try #require(turning.value(latitude: 1, longitude: 45, isDirection: true))
        #expect(min(north, 360 - north) < 1e-9)
        let variable = ForecastKind.waves.variables[2]
        #expect(abs((variable.between(350, 20, share: 0.5) ?? 0) - 5) < 1e-9)
        // Land counts for nothing, unless it is what is nearest.
        var coast = field
        coast.values[0] = .nan
        #expect(coast.value(latitude: 0.2, longitude: 10, isDirection: false) == nil)
        #expect(coast.value(latitude: 0, longitude: 80, isDirection: false) == 0)
    }

    /// Values that are further from each other than a Float can tell: what a damaged message may hold.
    @Test func picturesOfAnything() {
        let grid = RegularGrid(
            latitude: RegularAxis(first: 0, step: 1, count: 2), longitude: RegularAxis(first: 0, step: 1, count: 4))
        let most = Float.greatestFiniteMagnitude
        let field = GridField(grid: grid, values: [-most, 0, most, .nan, .infinity, -most, 0, most])
        // Two rows of four are one line: the northern one, least to most in ten shades.
        #expect(FieldPicture(field).lines == ["· +@"])
    }

    /// A stretch of a field through the file and back.
    @Test func filesGiveBackWhatWasWritten() throws {
        let folder = try TestFolders.temporary("fields")
        defer { TestFolders.remove(folder) }
        let grid = RegularGrid(
            latitude: RegularAxis(first: 50, step: 0.25, count: 5),
            longitude: RegularAxis(first: 178, step: 0.5, count: 8))
        let values = (0..<40).map { $0 % 7 == 0 ? Float.nan : Float($0) / 3 }
        let writer = try FieldWriter(
            .init(
                kind: .currents, grid: grid, times: [1_787_961_600], runSeconds: 1_787_950_000,
                history: FieldWriter.Description.history(
                    atSeconds: 1_787_961_601, program: "edge-aggregator 1.0", made: "made of \"two\" files")),
            path: "\(folder)/x.nc")
        for variable in 0..<2 {
            try writer.put(variable: variable, time: 0, rows: 5, columns: 8, values: values)
        }
        try writer.finish()
        // CF-1.8 §2.6.2. `date -u -d @1787961601 +%FT%TZ`
        let output = "\(folder)/x.cdl"
        let dump = try TestProgram(
            "/bin/sh", ["-c", "'\(TestProgram.tools)/bin/ncdump' -h '\(folder)/x.nc' > '\(output)'"])
        #expect(dump.wait() == 0)
        let head = try String(contentsOfFile: output, encoding: .utf8)
        #expect(
            head.contains(
                #":history = "2026-08-29T00:00:01Z: edge-aggregator 1.0: made of \"two\" files" ;"#), "\(head)")
        let reader = try FieldReader(path: "\(folder)/x.nc")
        #expect(reader.grid == grid && reader.kind == .currents && reader.times == [1_787_961_600])
        let box = try #require(GeoBox(minLatitude: 50.2, maxLatitude: 50.8, minLongitude: -180, maxLongitude: -179))
        let window = try #require(GridWindow(grid, in: box))
        #expect(window.grid.longitude.count == 3 && window.grid.longitude.first == -180)
        let part = try reader.values(ForecastKind.currents.variables[1], in: window)
        let expected = [1, 2, 3].flatMap { row in (4...6).map { values[row * 8 + $0] } }
        #expect(zip(part, expected).allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) })
        #expect(throws: NetCDFError.self) { try FieldReader(path: "\(folder)/none.nc") }
    }
}
