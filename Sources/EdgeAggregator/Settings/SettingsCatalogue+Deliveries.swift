extension SettingsCatalogue {
    static let deliveries: [SettingDescription] = [
        .init(
            "clock_wait_sec", .int(0...86_400), "300", unit: "s", group: "Deliveries",
            "While the box does not know the time, nothing that it stamped leaves it, for so long after the start at most."
        ),
        .init(
            "delivery_retry_first_sec", .number(0.1...3600), "2", unit: "s", group: "Deliveries",
            "How long a far end that failed is left alone; doubled each time."),
        .init(
            "delivery_retry_max_sec", .number(1...86_400), "900", unit: "s", group: "Deliveries",
            "The most that this grows to; not less than delivery_retry_first_sec. Of the two, one that is not set gives way."
        ),
        .init(
            "delivery_max_age_days", .number(0...36_500), "90", unit: "days", group: "Deliveries",
            "Detections and everything else small that waited so long are given up, with a line in the ledger; 0 for never."
        ),
        .init(
            "observations_max_age_days", .number(0...36_500), "0", unit: "days", group: "Deliveries",
            "The same for observations alone; 0 for delivery_max_age_days."),
        .init(
            "metrics_max_age_days", .number(0...36_500), "0", unit: "days", group: "Deliveries",
            "The same for metrics alone; 0 for delivery_max_age_days."),
        .init(
            "delivery_max_rows", .int(1000...1_000_000_000), "10000000", unit: "rows", group: "Deliveries",
            "The outbox may hold so many rows (about 100 bytes each); beyond that the least important, oldest are given up."
        ),
        .init(
            "upload_max_age_days", .number(0...36_500), "0", unit: "days", group: "Deliveries",
            "Recordings that waited so long for their upload are given up; 0 for never."),
        .init(
            "upload_max_waiting_bytes", .int(0...Int.max), "0", unit: "B", group: "Deliveries",
            "Recordings that wait for their upload may take so much; beyond that the oldest are given up. 0: as the disk allows."
        ),
        .init(
            "metrics_max_waiting_bytes", .int(1_000_000...1_000_000_000_000), "268435456", unit: "B",
            group: "Deliveries",
            "Metrics that wait may take so much (a week is some 200 MB); beyond that the oldest are given up."),
        .init(
            "delivery_stall_timeout_sec", .int(1...3600), "60", unit: "s", group: "Deliveries",
            "A request that moves nothing for so long is ended and tried again: its link is half open."),
        .init(
            "delivery_proxy", .text, "", group: "Deliveries",
            "A proxy for everything that is sent (http://host:port); empty for the environment's."),
        .init(
            "influx_url", .text, "", group: "Deliveries: InfluxDB",
            "Address of an InfluxDB 3 server, such as http://influx.example:8181; empty for none."),
        .init("influx_token", .text, "", secret: true, group: "Deliveries: InfluxDB", "Its token."),
        .init(
            "influx_api", .choice(["v3", "v2"]), "v3", group: "Deliveries: InfluxDB",
            "Which of its two write paths: /api/v3/write_lp or /api/v2/write."),
        .init(
            "influx_org", .text, "", group: "Deliveries: InfluxDB", "Organisation, for v2; InfluxDB 3 does not need it."
        ),
        .init("influx_recordings_bucket", .text, "recordings", group: "Deliveries: InfluxDB", "Database or bucket."),
        .init(
            "influx_analysis_table", .text, "analysis", group: "Deliveries: InfluxDB",
            "Table with a point for each recording, as the former system wrote it; empty for none."),
        .init(
            "influx_uploads_table", .text, "uploads", group: "Deliveries: InfluxDB",
            "Table with a point for each upload, as the former system wrote it; empty for none."),
        .init(
            "influx_detections_table", .text, "detections", group: "Deliveries: InfluxDB",
            "Table with a point for each detection."),
        .init(
            "influx_coverage_table", .text, "coverage", group: "Deliveries: InfluxDB",
            "Table with a point for each gap and loss."),
        .init(
            "influx_observations_table", .text, "observations", group: "Deliveries: InfluxDB",
            "Table with a point for each observation of a sensor."),
        .init(
            "influx_health_table", .text, "health", group: "Deliveries: InfluxDB",
            "Table with a point for each time that the board told of itself."),
        .init(
            "influx_ca_file", .text, "", group: "Deliveries: InfluxDB",
            "Certificates (PEM) to trust instead of the system's."),
        .init(
            "s3_endpoint", .text, "", group: "Deliveries: S3",
            "Address of an S3 server, such as https://s3.eu-central-1.amazonaws.com; empty for none. Recordings and the files of forecast fields go there. If it is empty, rclone_config_s3_endpoint is taken. If both are set and differ, and rclone_config_s3_* and rclone_remote_bucket are complete, recordings go where these say, and forecast fields where s3_* says."
        ),
        .init("s3_region", .text, "us-east-1", group: "Deliveries: S3", "Its region."),
        .init(
            "s3_bucket", .text, "", group: "Deliveries: S3",
            "The bucket. Else it and the prefix are taken from rclone_remote_bucket (s3:bucket/prefix)."),
        .init(
            "s3_prefix", .text, "", group: "Deliveries: S3",
            "Before <aggregator_uuid>/<listener>/<file> in the names of objects."),
        .init("s3_access_key", .text, "", group: "Deliveries: S3", "Access key. Else rclone_config_s3_access_key_id."),
        .init(
            "s3_secret_key", .text, "", secret: true, group: "Deliveries: S3",
            "Secret key. Else rclone_config_s3_secret_access_key."),
        .init(
            "s3_path_style", .bool, "true", group: "Deliveries: S3",
            "endpoint/bucket/key (MinIO, Ceph); false for bucket.endpoint/key (Amazon)."),
        .init(
            "s3_checksum", .choice(["sha256", "crc32c", "md5", "none"]), "sha256", group: "Deliveries: S3",
            "How the server checks what arrives. Older servers know md5 only."),
        .init(
            "s3_conditional", .bool, "true", group: "Deliveries: S3",
            "Send If-None-Match: *, so that an object is never written twice. A server that does not know it is asked for the object first."
        ),
        .init(
            "s3_multipart_bytes", .int(5_242_880...5_000_000_000), "16777216", unit: "B", group: "Deliveries: S3",
            "From so many bytes on a file goes in parts, which are remembered over a restart."),
        .init(
            "s3_part_bytes", .int(5_242_880...1_000_000_000), "8388608", unit: "B", group: "Deliveries: S3",
            "Bytes of a part."),
        .init(
            "s3_ca_file", .text, "", group: "Deliveries: S3", "Certificates (PEM) to trust instead of the system's."),
        .init(
            "upload_raw_to_cloud", .bool, "true", group: "Deliveries: S3",
            "False: recordings are not uploaded. Forecast fields go to s3_endpoint all the same."),
        .init(
            "upload_window", .text, "", group: "Deliveries: S3",
            "Hours, in the box's local time, in which files are uploaded, such as 22:00-06:00; empty for always."),
        .init(
            "upload_max_bytes_per_sec", .int(0...1_000_000_000), "0", unit: "B/s", group: "Deliveries: S3",
            "Bandwidth for uploads; 0 for no limit. Two buckets get half of it each."),
        .init(
            "rclone_config_s3_type", .text, "s3", withoutEffect: true, group: "Deliveries: S3",
            "Of the microphone aggregator; without effect. There are no remotes of other types."),
        .init(
            "rclone_config_s3_provider", .text, "Ceph", group: "Deliveries: S3",
            "Of the microphone aggregator; AWS means s3_path_style: false, unless that is set."),
        .init(
            "rclone_config_s3_endpoint", .text, "", group: "Deliveries: S3",
            "Of the microphone aggregator: s3_endpoint, for recordings alone where both are set."),
        .init(
            "rclone_config_s3_region", .text, "", group: "Deliveries: S3",
            "rclone's name for s3_region; empty for that, or for us-east-1 beside an s3_endpoint of another server."),
        .init(
            "rclone_config_s3_access_key_id", .text, "", secret: true, group: "Deliveries: S3",
            "Of the microphone aggregator: s3_access_key."),
        .init(
            "rclone_config_s3_secret_access_key", .text, "", secret: true, group: "Deliveries: S3",
            "Of the microphone aggregator: s3_secret_key."),
        .init(
            "rclone_remote_bucket", .text, "", group: "Deliveries: S3",
            "Of the microphone aggregator: s3_bucket and s3_prefix, as s3:bucket/prefix or s3://bucket/prefix. It took s3:my-bucket/data where this was not set; here there is no default."
        ),
        .init(
            "mqtt_host", .text, "", group: "Deliveries: MQTT",
            "Name or address of an MQTT broker; empty for none. Each detection goes to <mqtt_topic_prefix>/<aggregator_uuid>/detections."
        ),
        .init("mqtt_port", .int(1...65_535), "1883", group: "Deliveries: MQTT", "Its port; usually 8883 with TLS."),
        .init("mqtt_user", .text, "", group: "Deliveries: MQTT", "User; empty for none."),
        .init("mqtt_password", .text, "", secret: true, group: "Deliveries: MQTT", "Password."),
        .init("mqtt_tls", .bool, "false", group: "Deliveries: MQTT", "Speak TLS, and check the broker's certificate."),
        .init(
            "mqtt_ca_file", .text, "", group: "Deliveries: MQTT", "Certificates (PEM) to trust instead of the system's."
        ),
        .init("mqtt_topic_prefix", .text, "edge-aggregator", group: "Deliveries: MQTT", "Before every topic."),
        .init(
            "mqtt_discovery_prefix", .text, "homeassistant", group: "Deliveries: MQTT",
            "Where Home Assistant looks for devices; empty to tell it nothing."),
        .init(
            "postgresql_url", .text, "", secret: true, group: "Deliveries: PostgreSQL",
            "postgresql://user:password@host:5432/database; empty for none. Tables are made at the first delivery. If it is empty, database_url is taken."
        ),
        .init(
            "database_url", .text, "", secret: true, group: "Deliveries: PostgreSQL",
            "Of the Driftline data aggregator: postgresql_url, also as SQLAlchemy writes it (postgresql+psycopg2://). A SQLite address, as the ISEMS collector has it, is passed over: `import isems` takes that file."
        ),
        .init(
            "prometheus_url", .text, "", group: "Deliveries: Prometheus",
            "Where metrics are written (remote write), such as http://prometheus.example:9090/api/v1/write; empty for none. Else kvm_ip is taken."
        ),
        .init(
            "prometheus_version", .choice(["auto", "1.0", "2.0"]), "auto", group: "Deliveries: Prometheus",
            "Version of remote write; auto is 2.0 where the server knows it, else 1.0."),
        .init(
            "prom_user", .text, "admin", group: "Deliveries: Prometheus", "User of Basic credentials, with prom_pass."),
        .init(
            "prom_pass", .text, "", secret: true, group: "Deliveries: Prometheus", "Password; empty for no credentials."
        ),
        .init(
            "prometheus_token", .text, "", secret: true, group: "Deliveries: Prometheus",
            "Bearer token, instead of user and password."),
        .init(
            "prom_scrape_interval", .text, "15s", group: "Deliveries: Prometheus",
            "How often metrics are written down to be sent: a number of s or m."),
        .init(
            "kvm_ip", .text, "", group: "Deliveries: Prometheus",
            "Of the microphone aggregator: means prometheus_url: http://<kvm_ip>:9090/api/v1/write."),
        .init(
            "prometheus_ca_file", .text, "", group: "Deliveries: Prometheus",
            "Certificates (PEM) to trust instead of the system's."),
    ]
}
