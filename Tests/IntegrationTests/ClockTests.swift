import EdgeTesting
import Foundation
import Testing

/// A machine without a clock battery: it starts in 1970, is stepped forward two years, then to an hour too far, then back
/// an hour, and only then is synchronised.
@Suite(.serialized) struct ClockTests {
    @Test func everythingEndsWithItsRightTimeAndOnceAtTheFarEnd() throws {
        let influx = try FarEnd.influx(token: "secret")
        let now = Date().timeIntervalSince1970
        let clock = try ShiftedClock(seconds: 1000 - now, isSynchronised: false)
        let daemon = try DaemonProcess(
            settings: [
                "INFLUX_URL": "http://127.0.0.1:\(influx.port)", "INFLUX_TOKEN": "secret",
                "DELIVERY_RETRY_FIRST_SEC": "0.1", "DELIVERY_RETRY_MAX_SEC": "1", "LOG_LEVEL": "critical",
                "HEALTH_INTERVAL_SEC": "1", "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(),
                "PRIVACY_THRESHOLD": "1", "MIN_RECORDING_DURATION_SEC": "1",
            ].merging(clock.environment) { $1 })
        try daemon.start()
        let birds = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try TestFolders.birds())))
        // The recording's own header, then its sound at the pace of real time, a gap in it.
        let stream = try daemon.stream("a")
        let rate = 32_000 * 2
        let begun = Date()
        var place = 0
        for number in 0..<10 {
            let page = Array(birds[place..<min(place + rate, birds.count)])
            place += page.count
            if number != 5 { try stream.send(WireMaker.chunk(WireMaker.frame(number, page))) }
            switch number {
            case 2: try clock.set(seconds: 1000 - now + 2 * 365 * 86_400, isSynchronised: false)
            case 5: try clock.set(seconds: 3600, isSynchronised: false)
            case 7:
                // An hour back, and something that knows the time says so.
                try clock.set(seconds: 0, isSynchronised: false)
                #expect(try DeliverySupport.points(influx, table: "detections").isEmpty)
                try clock.set(seconds: 0, isSynchronised: true)
            default: break
            }
            usleep(UInt32(max(0, begun.addingTimeInterval(Double(number + 1)).timeIntervalSinceNow) * 1e6))
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        let ended = Date()
        _ = try DeliverySupport.wait(daemon) { sink in
            DeliverySupport.isEmpty(sink) && (sink["facts_done"] as? Int ?? 0) > 30
        }
        let heard = try daemon.json("/api/v1/detections?limit=1000")["detections"] as? [[String: Any]] ?? []
        #expect(!heard.isEmpty)
        let span = (begun.timeIntervalSince1970 - 2)...(ended.timeIntervalSince1970 + 2)
        let points = try DeliverySupport.points(influx, table: "detections")
        #expect(points.count == heard.count)
        for table in ["detections", "health", "coverage", "analysis"] {
            let times = try DeliverySupport.points(influx, table: table).compactMap {
                ($0["time"] as? Int).map { Double($0) / 1e9 }
            }
            #expect(!times.isEmpty, "\(table)")
            #expect(times.allSatisfy { span.contains($0) }, "\(table): \(times)")
        }
        let recordings = try daemon.recordings()
        #expect(recordings.contains { $0["time_quality"] as? String == "corrected" })
        #expect(recordings.allSatisfy { $0["time_quality"] as? String != "unsynchronised" })
        let listeners = try daemon.json("/api/v1/listeners")["listeners"] as? [[String: Any]] ?? []
        let seen = (listeners.first?["first_seen_at"] as? String).flatMap { text in
            try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        }
        #expect(seen.map { span.contains($0.timeIntervalSince1970) } ?? false, "\(listeners)")
        #expect(daemon.stop() == 0)
    }
}
