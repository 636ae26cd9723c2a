import TextParts
import Uplink

/// Where everything goes.
struct DeliverySettings: Sendable {
    let clockWaitSeconds: Int
    let retry: RetryPolicy
    let mostAgeDays: Double
    /// 0 for ``mostAgeDays``.
    let mostObservationAgeDays: Double
    let mostMetricsAgeDays: Double
    let mostRows: Int
    let mostRecordingAgeDays: Double
    let mostRecordingBytes: Int
    let mostMetricsBytes: Int
    /// Nil when nothing goes to InfluxDB.
    let influx: InfluxSink.Configuration?
    let influxTables: InfluxPoints.Tables
    let s3: S3Settings
    let uploadWindow: UploadWindow?
    /// Nil when nothing goes to a broker.
    let mqtt: MQTTConfiguration?
    let mqttPrefix: String
    let discoveryPrefix: String
    /// Nil when metrics are not sent.
    let prometheus: PrometheusSink.Configuration?
    let metricsIntervalSeconds: Int
    /// Nil when nothing goes to PostgreSQL.
    let postgreSQL: String?

    init(_ reader: inout SettingsReader, aggregator: String) {
        clockWaitSeconds = reader.int("clock_wait_sec")
        mostAgeDays = reader.number("delivery_max_age_days")
        mostObservationAgeDays = reader.number("observations_max_age_days")
        mostMetricsAgeDays = reader.number("metrics_max_age_days")
        mostRows = reader.int("delivery_max_rows")
        mostRecordingAgeDays = reader.number("upload_max_age_days")
        mostRecordingBytes = reader.int("upload_max_waiting_bytes")
        mostMetricsBytes = reader.int("metrics_max_waiting_bytes")
        influx = Self.influx(&reader)
        var tables = InfluxPoints.Tables()
        tables.analysis = reader.text("influx_analysis_table")
        tables.uploads = reader.text("influx_uploads_table")
        tables.detections = reader.text("influx_detections_table")
        tables.coverage = reader.text("influx_coverage_table")
        tables.observations = reader.text("influx_observations_table")
        tables.health = reader.text("influx_health_table")
        influxTables = tables
        if influx != nil { Self.check(tables, &reader) }
        s3 = S3Settings(&reader, aggregator: aggregator)
        prometheus = Self.prometheus(&reader)
        metricsIntervalSeconds = reader.checked(isOn: prometheus != nil, off: "no prometheus_url") {
            Self.interval("prom_scrape_interval", &$0)
        }
        postgreSQL = Self.postgreSQL(&reader)
        mqttPrefix = reader.text("mqtt_topic_prefix")
        discoveryPrefix = reader.text("mqtt_discovery_prefix")
        mqtt = Self.mqtt(&reader, aggregator: aggregator)
        uploadWindow = reader.checked(isOn: !s3.destinations.isEmpty, off: "no files are uploaded") { reader in
            let window = reader.text("upload_window")
            let hours = UploadWindow(window)
            if !window.isEmpty, hours == nil {
                reader.refuse("upload_window", "`\(window)` is not hours such as 22:00-06:00")
            }
            return hours
        }
        let sinks = [influx != nil, prometheus != nil, postgreSQL != nil, mqtt != nil, !s3.destinations.isEmpty]
        retry = reader.checked(isOn: sinks.contains(true), off: "nothing is delivered") { Self.retry(&$0) }
    }

    private static func check(_ tables: InfluxPoints.Tables, _ reader: inout SettingsReader) {
        for (name, table) in [
            ("influx_detections_table", tables.detections), ("influx_coverage_table", tables.coverage),
            ("influx_observations_table", tables.observations), ("influx_health_table", tables.health),
        ] where table.isEmpty {
            reader.refuse(name, "it needs a name")
        }
    }

    private static func retry(_ reader: inout SettingsReader) -> RetryPolicy {
        var retry = RetryPolicy()
        retry.firstSeconds = reader.number("delivery_retry_first_sec")
        retry.mostSeconds = reader.number("delivery_retry_max_sec")
        reader.reconcile(
            "delivery_retry_first_sec", &retry.firstSeconds, atMost: "delivery_retry_max_sec", &retry.mostSeconds)
        retry.unauthorisedSeconds = min(retry.unauthorisedSeconds, retry.mostSeconds)
        return retry
    }

    /// A number of seconds, or of minutes with `m`, from 1 s to 60 m.
    private static func interval(_ name: String, _ reader: inout SettingsReader) -> Int {
        let text = reader.text(name)
        let unit = text.hasSuffix("m") ? 60 : 1
        let number = Int(text.hasSuffix("s") || text.hasSuffix("m") ? String(text.dropLast()) : text)
        guard let number, (1...3600).contains(number), (1...3600).contains(number * unit) else {
            reader.refuse(name, "`\(text)` is not a time from 1s to 60m")
            return 15
        }
        return number * unit
    }

    /// Nil when no rows go to PostgreSQL.
    private static func postgreSQL(_ reader: inout SettingsReader) -> String? {
        let name = reader.text("postgresql_url").isEmpty ? "database_url" : "postgresql_url"
        let text = reader.text(name)
        guard !text.isEmpty else { return nil }
        switch DatabaseAddress(text) {
        case .postgreSQL(let address): return address
        // The ISEMS collector kept a SQLite file under this name. `import` reads it; nothing is sent there.
        case .sqlite where name == "database_url": return nil
        case .sqlite, .unknown:
            reader.refuse(name, "it is not an address such as postgresql://user:password@host/database")
            return nil
        }
    }

    private static func prometheus(_ reader: inout SettingsReader) -> PrometheusSink.Configuration? {
        let host = reader.text("kvm_ip")
        var url = reader.text("prometheus_url")
        if url.isEmpty, !host.isEmpty { url = "http://\(host):9090/api/v1/write" }
        guard !url.isEmpty else { return nil }
        checkURL(url, reader.text("prometheus_url").isEmpty ? "kvm_ip" : "prometheus_url", &reader)
        var prometheus = PrometheusSink.Configuration(url: url)
        prometheus.version = PrometheusSink.Version(rawValue: reader.text("prometheus_version")) ?? .auto
        prometheus.user = reader.text("prom_user")
        prometheus.password = reader.text("prom_pass")
        prometheus.bearerToken = reader.text("prometheus_token")
        prometheus.transport.certificateFile = reader.text("prometheus_ca_file")
        prometheus.transport.proxy = reader.text("delivery_proxy")
        prometheus.transport.stallTimeoutSeconds = reader.int("delivery_stall_timeout_sec")
        return prometheus
    }

    private static func mqtt(_ reader: inout SettingsReader, aggregator: String) -> MQTTConfiguration? {
        let host = reader.text("mqtt_host")
        guard !host.isEmpty else { return nil }
        for (name, text) in [
            ("mqtt_topic_prefix", reader.text("mqtt_topic_prefix")), ("aggregator_uuid", aggregator),
            ("mqtt_discovery_prefix", reader.text("mqtt_discovery_prefix")),
        ]
        where text.utf8.contains(where: { "+#\0".utf8.contains($0) }) || text.hasPrefix("/")
            || text.hasSuffix("/")
        {
            reader.refuse(name, "`\(text)` cannot stand in a topic: no + and #, no / at its ends")
        }
        if reader.text("mqtt_topic_prefix").isEmpty { reader.refuse("mqtt_topic_prefix", "it needs a name") }
        var mqtt = MQTTConfiguration(
            host: host, clientID: "edge-aggregator-\(aggregator)",
            availabilityTopic: "\(reader.text("mqtt_topic_prefix"))/\(aggregator)/status")
        mqtt.port = reader.int("mqtt_port")
        mqtt.user = reader.text("mqtt_user")
        mqtt.password = reader.text("mqtt_password")
        mqtt.isTLS = reader.bool("mqtt_tls")
        mqtt.certificateFile = reader.text("mqtt_ca_file")
        return mqtt
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
        influx.transport.stallTimeoutSeconds = reader.int("delivery_stall_timeout_sec")
        if influx.database.isEmpty { reader.refuse("influx_recordings_bucket", "it needs a name") }
        return influx
    }

    static func checkURL(_ url: String, _ name: String, _ reader: inout SettingsReader) {
        let rest = url.parts(atText: "://")
        guard rest.count == 2, rest[0] == "http" || rest[0] == "https", !rest[1].isEmpty,
            !url.unicodeScalars.contains(where: { $0.properties.isWhitespace || $0 == "<" || $0 == ">" })
        else {
            reader.refuse(name, "`\(shown(url))` is not an address such as http://host:port")
            return
        }
    }

    /// For a message about an address that makes no sense: everything before its last `@` may be a password.
    private static func shown(_ url: String) -> String {
        guard let (_, host) = url.halves(atLast: "@") else { return url }
        return "\(url.halves(at: "://").map { "\($0.before)://" } ?? "")[hidden]@\(host)"
    }
}
