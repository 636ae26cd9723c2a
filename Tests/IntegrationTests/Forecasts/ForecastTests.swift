import EdgeTesting
import Foundation
import Testing

/// Fields from the servers to the answers: a real daemon, doubles of the servers with real messages.
struct ForecastTests {
    private typealias Upstream = ForecastUpstream

    /// Values of a real message at a place, by ecCodes.
    private func real(_ upstream: ForecastUpstream, _ name: String) throws -> (Double, Double) -> Double? {
        let points = try ECCodes.points(of: "\(name).grib2", in: upstream.folder)
        return { latitude, longitude in
            points.first { $0.0 == latitude && ($0.1 - longitude).truncatingRemainder(dividingBy: 360) == 0 }?.2 ?? nil
        }
    }

    private func query(_ west: Double, _ east: Double, _ from: Int64, _ to: Int64, _ format: String) -> String {
        "min_lat=55&max_lat=60&min_lon=\(west)&max_lon=\(east)&start_time=\(Upstream.text(from))&end_time=\(Upstream.text(to))&format=\(format)"
    }

    @Test func windIsCollectedAndServed() throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(settings: upstream.settings(["HISTORICAL_DAYS": "1", "FORECAST_HOURS": "24"]))
        try daemon.start()
        let last = try daemon.collected(["wind"])
        #expect(last["wind"]?["status"] as? String == "completed", "\(last)")
        // Nine of the forecast; of the past every three hours of the last day, up to where the run begins.
        let all = try daemon.datasets()
        let begin = Int64(Date().timeIntervalSince1970) - 86_400
        let past = stride(from: upstream.run - 3 * Upstream.hour, to: begin, by: -3 * Int(Upstream.hour)).map { $0 }
        #expect(all.filter { ($0["id"] as? String ?? "").contains(Upstream.stamp(upstream.run)) }.count == 9)
        #expect((9 + past.count...10 + past.count).contains(all.count), "\(all.count)")
        #expect(daemon.fieldFiles().count == all.count)
        #expect(all.allSatisfy { $0["source"] as? String == "NOAA GFS" })
        let forecast = all.filter { $0["is_forecast"] as? Bool == true }
        #expect(forecast.count == 8)

        // The hour of each field is in its values.
        let (u, v) = (try real(upstream, "10u"), try real(upstream, "10v"))
        let end = upstream.run + 24 * Upstream.hour
        let answer = try daemon.json("/v1/data/wind?" + query(-5, 5, upstream.run, end, "json"))
        #expect(answer["latitude"] as? [Double] == [55, 57.5, 60])
        let longitudes = try #require(answer["longitude"] as? [Double])
        #expect(longitudes == [-5, -2.5, 0, 2.5, 5])
        #expect(answer["time"] as? [String] == (0...8).map { Upstream.text(upstream.run + $0 * 3 * Upstream.hour) })
        for (name, real) in [("x_wind", u), ("y_wind", v)] {
            let values = try #require(answer[name] as? [[[Double]]])
            for (time, rows) in values.enumerated() {
                for (row, columns) in rows.enumerated() {
                    for (column, value) in columns.enumerated() {
                        let expected = try #require(real(55 + 2.5 * Double(row), longitudes[column])) + Double(3 * time)
                        #expect(abs(value - expected) < 0.006, "\(name) \(time) \(row) \(column)")
                    }
                }
            }
        }
        // The past: hours 0 and 3 of the run before each time.
        let earlier = try daemon.json(
            "/v1/data/wind?" + query(0, 0, upstream.run - 9 * Upstream.hour, upstream.run - 1, "json"))
        let base = try #require(u(55, 0))
        let first = (earlier["x_wind"] as? [[[Double]]])?.map { $0[0][0] } ?? []
        #expect(first.count == 3)
        for (value, hour) in zip(first, [3.0, 0, 3]) { #expect(abs(value - base - hour) < 0.006) }

        // Between four points and two times.
        let place = try daemon.json(
            "/v1/data/wind/point?lat=56&lon=-4&time=\(Upstream.text(upstream.run + 4 * Upstream.hour))")
        let point = try #require((place["values"] as? [[String: Any]])?.first)
        var expected = 4.0
        for (latitude, longitude, weight) in [
            (55, -5, 0.6 * 0.6), (55, -2.5, 0.6 * 0.4), (57.5, -5, 0.4 * 0.6), (57.5, -2.5, 0.4 * 0.4),
        ] {
            expected += weight * (u(Double(latitude), longitude) ?? .nan)
        }
        #expect(abs((point["x_wind"] as? Double ?? .nan) - expected) < 0.01)
        #expect(daemon.stop() == 0)
    }

    @Test func netCDFAnswersAreReadByOthers() throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(settings: upstream.settings(["FORECAST_REGION": ""]))
        try daemon.start()
        _ = try daemon.collected(["wind"])
        // Over the date line.
        let url = "/v1/data/wind?" + query(175, -175, upstream.run, upstream.run + 3 * Upstream.hour, "netcdf")
        let connection = try RawConnection(port: daemon.port)
        try connection.send("GET \(url) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        let answer = try connection.read(1_000_000)
        let head = try #require(answer.firstRange(of: Array("\r\n\r\n".utf8)))
        let file = "\(daemon.folder)/answer.nc"
        try Data(answer[head.upperBound...]).write(to: URL(fileURLWithPath: file))
        let output = "\(daemon.folder)/answer.cdl"
        let dump = try TestProgram(
            "/bin/sh", ["-c", "'\(TestProgram.tools)/bin/ncdump' -p 9,17 '\(file)' > '\(output)'"])
        #expect(dump.wait() == 0)
        let text = try String(contentsOfFile: output, encoding: .utf8)
        #expect(text.contains("longitude = 5 ;") && text.contains("time = 2 ;"))
        #expect(text.contains("longitude = 175, 177.5, 180, 182.5, 185 ;"))
        #expect(text.contains(":Conventions = \"CF-1.8\" ;"))
        // CF-1.8 §2.6.2: when, by which program, of what.
        let history =
            /:history = "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: edge-aggregator \S+: made of 2 files of NOAA GFS, run of \d/
        #expect(text.firstMatch(of: history) != nil, "\(text.prefix(2000))")
        let kept = try #require(daemon.fieldFiles().first)
        let ofFile = try TestProgram(
            "/bin/sh",
            ["-c", "'\(TestProgram.tools)/bin/ncdump' -h '\(daemon.folder)/forecasts/\(kept)' > '\(output)'"])
        #expect(ofFile.wait() == 0)
        let headOfFile = try String(contentsOfFile: output, encoding: .utf8)
        #expect(
            headOfFile.firstMatch(of: /:history = "\d{4}-\S+Z: edge-aggregator \S+: made of GRIB2, run of \d/)
                != nil)
        #expect(text.contains("x_wind:standard_name = \"x_wind\" ;") && text.contains("y_wind:units = \"m s-1\" ;"))
        let u = try real(upstream, "10u")
        let values = try #require(text.firstMatch(of: /x_wind =\n([^;]+);/)).1.split { " ,\n".contains($0) }.compactMap
        { Double($0) }
        try #require(values.count == 30)
        for (place, longitude) in [175.0, 177.5, 180, -177.5, -175].enumerated() {
            let expected = try #require(u(55, longitude))
            #expect(abs(values[place] - expected) < 0.006)
            #expect(abs(values[15 + place] - expected - 3) < 0.006)
        }
        #expect(daemon.stop() == 0)
    }

    @Test func currentsComeOutOfChunks() throws {
        let upstream = try Upstream()
        let settings = upstream.settings([
            "FORECAST_DATA_TYPES": "ocean-currents", "HISTORICAL_DAYS": "3", "FORECAST_REGION": "-10,60,-30,60",
        ])
        let daemon = try DaemonProcess(settings: settings)
        try daemon.start()
        let last = try daemon.collected(["ocean-currents"])
        #expect(last["ocean-currents"]?["status"] as? String == "completed", "\(last)")
        let all = try daemon.datasets("&type=ocean-currents")
        let now = Int64(Date().timeIntervalSince1970)
        let epoch = Upstream.seconds("1950-01-01T00:00:00Z")
        let wanted = upstream.times.filter {
            (now - 3 * 86_400...now + 12 * Upstream.hour).contains(epoch + Int64($0) * Upstream.hour)
        }
        #expect(abs(all.count - wanted.count) <= 1)
        // The double's own sum, at the surface: the last level.
        let hours = try #require(wanted.last { epoch + Int64($0) * Upstream.hour <= now })
        let time = epoch + Int64(hours) * Upstream.hour
        let answer = try daemon.json(
            "/v1/data/ocean-currents?min_lat=-2&max_lat=20&min_lon=-4&max_lon=24&start_time=\(Upstream.text(time))&end_time=\(Upstream.text(time))&format=json"
        )
        let (latitudes, longitudes) = (
            try #require(answer["latitude"] as? [Double]), try #require(answer["longitude"] as? [Double])
        )
        #expect(latitudes == stride(from: -2, through: 20, by: 2).map { $0 } && longitudes.count == 15)
        for (component, name) in ["x_sea_water_velocity", "y_sea_water_velocity"].enumerated() {
            let values = try #require(answer[name] as? [[[Any]]])[0]
            for (row, latitude) in latitudes.enumerated() {
                for (column, longitude) in longitudes.enumerated() {
                    let isLand = abs(latitude) < 4 && (0..<20).contains(longitude)
                    let value = values[row][column] as? Double
                    let expected =
                        Double(component + 1) * (latitude / 100 + longitude / 1000) + Double(hours % 1000) / 1000
                    if isLand {
                        #expect(value == nil)
                    } else {
                        #expect(abs((value ?? .nan) - expected) < 1e-5, "\(name) \(latitude) \(longitude)")
                    }
                }
            }
        }
        // The far end is told who asks, and never the token.
        let asked = try upstream.log().filter { $0.path.contains("/store/") }
        #expect(!asked.isEmpty && asked.allSatisfy { $0.path.contains("x-cop-user=skipper") })
        // Of each field and component the two chunks that the region touches, each once: rows 34 to 71 of 32 in a chunk,
        // columns 74 to 121 of 64.
        let chunks = asked.filter { $0.path.contains("/uo/") || $0.path.contains("/vo/") }
        #expect(chunks.count == all.count * 4 && Set(chunks.map(\.path)).count == chunks.count)
        // Only the newest version that is released.
        #expect(asked.allSatisfy { $0.path.contains("_202406/") })
        #expect(daemon.stop() == 0)

        // What is settled is not fetched again; what may change is, when it was written anew.
        let before = asked.filter { $0.path.contains("/uo/") }.count
        try upstream.set(["updating": Upstream.text(upstream.updating + 86_400)])
        try daemon.start()
        _ = try daemon.collected(["ocean-currents"], after: 1)
        let again = try upstream.log().filter { $0.path.contains("/uo/") }.count - before
        #expect(again > 0 && again < before)
        #expect(daemon.stop() == 0)
    }

    @Test func wavesAreImagesAndDirectionsAreRound() throws {
        let upstream = try Upstream(hasWaves: true)
        let daemon = try DaemonProcess(settings: upstream.settings(["FORECAST_DATA_TYPES": "waves"]))
        try daemon.start()
        let last = try daemon.collected(["waves"])
        #expect(last["waves"]?["status"] as? String == "completed", "\(last)")
        let height = try real(upstream, "HTSGW")
        let answer = try daemon.json(
            "/v1/data/waves?" + query(0, 0, upstream.run + 10_800, upstream.run + 10_800, "json"))
        let value = (answer["sea_surface_wave_significant_height"] as? [[[Double]]])?[0][0][0]
        #expect(abs((value ?? .nan) - (try #require(height(55, 0))) - 3) < 0.02)
        #expect(daemon.stop() == 0)
    }

    @Test func withoutAnAccountWindGoesOn() throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(
            settings: upstream.settings(["FORECAST_DATA_TYPES": "ocean-currents,wind", "COPERNICUS_PASSWORD": ""]))
        try daemon.start()
        #expect(try daemon.collected(["wind"])["wind"]?["status"] as? String == "completed")
        #expect(try upstream.log().allSatisfy { !$0.path.hasPrefix("/cop") })
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.output.contains("ocean-currents: set COPERNICUS_USERNAME and COPERNICUS_PASSWORD"))
        #expect(answer.output.contains("wind: completed, 0 fields"))
        #expect(daemon.stop() == 0)
    }

    /// No more is fetched than the messages that are wanted and their indexes.
    @Test func onlyTheWantedMessagesAreFetched() throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(settings: upstream.settings(["FORECAST_HOURS": "120"]))
        let plan = try daemon.command("forecasts", "collect", "--dry-run")
        #expect(plan.status == 0 && plan.output.contains("41 fields of the forecast"), "\(plan.output)")
        let planned = try upstream.log().count
        #expect(planned <= 8)
        let done = try daemon.command("forecasts", "collect")
        #expect(done.status == 0 && done.output.contains("wind: completed, 41 fields"), "\(done.output)")
        let asked = try upstream.log().dropFirst(planned)
        let messages = ["10u", "10v"].reduce(0) { sum, name in
            let size = try? FileManager.default.attributesOfItem(atPath: "\(upstream.folder)/\(name).grib2")[.size]
            return sum + ((size as? NSNumber)?.intValue ?? 0)
        }
        let ranges = asked.filter { $0.range != nil }
        #expect(ranges.count == 41, "two neighbouring messages are one request")
        #expect(ranges.reduce(0) { $0 + $1.bytes } == 41 * messages)
        #expect(asked.reduce(0) { $0 + $1.bytes } <= 41 * messages * 12 / 10)
    }

    @Test func aNewRunReplacesTheOldOneWhenItIsWhole() throws {
        let upstream = try Upstream()
        let (old, new) = (upstream.run, upstream.run + 6 * Upstream.hour)
        let daemon = try DaemonProcess(settings: upstream.settings())
        #expect(try daemon.command("forecasts", "collect").output.contains("completed, 5 fields"))
        // It comes hour by hour.
        var runs = [Upstream.stamp(old): 120, Upstream.stamp(new): 9]
        try upstream.set(["runs": runs])
        #expect(try daemon.command("forecasts", "collect").output.contains("completed, 0 fields"))
        runs[Upstream.stamp(new)] = 12
        try upstream.set(["runs": runs])
        // One hour of it is not to be had yet: nobody is shown the others.
        try upstream.fault("f006", "status", count: 4, value: 404)
        let part = try daemon.command("forecasts", "collect")
        #expect(part.status != 0 && part.output.contains("404"), "\(part.output)")
        try daemon.start()
        _ = try daemon.collected(["wind"])
        let at = Upstream.text(new + 3 * Upstream.hour)
        let place = "/v1/data/wind/point?lat=60&lon=0&time=\(at)"
        func run() throws -> String? {
            (try daemon.json(place)["values"] as? [[String: Any]])?.first?["forecast_reference_time"] as? String
        }
        #expect(try run() == Upstream.text(old))
        #expect(daemon.stop() == 0)
        // The double forgets the fault when it has been used up.
        while try daemon.command("forecasts", "collect").status != 0 {}
        try daemon.start()
        #expect(try run() == Upstream.text(new))
        // Both are there until they are old.
        let both = try daemon.datasets("&start_time=\(at)&end_time=\(at)")
        #expect(both.count == 2)
        #expect(try daemon.datasets("&newest=true&start_time=\(at)&end_time=\(at)").count == 1)
        #expect(daemon.stop() == 0)
    }

    @Test func anotherRegionIsCollectedAnew() throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(settings: upstream.settings())
        #expect(try daemon.command("forecasts", "collect").output.contains("completed, 5 fields"))
        let south = try DaemonProcess(
            folder: daemon.folder, settings: upstream.settings(["FORECAST_REGION": "-40,-20,170,-170"]))
        #expect(try south.command("forecasts", "collect").output.contains("completed, 5 fields"))
        try south.start()
        #expect(try south.datasets().count == 5 && south.fieldFiles().count == 5)
        let at = Upstream.text(upstream.run + 3 * Upstream.hour)
        let place = try south.json("/v1/data/wind/point?lat=-30&lon=-180&time=\(at)")
        let value = (place["values"] as? [[String: Any]])?.first?["x_wind"] as? Double
        let expected = try #require(try real(upstream, "10u")(-30, 180))
        #expect(abs((value ?? .nan) - expected - 3) < 0.006)
        #expect(south.stop() == 0)
    }
}
