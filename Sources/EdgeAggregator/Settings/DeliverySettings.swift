import Uplink

/// Where everything goes.
struct DeliverySettings: Sendable {
    let clockWaitSeconds: Int
    let retry: RetryPolicy
    let mostAgeDays: Double
    let mostRows: Int
    let mostRecordingAgeDays: Double
    let mostRecordingBytes: Int
    /// Nil when nothing goes to InfluxDB.
    let influx: InfluxSink.Configuration?
    let influxTables: InfluxPoints.Tables

    init(_ reader: inout SettingsReader) {
        clockWaitSeconds = reader.int("clock_wait_sec")
        var retry = RetryPolicy()
        retry.firstSeconds = reader.number("delivery_retry_first_sec")
        retry.mostSeconds = reader.number("delivery_retry_max_sec")
        if retry.mostSeconds < retry.firstSeconds {
            reader.refuse("delivery_retry_max_sec", "it must not be less than delivery_retry_first_sec")
        }
        retry.unauthorisedSeconds = min(retry.unauthorisedSeconds, retry.mostSeconds)
        self.retry = retry
        mostAgeDays = reader.number("delivery_max_age_days")
        mostRows = reader.int("delivery_max_rows")
        mostRecordingAgeDays = reader.number("upload_max_age_days")
        mostRecordingBytes = reader.int("upload_max_waiting_bytes")
        influx = Self.influx(&reader)
        var tables = InfluxPoints.Tables()
        tables.analysis = reader.text("influx_analysis_table")
        tables.uploads = reader.text("influx_uploads_table")
        tables.detections = reader.text("influx_detections_table")
        tables.coverage = reader.text("influx_coverage_table")
        for (name, table) in [
            ("influx_detections_table", tables.detections), ("influx_coverage_table", tables.coverage),
        ] where table.isEmpty {
            reader.refuse(name, "it needs a name")
        }
        influxTables = tables
    }

    private static func influx(_ reader: inout SettingsReader) -> InfluxSink.Configuration? {
        let url = reader.text("influx_url")
        guard !url.isEmpty else { return nil }
        checkURL(url, "influx_url", &reader)
        var influx = InfluxSink.Configuration(url: url)
        influx.token = reader.text("influx_token")
        influx.api = InfluxSink.API(rawValue: reader.text("influx_api")) ?? .v3
        influx.database = reader.text("influx_recordings_bucket")
        influx.organisation = reader.text("influx_org")
        influx.transport.certificateFile = reader.text("influx_ca_file")
        influx.transport.proxy = reader.text("delivery_proxy")
        if influx.database.isEmpty { reader.refuse("influx_recordings_bucket", "it needs a name") }
        return influx
    }

    static func checkURL(_ url: String, _ name: String, _ reader: inout SettingsReader) {
        let rest = url.split(separator: "://", maxSplits: 1)
        guard rest.count == 2, rest[0] == "http" || rest[0] == "https", !rest[1].isEmpty,
            !url.contains(where: { $0.isWhitespace || $0 == "<" || $0 == ">" })
        else {
            reader.refuse(name, "`\(url)` is not an address such as http://host:port")
            return
        }
    }
}
