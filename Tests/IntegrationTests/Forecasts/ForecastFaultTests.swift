import EdgeTesting
import Foundation
import Store
import Testing

/// Whatever the servers, the disk or the power do: a complete and right set, or a failed run with its reason, and what was
/// there stays.
struct ForecastFaultTests {
    private typealias Upstream = ForecastUpstream

    private static let values = "/v1/data/wind?min_lat=60&max_lat=60&min_lon=0&max_lon=0&format=json"

    /// The five fields of a run of twelve hours, and that each is for its hour.
    private func expectWhole(_ daemon: DaemonProcess, _ upstream: ForecastUpstream) throws {
        try daemon.start()
        let all = try daemon.datasets()
        #expect(all.count == 5 && daemon.fieldFiles().count == 5)
        let answer = try daemon.json(
            Self.values
                + "&start_time=\(Upstream.text(upstream.run))&end_time=\(Upstream.text(upstream.run + 12 * Upstream.hour))"
        )
        let points = try ECCodes.points(of: "10u.grib2", in: upstream.folder)
        let base = try #require(points.first { $0.0 == 60 && $0.1 == 0 }?.2)
        let values = try #require(answer["x_wind"] as? [[[Double]]]).map { $0[0][0] }
        #expect(values.count == 5)
        for (place, value) in values.enumerated() { #expect(abs(value - base - Double(3 * place)) < 0.006) }
        #expect(daemon.stop() == 0)
    }

    /// What goes away by itself, or by asking again.
    @Test(arguments: [
        ("f006\\.idx", "status", 3, 503), ("f006\\.idx", "status", 2, 429), ("f006$", "status", 2, 429),
        ("f006\\.idx", "empty", 2, 0), ("f006$", "empty", 2, 0), ("f006\\.idx", "cut", 2, 0), ("f006$", "cut", 4, 0),
        ("f006$", "drip", 1, 6), ("f006$", "flip", 1, 0), ("f006$", "otherrun", 1, 0), ("f006\\.idx", "otherrun", 1, 0),
        ("f006\\.idx", "page", 1, 0), ("f006$", "page", 1, 0), ("f006$", "hang", 1, 6), ("f012\\.idx", "cut", 1, 0),
    ])
    func passingFaultsEndInTheWholeSet(_ path: String, _ kind: String, _ count: Int, _ value: Int) throws {
        let upstream = try Upstream()
        try upstream.fault(path, kind, count: count, value: value)
        let daemon = try DaemonProcess(settings: upstream.settings())
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.status == 0 && answer.output.contains("completed, 5 fields"), "\(answer.output)")
        try expectWhole(daemon, upstream)
    }

    /// What stays: the run fails with its reason, and the fields of the run before are there as they were.
    @Test(arguments: [
        ("f006$", "whole", 0, "knows no ranges"), ("f006$", "flip", 0, "GRIB"), ("f006$", "otherrun", 0, "run of"),
        ("f006\\.idx", "otherrun", 0, "another run"), ("f006\\.idx", "page", 0, "index"),
        ("f006", "status", 404, "answers 404"), ("f006", "status", 403, "answers 403"),
        ("f006", "status", 500, "answers 500"),
        ("f006$", "status", 416, "shorter"), ("f006", "empty", 0, "empty"),
    ])
    func lastingFaultsLeaveTheOldData(_ path: String, _ kind: String, _ value: Int, _ reason: String) throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(settings: upstream.settings())
        #expect(try daemon.command("forecasts", "collect").status == 0)
        try upstream.set(["runs": [Upstream.stamp(upstream.run): 120, Upstream.stamp(upstream.run + 21_600): 120]])
        try upstream.fault(
            Upstream.stamp(upstream.run + 21_600).suffix(2) + "z.*" + path, kind, count: 1000, value: value)
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.status != 0 && answer.output.contains(reason), "\(answer.output)")
        try daemon.start()
        let status = try daemon.collected(["wind"], after: 2)
        #expect(status["wind"]?["status"] as? String == "failed")
        let told = status["wind"]?["error_message"] as? String
        #expect(told?.contains(reason) == true, "\(told ?? "nothing")")
        // The rows of the unfinished run are not shown.
        let run = Upstream.text(upstream.run)
        let all = try daemon.datasets()
        #expect(all.count == 5)
        #expect(all.allSatisfy { "\($0["forecast_date"] ?? "")" == run.prefix(10) })
        let metrics = try daemon.get("/metrics").body
        #expect(metrics.contains("edge_aggregator_forecast_last_collection_failed{type=\"wind\"} 1"))
        #expect(daemon.stop() == 0)
    }

    @Test func anotherServerHelpsOut() throws {
        let upstream = try Upstream()
        let base = "http://127.0.0.1:\(upstream.server.port)"
        try upstream.fault("^/noaa.*f006", "status", count: 1000, value: 500)
        try upstream.fault("^/(noaa|mirror).*f009", "flip", count: 1000)
        let daemon = try DaemonProcess(
            settings: upstream.settings([
                "NOAA_GFS_BASE_URL": "\(base)/noaa,\(base)/mirror", "NOAA_GFS_FILTER_URL": "\(base)/cgi-bin",
            ]))
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.status == 0, "\(answer.output)")
        let asked = try upstream.log()
        #expect(asked.contains { $0.path.hasPrefix("/mirror") && $0.path.hasSuffix("f006") })
        let filtered = try #require(asked.first { $0.path.hasPrefix("/cgi-bin") })
        // The box, a quarter of a degree wider.
        for part in [
            "filter_gfs_0p25.pl", "f009", "lev_10_m_above_ground=on", "var_UGRD=on", "var_VGRD=on", "leftlon=-20.25",
            "rightlon=20.25", "toplat=70.25", "bottomlat=49.75",
        ] { #expect(filtered.path.contains(part), "\(filtered.path)") }
        try expectWhole(daemon, upstream)
    }

    @Test(arguments: [
        ("/auth/userinfo", "status", 1, 401, ""), ("/uo/", "cut", 3, 0, ""), ("\\.zmetadata", "status", 2, 503, ""),
        ("/auth/userinfo", "status", 1000, 401, "tokens"), ("/uo/", "flip", 1000, 0, "chunk"),
        ("\\.zmetadata", "page", 1000, 0, "metadata"), ("/(uo|vo)/", "status", 1000, 403, "none of the chunks"),
        ("product.stac", "status", 1000, 404, "404"), ("/auth/token", "status", 1000, 401, "account"),
    ])
    func faultsOfCopernicus(_ path: String, _ kind: String, _ count: Int, _ value: Int, _ reason: String) throws {
        let upstream = try Upstream()
        try upstream.fault(path, kind, count: count, value: value)
        let daemon = try DaemonProcess(settings: upstream.settings(["FORECAST_DATA_TYPES": "ocean-currents"]))
        let answer = try daemon.command("forecasts", "collect")
        if reason.isEmpty {
            #expect(answer.status == 0 && answer.output.contains("completed"), "\(answer.output)")
            #expect(!daemon.fieldFiles().isEmpty)
        } else {
            #expect(answer.status != 0 && answer.output.contains(reason), "\(answer.output)")
            #expect(daemon.fieldFiles().isEmpty)
        }
        #expect(!answer.output.contains("p&ss word"))
    }

    /// Kills in the middle: what was fetched is not fetched again, nothing is left over, and the set is whole.
    @Test func killsInTheMiddle() throws {
        var random = SeededGenerator()
        let upstream = try Upstream()
        let daemon = try DaemonProcess(settings: upstream.settings(["FORECAST_HOURS": "120"]))
        for _ in 0..<6 {
            try daemon.start()
            usleep(UInt32.random(in: 0...500_000, using: &random))
            daemon.killNow()
        }
        // What a cut between a file and its row, or between a row and its file, leaves.
        let folder = "\(daemon.folder)/forecasts/wind/20200101/00"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data("half".utf8).write(to: URL(fileURLWithPath: "\(folder)/wind-2020010100-f000.nc.part"))
        try Data("orphan".utf8).write(to: URL(fileURLWithPath: "\(folder)/wind-2020010100-f003.nc"))
        try Data("mine".utf8).write(to: URL(fileURLWithPath: "\(daemon.folder)/forecasts/notes.txt"))
        if let first = daemon.fieldFiles().first(where: { !$0.contains("2020010100") }) {
            try FileManager.default.removeItem(atPath: "\(daemon.folder)/forecasts/\(first)")
        }
        try daemon.start()
        try Upstream.wait { try daemon.datasets().count == 41 }
        let all = try daemon.datasets()
        #expect(all.count == 41)
        let paths = all.compactMap { $0["file_path"] as? String }.sorted()
        #expect(daemon.fieldFiles() == paths)
        #expect(FileManager.default.fileExists(atPath: "\(daemon.folder)/forecasts/notes.txt"))
        #expect(try daemon.get("/metrics").body.contains("edge_aggregator_forecast_orphans_total "))
        #expect(daemon.stop() == 0)
        let done = try daemon.command("forecasts", "collect")
        #expect(done.output.contains("completed, 0 fields"))
    }

    /// A clean-up whose time has passed while the daemon did not run is made up once.
    @Test func aMissedCleanupIsMadeUp() throws {
        let upstream = try Upstream()
        let settings = upstream.settings(["HISTORICAL_DAYS": "2"])
        let daemon = try DaemonProcess(settings: settings)
        #expect(try daemon.command("forecasts", "collect").status == 0)
        let before = daemon.fieldFiles().count
        let store = try Store(path: "\(daemon.folder)/edge.db")
        let now = Int64(Date().timeIntervalSince1970)
        try store.commitBlocking([.jobWasRun(name: "cleanup", dueSeconds: now - 2 * 86_400)])
        store.close()
        let later = try DaemonProcess(
            folder: daemon.folder,
            settings: settings.merging(["HISTORICAL_DAYS": "0", "MAX_DATA_AGE_DAYS": "1"]) { $1 })
        try later.start()
        Upstream.wait { later.fieldFiles().count < before }
        #expect(later.fieldFiles().count < before)
        func next() throws -> String {
            let jobs = try later.json("/api/v1/forecasts")["jobs"] as? [[String: Any]] ?? []
            return jobs.first { $0["job"] as? String == "cleanup" }?["next_run_at"] as? String ?? ""
        }
        try Upstream.wait { try next() > Upstream.text(now) }
        #expect(try next() > Upstream.text(now))
        #expect(later.stop() == 0)
    }

    /// The rows of removed fields wait for a bucket that cannot be reached. Nothing that is told of kept fields counts them.
    @Test func removedFieldsThatWaitForTheBucketAreNotKept() throws {
        let upstream = try Upstream()
        let settings = upstream.settings([
            "HISTORICAL_DAYS": "2", "S3_ENDPOINT": "http://127.0.0.1:\(try TestFolders.freePort())",
            "S3_BUCKET": "fields", "S3_ACCESS_KEY": "key12345", "S3_SECRET_KEY": "secret12345", "LOG_LEVEL": "notice",
        ])
        let daemon = try DaemonProcess(settings: settings)
        #expect(try daemon.command("forecasts", "collect").status == 0)
        let before = daemon.fieldFiles().count
        let store = try Store(path: "\(daemon.folder)/edge.db")
        let now = Int64(Date().timeIntervalSince1970)
        try store.commitBlocking([.jobWasRun(name: "cleanup", dueSeconds: now - 2 * 86_400)])
        store.close()
        let later = try DaemonProcess(
            folder: daemon.folder,
            settings: settings.merging(["HISTORICAL_DAYS": "0", "MAX_DATA_AGE_DAYS": "1"]) { $1 })
        let log = "\(daemon.folder)/log"
        try later.start(logPath: log)
        func line() throws -> String? {
            try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
                .first { $0.contains("Old forecast fields are removed") }.map(String.init)
        }
        try waitFor("the clean-up") { try line() != nil }
        let kept = later.fieldFiles().count
        #expect(kept > 0 && kept < before)
        let told = try #require(try line())
        #expect(told.contains(" kept=\"\(kept)\""), "\(told)")
        #expect(told.contains(" removed=\"\(before - kept)\""), "\(told)")
        let metrics = try later.get("/metrics").body
        #expect(metrics.contains("\nedge_aggregator_forecast_datasets{type=\"wind\"} \(kept)\n"))
        #expect(metrics.contains("\nedge_aggregator_forecast_datasets_expired{type=\"wind\"} \(before - kept)\n"))
        let types = try later.json("/api/v1/forecasts")["types"] as? [[String: Any]]
        #expect(types?.first { $0["data_type"] as? String == "wind" }?["datasets"] as? Int == kept)
        #expect(later.stop() == 0)
    }

    /// A folder that cannot be made stops the forecasts, and nothing else.
    @Test func aFolderThatCannotBeMadeStopsForecastsOnly() throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(settings: upstream.settings(["FORECASTS_DIR": "/proc/none/forecasts"]))
        try daemon.start()
        usleep(500_000)
        #expect(try daemon.get("/healthz").status == 200)
        #expect(try daemon.get("/api/v1/forecasts").body.contains("/proc/none/forecasts"))
        #expect(daemon.stop() == 0)
    }

    @Test func theDaysBudgetIsKept() throws {
        let upstream = try Upstream()
        // 41 fields of 28 kB are more than a megabyte.
        let daemon = try DaemonProcess(
            settings: upstream.settings(["FORECAST_HOURS": "120", "FORECASTS_DAILY_MB": "1"]))
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.status != 0 && answer.output.contains("forecasts_daily_mb"), "\(answer.output)")
        let asked = try upstream.log().reduce(0) { $0 + $1.bytes }
        // Those on the way when it was used up.
        #expect(asked <= 1_000_000 + 4 * 40_000)
        try daemon.start()
        #expect(try daemon.datasets().isEmpty)
        let status = try daemon.json("/api/v1/forecasts")
        #expect((status["fetched_today_bytes"] as? Int ?? 0) >= 1_000_000)
        #expect(daemon.stop() == 0)
    }

    /// Forecasts leave more room than sound does: they stop first, and sound goes on.
    @Test func aShortDiskStopsForecastsFirst() throws {
        let upstream = try Upstream()
        let daemon = try DaemonProcess(
            settings: upstream.settings([
                "FORECASTS_MIN_FREE_BYTES": "9000000000000000", "MIN_RECORDING_DURATION_SEC": "0",
            ]))
        try daemon.start()
        let last = try daemon.collected(["wind"])
        let told = last["wind"]?["error_message"] as? String
        #expect(told?.contains("forecasts_min_free_bytes") == true)
        #expect(try upstream.log().allSatisfy { !$0.path.hasPrefix("/noaa") })
        #expect(daemon.fieldFiles().isEmpty)
        let status = try daemon.json("/api/v1/status")
        #expect((status["disk"] as? [String: Any])?["is_sound_kept"] as? Bool == true)
        #expect(daemon.stop() == 0)
        // A limit below that of sound is refused.
        let wrong = try DaemonProcess(
            settings: upstream.settings(["FORECASTS_MIN_FREE_BYTES": "1000", "MIN_FREE_DISK_BYTES": "1000000"]))
        let answer = try wrong.command("settings", "check")
        #expect(answer.status != 0 && answer.output.contains("forecasts_min_free_bytes"), "\(answer.output)")
    }

    /// Fields leave as many inodes as sound does, in the daemon and in a command beside it.
    @Test func aDiskThatIsShortOfInodesStopsForecasts() throws {
        let disk = try SmallDisk(megabytes: 48, files: 200)
        defer { withExtendedLifetime(disk) {} }
        let upstream = try Upstream()
        let daemon = try DaemonProcess(
            settings: upstream.settings([
                "FORECASTS_DIR": "\(disk.folder)/forecasts", "MIN_FREE_DISK_BYTES": "1000000",
            ]))
        let answer = try daemon.command("forecasts", "collect")
        #expect(answer.status != 0 && answer.output.contains("inodes"), "\(answer.output)")
        try daemon.start()
        let last = try daemon.collected(["wind"])
        let told = last["wind"]?["error_message"] as? String
        #expect(told?.contains("inodes") == true, "\(told ?? "nothing")")
        // The recordings are on another disk.
        let status = try daemon.json("/api/v1/status")
        #expect((status["disk"] as? [String: Any])?["is_sound_kept"] as? Bool == true)
        #expect(daemon.stop() == 0)
    }

    @Test func oldAndTooManyFieldsAreRemoved() throws {
        let upstream = try Upstream()
        let settings = upstream.settings(["HISTORICAL_DAYS": "2", "FORECAST_HOURS": "120"])
        let daemon = try DaemonProcess(settings: settings)
        #expect(try daemon.command("forecasts", "collect").status == 0)
        let before = daemon.fieldFiles().count
        #expect(before > 50)
        let day = try DaemonProcess(
            folder: daemon.folder,
            settings: settings.merging(["HISTORICAL_DAYS": "0", "MAX_DATA_AGE_DAYS": "1"]) { $1 })
        let answer = try day.command("forecasts", "cleanup")
        #expect(answer.status == 0 && answer.output.contains("fields of"), "\(answer.output)")
        let kept = daemon.fieldFiles()
        #expect(kept.count < before && kept.count > 41)
        try day.start()
        let all = try day.datasets()
        #expect(all.compactMap { $0["file_path"] as? String }.sorted() == day.fieldFiles())
        let oldest = Upstream.text(Int64(Date().timeIntervalSince1970) - 86_400 - 60)
        #expect(all.allSatisfy { ($0["valid_time_end"] as? String ?? "") >= oldest })
        // A file is handed out whole and in part, and that is noted.
        let some = try #require(all.first)
        let id = try #require(some["id"] as? String)
        let whole = try day.get("/api/v1/datasets/\(id)/download")
        #expect(whole.status == 200)
        let part = try DaemonProcess.request(
            "GET", "/api/v1/datasets/\(id)/download", port: day.port, headers: ["Range: bytes=0-3"])
        #expect(part.status == 206 && part.body.hasPrefix("CDF"))
        try Upstream.wait { try day.json("/api/v1/datasets/\(id)")["last_accessed_at"] != nil }
        #expect(try day.json("/api/v1/datasets/\(id)")["last_accessed_at"] is String)
        #expect(day.stop() == 0)
        // Less room than there is of the newest run alone.
        let less = try DaemonProcess(
            folder: daemon.folder, settings: settings.merging(["FORECASTS_MAX_BYTES": "1000000"]) { $1 })
        #expect(try less.command("forecasts", "cleanup").status == 0)
    }
}
