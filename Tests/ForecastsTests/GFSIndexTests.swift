import Testing

@testable import Forecasts

struct GFSIndexTests {
    /// Lines of a real index (f003 of 2026-08-29, 00z).
    private static let real = """
        1:0:d=2026082900:PRMSL:mean sea level:3 hour fcst:
        587:428000000:d=2026082900:TMP:100 m above ground:3 hour fcst:
        588:428490334:d=2026082900:UGRD:10 m above ground:3 hour fcst:
        589:429471366:d=2026082900:VGRD:10 m above ground:3 hour fcst:
        590:430450000:d=2026082900:UGRD:100 m above ground:3 hour fcst:

        """

    private func index(_ text: String) throws -> GFSIndex { try GFSIndex(Array(text.utf8)) }

    @Test func findsRecordsByWhatTheyAre() throws {
        let index = try index(Self.real)
        let u = try #require(index.range(variable: "UGRD", level: "10 m above ground"))
        #expect(u == ByteRange(first: 428_490_334, end: 429_471_366))
        let v = try #require(index.range(variable: "VGRD", level: "10 m above ground"))
        #expect(ByteRange.merged([v, u]) == [ByteRange(first: 428_490_334, end: 430_450_000)])
        #expect(index.range(variable: "UGRD", level: "0 m above ground") == nil)
        // The last record ends with the file.
        #expect(index.range(variable: "UGRD", level: "100 m above ground") == ByteRange(first: 430_450_000, end: nil))
        #expect(index.isOf(runSeconds: 1_787_961_600) && !index.isOf(runSeconds: 1_787_961_600 + 21_600))
    }

    /// Older files have U and V in one message: the same offset twice.
    @Test func submessagesShareAnOffset() throws {
        let index = try index(
            "585.1:1000:d=2019010100:UGRD:10 m above ground:anl:\n585.2:1000:d=2019010100:VGRD:10 m above ground:anl:\n586:5000:d=2019010100:TMP:surface:anl:ENS=+3\n"
        )
        let u = index.range(variable: "UGRD", level: "10 m above ground")
        #expect(u == ByteRange(first: 1000, end: 5000))
        #expect(index.range(variable: "VGRD", level: "10 m above ground") == u)
        #expect(ByteRange.merged([u, u].compactMap(\.self)).count == 1)
    }

    @Test(arguments: [
        "", "\n", "<html>", "1:0:d=2026", "1:x:d=2026082900:A:B:C:", "1:-4:d=2026082900:A:B:C:",
        "1:0:d=2026133100:A:B:C:",
    ])
    func isRefused(_ text: String) {
        #expect(throws: GFSIndex.Malformed.self) { try index(text) }
    }

    /// What is a little apart goes together, but never more than a tenth is fetched without being wanted.
    @Test func rangesAreMergedWithinBounds() {
        let near = [ByteRange(first: 0, end: 1000), ByteRange(first: 1100, end: 2000)]
        #expect(ByteRange.merged(near) == [ByteRange(first: 0, end: 2000)])
        let far = [ByteRange(first: 0, end: 1000), ByteRange(first: 1300, end: 2300)]
        #expect(ByteRange.merged(far) == far)
        let open = [ByteRange(first: 0, end: 1000), ByteRange(first: 1000, end: nil)]
        #expect(ByteRange.merged(open) == [ByteRange(first: 0, end: nil)])
    }

    @Test func pathsAndFilter() throws {
        let run: Int64 = 1_787_961_600
        #expect(
            GFSProduct.wind.path(runSeconds: run, hour: 3) == "gfs.20260829/00/atmos/gfs.t00z.pgrb2.0p25.f003")
        #expect(
            GFSProduct.waves.path(runSeconds: run + 21_600, hour: 120)
                == "gfs.20260829/06/wave/gridded/gfswave.t06z.global.0p25.f120.grib2")
        let box = try #require(GeoBox(minLatitude: 57, maxLatitude: 63.5, minLongitude: 3, maxLongitude: 13))
        #expect(
            GFSProduct.wind.filterURL(base: "https://nomads.ncep.noaa.gov/cgi-bin", runSeconds: run, hour: 3, box: box)
                == "https://nomads.ncep.noaa.gov/cgi-bin/filter_gfs_0p25.pl?file=gfs.t00z.pgrb2.0p25.f003&lev_10_m_above_ground=on&var_UGRD=on&var_VGRD=on&subregion=&leftlon=3.0&rightlon=13.0&toplat=63.5&bottomlat=57.0&dir=%2Fgfs.20260829%2F00%2Fatmos"
        )
    }
}
