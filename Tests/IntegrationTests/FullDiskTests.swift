import EdgeTesting
import Foundation
import Testing

/// A disk of a few megabytes, which fills.
@Suite(.serialized) struct FullDiskTests {
    @Test func stopsKeepingSoundSaysSoAndComesBackByItself() throws {
        let disk = try SmallDisk(megabytes: 24)
        defer { withExtendedLifetime(disk) {} }
        let folder = disk.folder
        let models = try TestFolders.programModels()
        let daemon = try DaemonProcess(
            folder: folder,
            settings: [
                "MIN_FREE_DISK_BYTES": "6000000", "ANALYZE_RECORDINGS": "true", "MODELS_DIR": models,
                "ANALYZER_WORKERS": "1", "MIN_RECORDING_DURATION_SEC": "1", "MAX_RECORDING_DURATION_SEC": "3",
                "PRIVACY_THRESHOLD": "1",
            ])
        try daemon.start()
        let ballast = "\(folder)/ballast"
        try Data(count: 14_000_000).write(to: URL(fileURLWithPath: ballast))
        let birds = try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())).dropFirst(44))
        let stream = try daemon.stream("full")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 32_000))))
        var number = 1
        func send(seconds: Int) throws {
            for _ in 0..<(seconds * 2) {
                let start = (number * 32_000) % (birds.count - 32_000) / 2 * 2
                try stream.send(WireMaker.chunk(WireMaker.frame(number, Array(birds[start..<(start + 32_000)]))))
                number += 1
                usleep(100_000)
            }
        }
        while try daemon.get("/readyz").status == 200, number < 400 { try send(seconds: 2) }
        #expect(try daemon.get("/readyz").body.contains("the disk is full"))
        let before = try daemon.json("/api/v1/status")["analysis"] as? [String: Any]
        try send(seconds: 12)
        let after = try daemon.json("/api/v1/status")["analysis"] as? [String: Any]
        // Sound is not kept, detections go on.
        #expect((after?["windows"] as? Int ?? 0) > (before?["windows"] as? Int ?? 0))
        #expect(try daemon.recordings("&state=unkept").isEmpty == false)
        try FileManager.default.removeItem(atPath: ballast)
        try waitFor("room") { try daemon.get("/readyz").status == 200 }
        try send(seconds: 8)
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        #expect(try daemon.recordings().last?["state"] as? String == "closed")
        let ledger = try daemon.json("/api/v1/ledger?kind=loss")["ledger"] as? [[String: Any]] ?? []
        let lost = ledger.filter { $0["reason"] as? String == "disk full" }.compactMap { $0["seconds"] as? Double }
        #expect(lost.reduce(0, +) > 5)
        #expect(daemon.stop() == 0)
    }

    /// Forecasts leave more room than sound does: as a disk fills they stop, with what they have, and sound is kept on.
    @Test func forecastsStopBeforeSoundDoes() throws {
        let disk = try SmallDisk(megabytes: 24)
        defer { withExtendedLifetime(disk) {} }
        let folder = disk.folder
        let upstream = try ForecastUpstream()
        // The globe in steps of 2.5 degrees: 41 files of 85 kB.
        let daemon = try DaemonProcess(
            folder: folder,
            settings: upstream.settings([
                "MIN_FREE_DISK_BYTES": "4000000", "FORECASTS_MIN_FREE_BYTES": "20000000", "FORECAST_REGION": "",
                "FORECAST_HOURS": "120", "MIN_RECORDING_DURATION_SEC": "0",
            ]))
        try Data(count: 2_000_000).write(to: URL(fileURLWithPath: "\(folder)/ballast"))
        try daemon.start()
        let last = try daemon.collected(["wind"])
        let told = last["wind"]?["error_message"] as? String
        #expect(told?.contains("forecasts_min_free_bytes") == true, "\(told ?? "nothing")")
        #expect((0..<41).contains(daemon.fieldFiles().count))
        let stream = try daemon.stream("goes-on")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader())))
        for number in 1...4 {
            try stream.send(WireMaker.chunk(WireMaker.frame(number, WireMaker.ramp(from: 0, samples: 24_000))))
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        #expect(try daemon.recordings().last?["state"] as? String == "closed")
        #expect(try daemon.get("/readyz").status == 200)
        #expect(daemon.stop() == 0)
    }
}
