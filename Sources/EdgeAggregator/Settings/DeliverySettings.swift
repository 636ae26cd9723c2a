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
    /// Nil when no recordings are uploaded.
    let s3: S3Configuration?
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
    /// What stands before `<aggregator>/<listener>/<file>` where the former system named an upload.
    let remotePrefix: String

    init(_ reader: inout SettingsReader, aggregator: String) {
        clockWaitSeconds = reader.int("clock_wait_sec")
        var retry = RetryPolicy()
        retry.firstSeconds = reader.number("delivery_retry_first_sec")
        retry.mostSeconds = reader.number("delivery_retry_max_sec")
        reader.reconcile(
            "delivery_retry_first_sec", &retry.firstSeconds, atMost: "delivery_retry_max_sec", &retry.mostSeconds)
        retry.unauthorisedSeconds = min(retry.unauthorisedSeconds, retry.mostSeconds)
        self.retry = retry
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
        for (name, table) in [
            ("influx_detections_table", tables.detections), ("influx_coverage_table", tables.coverage),
            ("influx_observations_table", tables.observations), ("influx_health_table", tables.health),
        ] where table.isEmpty {
            reader.refuse(name, "it needs a name")
        }
        influxTables = tables
        s3 = Self.s3(&reader, aggregator: aggregator)
        prometheus = Self.prometheus(&reader)
        let interval = reader.text("prom_scrape_interval")
        let unit = interval.hasSuffix("m") ? 60 : 1
        let number = Int(interval.hasSuffix("s") || interval.hasSuffix("m") ? String(interval.dropLast()) : interval)
        metricsIntervalSeconds = (number ?? 15) * unit
        if !(1...3600).contains(number.map { $0 * unit } ?? 0) {
            reader.refuse("prom_scrape_interval", "`\(interval)` is not a time from 1s to 60m")
        }
        // Former node systems kept a SQLite file under this name; `import` reads it, and nothing is sent there.
        let database = reader.text("database_url").hasPrefix("sqlite:") ? "" : reader.text("database_url")
        postgreSQL = database.isEmpty ? nil : database
        if !database.isEmpty, !database.hasPrefix("postgresql://"), !database.hasPrefix("postgres://") {
            reader.refuse("database_url", "it is not an address such as postgresql://user:password@host/database")
        }
        mqttPrefix = reader.text("mqtt_topic_prefix")
        discoveryPrefix = reader.text("mqtt_discovery_prefix")
        mqtt = Self.mqtt(&reader, aggregator: aggregator)
        let window = reader.text("upload_window")
        uploadWindow = UploadWindow(window)
        if !window.isEmpty, uploadWindow == nil {
            reader.refuse("upload_window", "`\(window)` is not hours such as 22:00-06:00")
        }
        let remote = reader.text("rclone_remote_bucket")
        remotePrefix =
            remote.isEmpty
            ? s3.map { "s3:" + [$0.bucket, $0.prefix].filter { !$0.isEmpty }.joined(separator: "/") } ?? "" : remote
    }

    private static func s3(_ reader: inout SettingsReader, aggregator: String) -> S3Configuration? {
        func either(_ name: String, _ former: String) -> String {
            let own = reader.text(name)
            return own.isEmpty ? reader.text(former) : own
        }
        let endpoint = either("s3_endpoint", "rclone_config_s3_endpoint")
        var (bucket, prefix) = (reader.text("s3_bucket"), reader.text("s3_prefix"))
        let remote = reader.text("rclone_remote_bucket")
        if bucket.isEmpty, !remote.isEmpty {
            let path =
                remote.hasPrefix("s3://")
                ? remote.dropFirst(5) : remote.hasPrefix("s3:") ? remote.dropFirst(3) : remote[...]
            let pieces = path.parts(at: "/", maximumSplits: 1)
            bucket = pieces.first.map(String.init) ?? ""
            if prefix.isEmpty, pieces.count > 1 { prefix = String(pieces[1]) }
        }
        guard !endpoint.isEmpty, reader.bool("upload_raw_to_cloud") else { return nil }
        let address = endpoint.holds("://") ? endpoint : "https://\(endpoint)"
        checkURL(address, "s3_endpoint", &reader)
        var s3 = S3Configuration(endpoint: address, bucket: bucket)
        s3.region = reader.text("s3_region")
        s3.prefix = prefix.parts(at: "/").joined(separator: "/")
        s3.accessKey = either("s3_access_key", "rclone_config_s3_access_key_id")
        s3.secretKey = either("s3_secret_key", "rclone_config_s3_secret_access_key")
        let isAmazon = reader.text("rclone_config_s3_provider").lowercased() == "aws"
        s3.isPathStyle = reader.isSet("s3_path_style") ? reader.bool("s3_path_style") : !isAmazon
        s3.checksum = S3Checksum(rawValue: reader.text("s3_checksum")) ?? .sha256
        s3.isConditional = reader.bool("s3_conditional")
        s3.multipartBytes = Int64(reader.int("s3_multipart_bytes"))
        s3.partBytes = Int64(reader.int("s3_part_bytes"))
        s3.transport.certificateFile = reader.text("s3_ca_file")
        s3.transport.proxy = reader.text("delivery_proxy")
        s3.transport.stallTimeoutSeconds = reader.int("delivery_stall_timeout_sec")
        s3.transport.mostBytesPerSecond = Int64(reader.int("upload_max_bytes_per_sec"))
        if s3.accessKey.isEmpty || s3.secretKey.isEmpty {
            reader.refuse("s3_access_key", "s3_endpoint needs s3_access_key and s3_secret_key")
        }
        let isBucket =
            (3...63).contains(bucket.utf8.count)
            && bucket.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
            }
        if !isBucket {
            reader.refuse("s3_bucket", "`\(bucket)` is not a bucket's name: 3 to 63 of a-z 0-9 - and .")
        }
        if SignatureV4.encode(s3.prefix, keepsSlashes: true) != s3.prefix {
            reader.refuse("s3_prefix", "`\(s3.prefix)` has other characters than A-Z a-z 0-9 . _ ~ - and /")
        }
        if SignatureV4.encode(aggregator) != aggregator {
            reader.refuse(
                "aggregator_uuid", "`\(aggregator)` cannot stand in the names of objects: A-Z a-z 0-9 . _ ~ - only")
        }
        return s3
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
