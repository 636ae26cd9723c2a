import EdgeTesting
import Foundation
import Testing

@testable import Forecasts

/// Every value is held against another decoder (ecCodes), on fields that NCEP has made and on what ecCodes packs anew.
struct GRIBDecodingTests {
    private func inFolder(_ body: (String) throws -> Void) throws {
        let folder = try TestFolders.temporary("grib")
        defer { TestFolders.remove(folder) }
        try body(folder)
    }

    private static func bytes(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// Holds all values of a file against ecCodes'; how many there were.
    private func compare(_ path: String, in folder: String) throws -> Int {
        let expected = try ECCodes.values(of: path, in: folder)
        var place = 0
        var differing = 0
        for message in try GRIBMessage.all(try Self.bytes(path)) {
            for field in message.fields {
                let values = try field.values()
                try #require(place + values.count <= expected.count)
                let precision = try field.precision()
                for value in values {
                    let other = expected[place]
                    place += 1
                    guard let other else {
                        if !value.isNaN { differing += 1 }
                        continue
                    }
                    // A single-precision number of this size may be off by so much.
                    let rounding = abs(other) * 1.2e-7
                    if !(abs(Double(value) - other) <= max(precision * 0.01, rounding)) { differing += 1 }
                }
            }
        }
        #expect(place == expected.count)
        #expect(differing == 0, "\(path)")
        return place
    }

    @Test func allFieldsOfARealForecast() throws {
        try inFolder { folder in
            // 5.3 with and without bitmaps, 4.0 and 4.8, constant fields.
            let count = try compare("\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2", in: folder)
            #expect(count > 3_000_000)
        }
    }

    /// Other grids than 3.0 have their values too: simple (5.0), complex with missing values (5.2, 5.3), images (5.40).
    @Test(arguments: [
        "eta.grb", "ds.maxt.bin", "ds.waveh.bin", "safrica.grib2", "ngm.grb", "reduced_latlon_surface.grib2",
    ])
    func otherFields(_ name: String) throws {
        try inFolder { folder in
            try ECCodes.run(
                "grib_copy", ["-w", "count=1/2", "\(ECCodes.samples)/\(name)", "some.grib2"], in: folder)
            #expect(try compare("\(folder)/some.grib2", in: folder) > 1000)
        }
    }

    @Test(arguments: [
        ("grid_simple", 0), ("grid_complex", 2), ("grid_complex_spatial_differencing", 3), ("grid_jpeg", 40),
    ])
    func everyPacking(_ name: String, _ template: Int) throws {
        try inFolder { folder in
            let real = "\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2"
            for (number, quantity) in ["10u", "10v", "prmsl", "t"].enumerated() {
                let file = "\(number).grib2"
                try ECCodes.run(
                    "grib_set", ["-S", "-w", "shortName=\(quantity)", "-r", "-s", "packingType=\(name)", real, file],
                    in: folder)
                let message = try GRIBMessage(try Self.bytes("\(folder)/\(file)")[...])
                #expect(try message.fields[0].packingTemplate() == template)
                #expect(try compare("\(folder)/\(file)", in: folder) >= 10_512)
            }
        }
    }

    /// Small messages made by hand, one for each form of section: of differences of both orders, with a bitmap.
    @Test func smallMessagesOfEachForm() throws {
        try inFolder { folder in
            let maker = try TestProgram(
                "/usr/bin/env", ["python3", "\(TestFolders.root)/Tests/Fuzz/forecast_seeds.py", "GRIB", folder])
            #expect(maker.wait() == 0)
            for name in ["simple", "constant", "bitmap", "groups", "order1", "order2", "two"] {
                #expect(try compare("\(folder)/\(name)", in: folder) >= 12, "\(name)")
            }
        }
    }

    /// All values alike: no bits at all for any of them.
    @Test(arguments: ["grid_simple", "grid_complex", "grid_complex_spatial_differencing", "grid_jpeg"])
    func constantFields(_ name: String) throws {
        try inFolder { folder in
            let real = "\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2"
            try ECCodes.run(
                "grib_set",
                ["-S", "-w", "shortName=10u", "-d", "7.25", "-s", "packingType=\(name)", real, "constant.grib2"],
                in: folder)
            let message = try GRIBMessage(try Self.bytes("\(folder)/constant.grib2")[...])
            #expect(try message.fields[0].values() == [Float](repeating: 7.25, count: 10_512))
            #expect(try compare("\(folder)/constant.grib2", in: folder) == 10_512)
        }
    }

    /// What stands in the sections, as ecCodes reads it.
    @Test func productOfARealForecast() throws {
        try inFolder { folder in
            let real = "\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2"
            try ECCodes.run("grib_copy", ["-w", "shortName=10v", real, "v.grib2"], in: folder)
            let message = try GRIBMessage(try Self.bytes("\(folder)/v.grib2")[...])
            let field = try #require(message.fields.first)
            let keys =
                "discipline,parameterCategory,parameterNumber,typeOfFirstFixedSurface:i,level,dataDate,dataTime,forecastTime"
            let text = try ECCodes.run("grib_get", ["-p", keys, "v.grib2"], in: folder)
            #expect(String(decoding: text, as: UTF8.self) == "0 2 3 103 10 20110110 1200 120\n")
            let product = try field.product()
            #expect(message.discipline == 0 && product.category == 2 && product.parameter == 3)
            #expect(product.surfaceType == 103 && product.surfaceValue == 10)
            #expect(product.forecastSeconds == 120 * 3600)
            #expect(CalendarTime.text(field.referenceSeconds) == "2011-01-10T12:00:00Z")
            let grid = try field.grid()
            // -90 degrees is told with a sign bit.
            #expect(grid.firstLatitude == 90 && grid.lastLatitude == -90 && grid.lastLongitude == 357.5)
            #expect(grid.regular.isAround && grid.regular.latitude.first == -90)
        }
    }

    /// Each point of each order of points is where ecCodes says it is. It does not turn every other line of such a grid
    /// (flag table 3.4, bit 4), so that is done here.
    @Test(arguments: 0..<16)
    func everyScanningMode(_ mode: Int) throws {
        try inFolder { folder in
            let (west, east) = mode & 8 != 0 ? (30, 0) : (0, 30)
            let (first, last) = mode & 4 != 0 ? (0, 60) : (60, 0)
            try ECCodes.run(
                "grib_set",
                [
                    "-s",
                    "iScansNegatively=\(mode >> 3 & 1),jScansPositively=\(mode >> 2 & 1),"
                        + "jPointsAreConsecutive=\(mode >> 1 & 1),alternativeRowScanning=\(mode & 1),"
                        + "longitudeOfFirstGridPointInDegrees=\(west),longitudeOfLastGridPointInDegrees=\(east),"
                        + "latitudeOfFirstGridPointInDegrees=\(first),latitudeOfLastGridPointInDegrees=\(last)",
                    "\(ECCodes.samples)/regular_latlon_surface.grib2", "scan.grib2",
                ], in: folder)
            let field = try GRIBMessage(try Self.bytes("\(folder)/scan.grib2")[...]).fields[0].field()
            var points = try ECCodes.points(of: "scan.grib2", in: folder)
            try #require(points.count == field.values.count && points.count == 16 * 31)
            let length = mode & 2 != 0 ? 31 : 16
            if mode & 1 != 0 {
                let plain = points
                for (place, point) in plain.enumerated() where place / length % 2 == 1 {
                    let other = place / length * length + length - 1 - place % length
                    (points[other].0, points[other].1) = (point.0, point.1)
                }
            }
            var differing = 0
            for (latitude, longitude, value) in points {
                let y = Int(((latitude - field.grid.latitude.first) / field.grid.latitude.step).rounded())
                let x = Int(((longitude - field.grid.longitude.first) / field.grid.longitude.step).rounded())
                let own = field.values[y * field.grid.longitude.count + x]
                if abs(Double(own) - (value ?? 0)) > 1e-3 { differing += 1 }
            }
            #expect(differing == 0)
        }
    }

    /// U and V in one message, as NCEP's older files have them.
    @Test func messageOfSeveralFields() throws {
        try inFolder { folder in
            let real = "\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2"
            for name in ["10u", "10v"] {
                try ECCodes.run("grib_copy", ["-w", "shortName=\(name)", real, "\(name).grib2"], in: folder)
            }
            let (u, v) = (try Self.bytes("\(folder)/10u.grib2"), try Self.bytes("\(folder)/10v.grib2"))
            // Sections 0, 1 and 3 are the same; what follows of V goes behind what there is of U.
            let together = try Self.joined(u, v)
            try Data(together).write(to: URL(fileURLWithPath: "\(folder)/uv.grib2"))
            let names = try ECCodes.run("grib_get", ["-p", "shortName", "uv.grib2"], in: folder)
            #expect(String(decoding: names, as: UTF8.self) == "10u\n10v\n")
            let message = try GRIBMessage(together[...])
            #expect(message.fields.count == 2)
            for (field, alone) in zip(message.fields, [u, v]) {
                #expect(try field.values() == GRIBMessage(alone[...]).fields[0].values())
            }
            #expect(try message.fields[1].product().parameter == 3)
            _ = try compare("\(folder)/uv.grib2", in: folder)
        }
    }

    private static func joined(_ first: [UInt8], _ second: [UInt8]) throws -> [UInt8] {
        var place = 16
        while second[place + 4] != 4 {
            place += second[place..<(place + 4)].reduce(0) { $0 << 8 | Int($1) }
        }
        var joined = Array(first.dropLast(4)) + second[place...]
        let count = UInt64(joined.count)
        for octet in 0..<8 { joined[8 + octet] = UInt8(truncatingIfNeeded: count >> UInt64(56 - 8 * octet)) }
        return joined
    }

    // MARK: - What is not known, and what is damaged

    @Test func unknownTemplatesAreNamed() throws {
        try inFolder { folder in
            let real = "\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2"
            try ECCodes.run(
                "grib_set", ["-S", "-w", "shortName=10u", "-r", "-s", "packingType=grid_ccsds", real, "ccsds.grib2"],
                in: folder)
            let ccsds = try GRIBMessage(try Self.bytes("\(folder)/ccsds.grib2")[...]).fields[0]
            #expect(throws: GRIBError.unknownTemplate("5.42")) { try ccsds.values() }
            try ECCodes.run("grib_copy", ["-w", "count=1", "\(ECCodes.samples)/eta.grb", "eta.grib2"], in: folder)
            let lambert = try GRIBMessage(try Self.bytes("\(folder)/eta.grib2")[...]).fields[0]
            #expect(throws: GRIBError.unknownTemplate("3.30")) { try lambert.grid() }
            try ECCodes.run(
                "grib_set",
                ["-S", "-w", "shortName=10u", "-s", "productDefinitionTemplateNumber=1", real, "ensemble.grib2"],
                in: folder)
            let ensemble = try GRIBMessage(try Self.bytes("\(folder)/ensemble.grib2")[...]).fields[0]
            #expect(throws: GRIBError.unknownTemplate("4.1")) { try ensemble.product() }
        }
    }

    @Test func everyCutIsNoticed() throws {
        try inFolder { folder in
            let real = "\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2"
            try ECCodes.run("grib_copy", ["-w", "shortName=10u", real, "u.grib2"], in: folder)
            let whole = try Self.bytes("\(folder)/u.grib2")
            for count in Array(0..<400) + stride(from: 400, to: whole.count, by: 97) {
                #expect(throws: GRIBError.self) { try GRIBMessage(whole[..<count]) }
            }
        }
    }

    /// Whatever a message says, it ends in values or in an error.
    @Test func damagedMessagesEndInAnError() throws {
        var generator = SeededGenerator()
        try inFolder { folder in
            let real = "\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2"
            for packing in ["grid_simple", "grid_complex", "grid_complex_spatial_differencing", "grid_jpeg"] {
                try ECCodes.run(
                    "grib_set", ["-S", "-w", "shortName=10u", "-r", "-s", "packingType=\(packing)", real, "u.grib2"],
                    in: folder)
                let whole = try Self.bytes("\(folder)/u.grib2")
                for _ in 0..<150 {
                    var damaged = whole
                    for _ in 0..<Int.random(in: 1...4, using: &generator) {
                        damaged[Int.random(in: 0..<260, using: &generator)] = .random(in: 0...255, using: &generator)
                    }
                    do {
                        for field in try GRIBMessage(damaged[...]).fields {
                            _ = try field.product()
                            let values = try field.values()
                            #expect(values.count <= GRIBField.mostPoints)
                        }
                    } catch {
                        #expect(error is GRIBError)
                    }
                }
            }
        }
    }
}
