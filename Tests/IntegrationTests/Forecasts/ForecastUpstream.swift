import EdgeTesting
import Foundation

/// The servers that fields come from, with runs and times around now.
final class ForecastUpstream {
    static let hour: Int64 = 3600
    let server: FarEnd
    let folder: String
    /// The newest run that is there up to its hour 120; seconds since 1970.
    let run: Int64
    /// Times of the currents, hours since 1950.
    let times: [Int]
    /// From here on currents may still change.
    let updating: Int64

    init(hasWaves: Bool = false) throws {
        folder = try TestFolders.temporary("edge-forecasts")
        let real = "\(ECCodes.samples)/gfs.t12z.pgrbf120.2p5deg.grib2"
        var files: [String] = []
        for name in ["10u", "10v"] {
            try ECCodes.run("grib_copy", ["-w", "shortName=\(name)", real, "\(name).grib2"], in: folder)
            files.append("\(folder)/\(name).grib2")
        }
        if hasWaves {
            // Waves as NCEP packs them: an image, at the surface.
            for (name, parameter, offset) in [("HTSGW", 3, 25), ("PERPW", 11, 40), ("DIRPW", 10, 180)] {
                try ECCodes.run(
                    "grib_set", ["-S", "-w", "shortName=10u", "-s", "offsetValuesBy=\(offset)", real, "offset.grib2"],
                    in: folder)
                try ECCodes.run(
                    "grib_set", ["-r", "-s", "packingType=grid_jpeg", "offset.grib2", "image.grib2"], in: folder)
                let keys =
                    "discipline=10,parameterCategory=0,parameterNumber=\(parameter),typeOfFirstFixedSurface=1,"
                    + "scaleFactorOfFirstFixedSurface=missing,scaledValueOfFirstFixedSurface=missing"
                try ECCodes.run("grib_set", ["-s", keys, "image.grib2", "\(name).grib2"], in: folder)
                files.append("\(folder)/\(name).grib2")
            }
        }
        let now = Int64(Date().timeIntervalSince1970)
        run = now / (6 * Self.hour) * 6 * Self.hour - 6 * Self.hour
        let first = Int(now / Self.hour) - Int(Self.seconds("1950-01-01T00:00:00Z") / Self.hour)
        let (begin, beginRun) = (first / 6 * 6, run)
        times = (-40..<30).map { begin + 6 * $0 }
        updating = now / 86_400 * 86_400 - 86_400
        server = try FarEnd("forecast_upstream.py", files, folder: folder)
        let runs = Dictionary(
            uniqueKeysWithValues: (0..<40).map { (Self.stamp(beginRun - Int64($0) * 6 * Self.hour), 120) })
        try set(["runs": runs, "times": times, "updating": Self.text(updating)])
    }

    func set(_ state: [String: Any]) throws {
        let body = String(decoding: try JSONSerialization.data(withJSONObject: state), as: UTF8.self)
        _ = try server.ask("POST", "/set", body: body)
    }

    func fault(_ path: String, _ kind: String, count: Int = 1, value: Int = 0) throws {
        let body = try JSONSerialization.data(
            withJSONObject: ["path": path, "kind": kind, "count": count, "value": value])
        _ = try server.ask("POST", "/fault", body: String(decoding: body, as: UTF8.self))
    }

    struct Asked: Decodable {
        let path: String
        let range: String?
        let status: Int
        let bytes: Int
    }

    func log() throws -> [Asked] {
        try JSONDecoder().decode([Asked].self, from: Data(try server.ask("GET", "/log").utf8))
    }

    /// Of a daemon that collects from here.
    func settings(_ more: [String: String] = [:]) -> [String: String] {
        let base = "http://127.0.0.1:\(server.port)"
        return [
            "FORECASTS": "enabled", "FORECAST_DATA_TYPES": "wind", "FORECAST_REGION": "50,70,-20,20",
            "HISTORICAL_DAYS": "0", "FORECAST_HOURS": "12", "CLOCK_WAIT_SEC": "0",
            "NOAA_GFS_BASE_URL": "\(base)/noaa", "NOAA_GFS_FILTER_URL": "",
            "COPERNICUS_CONFIG_URL": "\(base)/cop/config", "COPERNICUS_AUTH_URL": "\(base)/cop/auth/token",
            "COPERNICUS_USERNAME": "skipper", "COPERNICUS_PASSWORD": "p&ss word",
            "FORECAST_REQUESTS_PER_MINUTE": "1000", "FORECAST_RETRY_FIRST_SEC": "0.01",
            "FORECAST_STALL_TIMEOUT_SEC": "2", "LOG_LEVEL": "critical",
        ].merging(more) { $1 }
    }

    /// Looks again and again, for half a minute at most; what is wrong then is for the test to find.
    static func wait(_ isDone: () throws -> Bool) rethrows {
        let end = Date().addingTimeInterval(30)
        while try !isDone(), Date() < end { usleep(100_000) }
    }

    // MARK: - Times, by the C library

    static func text(_ seconds: Int64) -> String { format(seconds, "%Y-%m-%dT%H:%M:%SZ") }

    /// `2026112106`
    static func stamp(_ seconds: Int64) -> String { format(seconds, "%Y%m%d%H") }

    private static func format(_ seconds: Int64, _ format: String) -> String {
        var (time, parts) = (time_t(seconds), tm())
        gmtime_r(&time, &parts)
        var room = [CChar](repeating: 0, count: 64)
        let count = strftime(&room, room.count, format, &parts)
        return String(decoding: room.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func seconds(_ text: String) -> Int64 {
        Int64(ISO8601DateFormatter().date(from: text)?.timeIntervalSince1970 ?? 0)
    }
}

extension DaemonProcess {
    /// Waits until collections of all these kinds have ended; their last records.
    func collected(_ kinds: [String], after begun: Int = 0, seconds: Int = 60) throws -> [String: [String: Any]] {
        for _ in 0..<(seconds * 10) {
            let status = try json("/api/v1/forecasts")
            var last: [String: [String: Any]] = [:]
            for type in status["types"] as? [[String: Any]] ?? [] {
                let ended = (type["collections_completed"] as? Int ?? 0) + (type["collections_failed"] as? Int ?? 0)
                if let name = type["data_type"] as? String, ended > begun {
                    last[name] = type["last_collection"] as? [String: Any]
                }
            }
            if kinds.allSatisfy({ last[$0] != nil && last[$0]?["status"] as? String != "running" }) { return last }
            usleep(100_000)
        }
        throw Failure(description: "not collected: \(try get("/api/v1/forecasts").body)")
    }

    func datasets(_ query: String = "") throws -> [[String: Any]] {
        try json("/api/v1/datasets?limit=1000\(query)")["datasets"] as? [[String: Any]] ?? []
    }

    /// Every file below the folder of the fields.
    func fieldFiles() -> [String] {
        let all = FileManager.default.enumerator(atPath: "\(folder)/forecasts")?.allObjects as? [String] ?? []
        return all.filter { $0.contains(".nc") }.sorted()
    }
}
