import EdgeTesting
import Foundation
import Testing

/// One field that no server ever has right: the others are collected all the same, and what is missing is reported.
@Suite(.serialized) struct ForecastGapTests {
    private typealias Upstream = ForecastUpstream

    private func ids(_ daemon: DaemonProcess) throws -> Set<String> {
        Set(try daemon.datasets().compactMap { $0["id"] as? String })
    }

    private static func id(_ run: Int64, _ hour: Int) -> String {
        "wind-\(Upstream.stamp(run))-f00\(hour)"
    }

    /// A regular expression for an hour of a run, of its file and its index.
    private static func path(_ run: Int64, _ hour: Int) -> String {
        let stamp = Upstream.stamp(run)
        return "gfs\\.\(stamp.prefix(8))/\(stamp.suffix(2))/.*f00\(hour)"
    }

    @Test func onePastHourIsTakenFromTheRunBefore() throws {
        let upstream = try Upstream()
        let bad = upstream.run - 6 * Upstream.hour
        try upstream.fault(Self.path(bad, 3), "otherrun", count: 1000)
        let daemon = try DaemonProcess(settings: upstream.settings(["HISTORICAL_DAYS": "1"]))
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.status == 0 && answer.output.contains("of the run before"), "\(answer.output)")
        try daemon.start()
        let all = try ids(daemon)
        #expect(!all.contains(Self.id(bad, 3)) && all.contains(Self.id(bad - 6 * Upstream.hour, 9)))
        // All times of the past are there, also those that are older than the bad one.
        let times = Set(try daemon.datasets().compactMap { $0["valid_time_start"] as? String })
        let begin = Int64(Date().timeIntervalSince1970) - 86_400 + 60
        for time in stride(from: upstream.run - 3 * Upstream.hour, to: begin, by: -3 * Int(Upstream.hour)) {
            #expect(times.contains { $0.hasPrefix(Upstream.text(time).dropLast()) }, "\(Upstream.text(time))")
        }
        let last = try daemon.collected(["wind"], after: 1)
        #expect(last["wind"]?["status"] as? String == "completed")
        let told = last["wind"]?["error_message"] as? String
        #expect(told?.contains("another run") == true, "\(told ?? "nothing")")
        #expect(daemon.stop() == 0)
    }

    @Test func onePastHourThatNoRunHasIsLeftOut() throws {
        let upstream = try Upstream()
        let bad = upstream.run - 6 * Upstream.hour
        try upstream.fault(Self.path(bad, 3), "otherrun", count: 1000)
        try upstream.fault(Self.path(bad - 6 * Upstream.hour, 9), "page", count: 1000)
        let daemon = try DaemonProcess(settings: upstream.settings(["HISTORICAL_DAYS": "1"]))
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.status == 0 && answer.output.contains("1 fields are not there"), "\(answer.output)")
        try daemon.start()
        let all = try ids(daemon)
        #expect(!all.contains(Self.id(bad, 3)) && !all.contains(Self.id(bad - 6 * Upstream.hour, 9)))
        for (run, hour) in [(bad, 0), (bad - 6 * Upstream.hour, 3)] {
            #expect(all.contains(Self.id(run, hour)), "\(Self.id(run, hour))")
        }
        try waitFor("the count") {
            try daemon.get("/metrics").body.contains("edge_aggregator_forecast_fields_left_out_total 1\n")
        }
        #expect(daemon.stop() == 0)
    }

    /// Of a run that is not whole nothing is shown; the run before is, and the past is collected.
    @Test func oneHourOfAForecastDoesNotStopTheOthers() throws {
        let upstream = try Upstream()
        try upstream.fault(Self.path(upstream.run, 6), "page", count: 1000)
        let daemon = try DaemonProcess(settings: upstream.settings(["HISTORICAL_DAYS": "1"]))
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.status != 0 && answer.output.contains("1 fields are not there"), "\(answer.output)")
        try daemon.start()
        let all = try ids(daemon)
        #expect(!all.contains { $0.contains(Upstream.stamp(upstream.run)) })
        let before = upstream.run - 6 * Upstream.hour
        for hour in stride(from: 0, through: 9, by: 3) { #expect(all.contains(Self.id(before, hour))) }
        #expect(all.contains("wind-\(Upstream.stamp(before))-f012"))
        #expect(all.contains(Self.id(before - 6 * Upstream.hour, 3)))
        // The other hours of the new run were fetched, and are not fetched again.
        for hour in [0, 3, 9] {
            let id = Self.id(upstream.run, hour)
            #expect(daemon.fieldFiles().contains { $0.hasSuffix("\(id).nc") }, "\(id)")
        }
        #expect(daemon.stop() == 0)
    }

    @Test func onePastTimeOfTheCurrentsIsLeftOut() throws {
        let upstream = try Upstream()
        let settings = upstream.settings(["FORECAST_DATA_TYPES": "ocean-currents", "HISTORICAL_DAYS": "5"])
        let origin = Upstream.seconds("1950-01-01T00:00:00Z") / Upstream.hour
        let wanted = (upstream.updating - 24 * Upstream.hour) / Upstream.hour - origin
        let place = try #require(upstream.times.firstIndex(of: Int(wanted)))
        try upstream.fault("/(uo|vo)/\(place)\\.", "flip", count: 1000)
        let daemon = try DaemonProcess(settings: settings)
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.status == 0 && answer.output.contains("1 fields are not there"), "\(answer.output)")
        try daemon.start()
        let times = Set(try daemon.datasets().compactMap { $0["valid_time_start"] as? String })
        func isThere(_ hours: Int64) -> Bool {
            let text = Upstream.text(upstream.updating + hours * Upstream.hour).dropLast()
            return times.contains { $0.hasPrefix(text) }
        }
        #expect(!isThere(-24))
        for hours in [0, -6, -18, -30, -48] as [Int64] { #expect(isThere(hours), "\(hours)") }
        #expect(daemon.stop() == 0)
    }
}
