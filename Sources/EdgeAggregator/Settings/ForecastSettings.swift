import Forecasts

/// Which forecast fields are collected, from where, and how long they are kept.
struct ForecastSettings: Sendable {
    let isOn: Bool
    let kinds: [ForecastKind]
    let region: GeoBox
    let historyDays: Int
    /// Hours of a run, ascending; the first is 0.
    let hours: [Int]
    let intervalHours: Int
    let collection: CronSchedule?
    let cleanup: CronSchedule?
    let mostAgeDays: Double
    let folder: String
    let mostBytes: Int64
    let leastFreeBytes: Int64
    /// 0 for no limit.
    let mostDailyBytes: Int64
    let parallelRequests: Int
    let requestsPerMinute: Int
    let stallTimeoutSeconds: Int
    let retryFirstSeconds: Double
    let mostQueryValues: Int
    let mostQueries: Int
    let mostWaitingQueries: Int
    let gfsBases: [String]
    let gfsFilterBase: String
    let copernicus: CopernicusAccount
    let certificateFile: String
    let proxy: String
    /// What is wrong with them. It stops the start only while forecasts are collected, and always what is done by hand.
    let problems: [SettingsProblem]

    /// As a notice says it.
    static let off = "forecasts: disabled"

    static func isOn(_ reader: SettingsReader) -> Bool { reader.text("forecasts") == "enabled" }

    init(_ reader: inout SettingsReader, box: BoxSettings, recordings: RecordingSettings) {
        let known = reader.problems.count
        isOn = Self.isOn(reader)
        var kinds: [ForecastKind] = []
        for name in reader.list("forecast_data_types") {
            if let kind = ForecastKind(name: name) {
                if !kinds.contains(kind) { kinds.append(kind) }
            } else {
                let known = ForecastKind.allCases.map(\.rawValue).joined(separator: ", ")
                reader.refuse("forecast_data_types", "`\(name)` is none of \(known)")
            }
        }
        self.kinds = kinds
        let region = reader.list("forecast_region")
        let edges = region.compactMap(Double.init)
        let box4 =
            edges.count == 4
            ? GeoBox(
                minLatitude: edges[0], maxLatitude: edges[1], minLongitude: edges[2], maxLongitude: edges[3]) : nil
        if !region.isEmpty, box4 == nil || region.count != 4 {
            reader.refuse(
                "forecast_region",
                "`\(region.joined(separator: ","))` is not min_lat,max_lat,min_lon,max_lon in degrees")
        }
        self.region = box4 ?? .globe
        intervalHours = max(1, reader.int("forecast_interval_hours"))
        hours = stride(from: 0, through: reader.int("forecast_hours"), by: intervalHours)
            .filter { $0 <= 120 || $0 % 3 == 0 }
        func schedule(_ name: String, _ reader: inout SettingsReader) -> CronSchedule? {
            do throws(CronSchedule.Malformed) {
                return try CronSchedule(reader.text(name))
            } catch {
                reader.refuse(name, error.description)
                return nil
            }
        }
        collection = schedule("collection_schedule", &reader)
        cleanup = schedule("cleanup_schedule", &reader)
        var (history, mostAge) = (Double(reader.int("historical_days")), reader.number("max_data_age_days"))
        reader.reconcile(
            "historical_days", &history, atMost: "max_data_age_days", &mostAge, lower: { $0.rounded(.down) })
        (historyDays, mostAgeDays) = (Int(history), mostAge)
        folder = reader.path("forecasts_dir", in: box.baseFolder, "forecasts")
        mostBytes = Int64(reader.int("forecasts_max_bytes"))
        let least = Int64(reader.int("forecasts_min_free_bytes"))
        let reserve = Int64(recordings.leastFreeBytes)
        leastFreeBytes = least > 0 ? least : 2 * reserve
        if least > 0, least <= reserve {
            reader.refuse(
                "forecasts_min_free_bytes",
                "it must be more than min_free_disk_bytes (\(reserve)), so that forecasts stop before sound does"
            )
        }
        mostDailyBytes = Int64(reader.int("forecasts_daily_mb")) * 1_000_000
        parallelRequests = reader.int("forecast_parallel_requests")
        requestsPerMinute = reader.int("forecast_requests_per_minute")
        stallTimeoutSeconds = reader.int("forecast_stall_timeout_sec")
        retryFirstSeconds = reader.number("forecast_retry_first_sec")
        mostQueryValues = reader.int("forecast_max_query_values")
        mostQueries = reader.int("forecast_max_queries")
        mostWaitingQueries = reader.int("forecast_max_waiting_queries")
        func address(_ text: String, _ name: String, _ reader: inout SettingsReader) -> String {
            if !text.isEmpty { DeliverySettings.checkURL(text, name, &reader) }
            return text.hasSuffix("/") ? String(text.dropLast()) : text
        }
        var bases: [String] = []
        for base in reader.list("noaa_gfs_base_url") {
            bases.append(address(base, "noaa_gfs_base_url", &reader))
        }
        gfsBases = bases
        gfsFilterBase = address(reader.text("noaa_gfs_filter_url"), "noaa_gfs_filter_url", &reader)
        copernicus = CopernicusAccount(
            user: reader.text("copernicus_username"), password: reader.text("copernicus_password"),
            dataset: reader.text("copernicus_dataset"),
            configURL: address(reader.text("copernicus_config_url"), "copernicus_config_url", &reader),
            authURL: address(reader.text("copernicus_auth_url"), "copernicus_auth_url", &reader))
        certificateFile = reader.text("forecast_ca_file")
        proxy = reader.text("delivery_proxy")
        problems = Array(reader.problems[known...])
    }
}
