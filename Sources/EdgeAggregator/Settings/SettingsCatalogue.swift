/// Every setting there is.
enum SettingsCatalogue {
    static let all: [SettingDescription] = box + sensors + reception + recordings + analysis + deliveries + legacy

    static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// Other spellings of a name that existing installations use.
    static let aliases = ["recordings_tmp_dir": "recordings_temp_dir"]

    private static let box: [SettingDescription] = [
        .init("aggregator_uuid", .text, "dev-pi", group: "Box", "The name of this box, in metrics and deliveries."),
        .init(
            "listen", .list, "127.0.0.1:8000", group: "Box",
            "Addresses (host:port) on which requests are answered. Use 0.0.0.0:8000 to be reached by listeners."),
        .init(
            "metrics_port", .int(0...65_535), "8001", group: "Box",
            "A second port for /metrics, on the first address; 0 for none."),
        .init(
            "api_token", .text, "", secret: true, group: "Box",
            "If set, /api/v1, /events and the page ask for it: as a Bearer token, or as the password of Basic credentials."
        ),
        .init(
            "max_connections", .int(1...65_535), "4096", group: "Box",
            "Connections at a time; more wait to be accepted."),
        .init(
            "shutdown_timeout_sec", .int(1...300), "10", unit: "s", group: "Box",
            "How long ending may take before what is left is cut off."),
        .init("base_dir", .text, "/data", group: "Box", "Where everything is kept."),
        .init(
            "logs_dir", .text, "", group: "Box",
            "Known from the former system. Logs go to standard error and are kept by the system's journal; nothing is written here."
        ),
        .init(
            "log_level", .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]), "info",
            group: "Box", "How much is logged."),
        .init("log_format", .choice(["text", "json"]), "text", group: "Box", "How a log line is written."),
        .init(
            "commit_interval_ms", .int(1...1000), "20", unit: "ms", group: "Box",
            "How long changes of the database gather before they are synced together."),
        .init(
            "history_max_age_days", .number(0...36_500), "730", unit: "days", group: "Box",
            "Detections, observations, lines of the ledger and of recordings whose sound is gone are forgotten after so long, unless they wait to be sent; 0 for never."
        ),
        .init(
            "history_max_bytes", .int(0...Int.max), "4000000000", unit: "B", group: "Box",
            "When the database holds more, the oldest days are forgotten; 0 for no limit."),
        .init(
            "health_interval_sec", .int(0...86_400), "60", unit: "s", group: "Box",
            "How often the board's own health (load, memory, storage, temperature, power, network, clock) is written down; 0 for never."
        ),
        .init(
            "metrics_interval_sec", .int(1...3600), "15", unit: "s", group: "Box",
            "Known from the former system. Metrics are computed when they are asked for."),
    ]

    private static let sensors: [SettingDescription] = [
        .init(
            "sensors", .map, "", group: "Sensors",
            "Sensors that are wired to the box, by name: the kind, where it is (bus= and address= for I2C, port= for serial, path= for 1-Wire), interval= in seconds, <quantity>_offset= and <quantity>_scale=, and options of its own: docs/sensors.md."
        )
    ]

    private static let reception: [SettingDescription] = [
        .init(
            "recordings_stream_endpoint", .text, "/recordings_stream", group: "Reception",
            "Path on which listeners stream."),
        .init(
            "recordings_upload_endpoint", .text, "/recordings_upload", group: "Reception",
            "Path to which whole files are sent."),
        .init("max_listeners", .int(1...10_000), "1000", group: "Reception", "Listeners at a time; more are refused."),
        .init(
            "max_connections_per_listener", .int(1...64), "4", group: "Reception",
            "Connections of one listener at a time. Each keeps recordings of its own."),
        .init(
            "listener_idle_timeout_sec", .int(5...86_400), "120", unit: "s", group: "Reception",
            "A connection that sends nothing for so long is closed."),
        .init("listener_allow", .list, "", group: "Reception", "Listener ids that may send; empty for all."),
        .init(
            "listener_tokens", .map, "", secret: true, group: "Reception",
            "A token for each listener id, or for `*`; empty for none. A listener sends it in the query, in the address (http://x:TOKEN@box/), as a Bearer header, or in a path /t/TOKEN/recordings_stream."
        ),
        .init(
            "listener_max_bytes_per_sec", .int(0...1_000_000_000), "0", unit: "B/s", group: "Reception",
            "Mean rate at which one connection is read; 0 for no limit. A listener that sends what it buffered is slowed by this, never cut off."
        ),
        .init(
            "refusal_hold_sec", .int(0...3600), "60", unit: "s", group: "Reception",
            "How long a refused stream is held without an answer, so that it does not connect again at once."),
        .init("max_held_refusals", .int(0...10_000), "256", group: "Reception", "Refused streams held at a time."),
        .init(
            "max_gap_fill_frames", .int(0...1000), "9", unit: "frames", group: "Reception",
            "Up to so many missing frames are filled with silence; more begin a new recording."),
        .init("audio_num_channels", .int(1...8), "1", group: "Reception", "Channels of a stream without a WAV header."),
        .init(
            "audio_sample_rate", .int(8000...384_000), "48000", unit: "Hz", group: "Reception",
            "Sample rate of a stream without a WAV header."),
        .init(
            "audio_bits_per_sample", .choice(["8", "16", "24", "32"]), "16", unit: "bit", group: "Reception",
            "Bits a sample of a stream without a WAV header."),
        .init(
            "max_upload_bytes", .int(1000...10_000_000_000), "200000000", unit: "B", group: "Reception",
            "The largest file that can be uploaded."),
        .init(
            "generate_mock_audio", .bool, "false", group: "Reception",
            "Let the box stream noise and chirps to itself, as a listener called mock."),
        .init("mock_listeners", .int(1...100), "1", group: "Reception", "How many such listeners."),
    ]

    private static let recordings: [SettingDescription] = [
        .init(
            "recordings_dir", .text, "", group: "Recordings",
            "Where recordings are kept; empty for <base_dir>/recordings."),
        .init(
            "recordings_temp_dir", .text, "", group: "Recordings",
            "Where uploads are spooled, on the same disk as recordings_dir; empty for <base_dir>/spool."),
        .init(
            "recording_format", .choice(["wav", "flac"]), "wav", group: "Recordings",
            "FLAC needs about half the room and wears the card half as much. Floating point and 32-bit sound stays WAV."
        ),
        .init(
            "keep_recordings", .choice(["all", "detections", "none"]), "all", group: "Recordings",
            "Which recordings stay once they are analysed."),
        .init(
            "min_recording_duration_sec", .number(0...3600), "3", unit: "s", group: "Recordings",
            "Shorter recordings are not kept; the ledger has them."),
        .init(
            "max_recording_duration_sec", .int(1...3600), "20", unit: "s", group: "Recordings",
            "A recording ends at the first frame beyond this, and the next one continues it."),
        .init(
            "sync_interval_ms", .int(50...60_000), "1000", unit: "ms", group: "Recordings",
            "Received sound is synced to the disk at least so often: the most that a power cut can take."),
        .init(
            "retention_max_age_days", .number(0...36_500), "0", unit: "days", group: "Recordings",
            "Older recordings are removed; 0 for no limit."),
        .init(
            "retention_max_bytes", .int(0...Int.max), "0", unit: "B", group: "Recordings",
            "The oldest recordings are removed beyond this; 0 for no limit."),
        .init(
            "min_free_disk_bytes", .int(0...Int.max), "268435456", unit: "B", group: "Recordings",
            "Left free for everything that is not sound: the oldest recordings that may go are removed, and if none may, sound is no longer kept until there is room."
        ),
        .init(
            "storage_threads", .int(1...64), "4", group: "Recordings",
            "Threads that decode and write what listeners send."),
        .init(
            "delete_recordings", .bool, "false", group: "Recordings",
            "Known from the former system: true is keep_recordings: none, unless that is set."),
        .init(
            "max_recording_bytes", .int(0...Int.max), "2000000", unit: "B", group: "Recordings",
            "Known from the former system, which used it where a header could not be read. Here the format is always known."
        ),
    ]

    private static let analysis: [SettingDescription] = [
        .init(
            "analyze_recordings", .bool, "true", group: "Analysis",
            "Run BirdNET. If false, neither model nor library is needed."),
        .init(
            "analyzer_workers", .int(0...64), "0", group: "Analysis",
            "Interpreters, one thread each; 0 for one fewer than the cores, at least 1."),
        .init(
            "latitude", .optionalNumber(-90...90), "", unit: "°", group: "Analysis",
            "With longitude: only species expected at this place and season are reported. Empty for no filter; 0 is a place."
        ),
        .init("longitude", .optionalNumber(-180...180), "", unit: "°", group: "Analysis", "See latitude."),
        .init(
            "week", .text, "auto", group: "Analysis",
            "Of a year of 48 weeks: auto (by the date), -1 (all year), or 1 to 48."),
        .init(
            "location_threshold", .number(0...1), "0.03", group: "Analysis",
            "A species is expected if the location model gives it at least this probability."),
        .init("min_confidence", .number(0.01...0.99), "0.25", group: "Analysis", "Detections above this are kept."),
        .init(
            "sensitivity", .number(0.5...1.5), "1.0", group: "Analysis",
            "confidence = 1 / (1 + exp(-(score + 10 (sensitivity - 1)))), as BirdNET-Analyzer has it: higher finds more."
        ),
        .init(
            "overlap_sec", .number(0...2.9), "0", unit: "s", group: "Analysis",
            "How much one window of 3 s overlaps the next."),
        .init(
            "channel", .choice(["mix", "1", "2", "3", "4", "5", "6", "7", "8"]), "mix", group: "Analysis",
            "Which channel is analysed; mix is the mean of all."),
        .init(
            "label_language", .text, "en", group: "Analysis",
            "Language of the common names: af, ar, bg, ca, cs, da, de, el, en_uk, es, fi, fr, he, hr, hu, in, is, it, ja, ko, lt, ml, nl, no, pl, pt_BR, pt_PT, ro, ru, sk, sl, sr, sv, th, tr, uk, zh."
        ),
        .init(
            "species_include", .list, "", group: "Analysis",
            "Report only these (scientific or common names); they are not filtered by place."),
        .init("species_exclude", .list, "", group: "Analysis", "Never report these."),
        .init(
            "gate_min_level_dbfs", .number(-200...0), "-90", unit: "dBFS", group: "Analysis",
            "Quieter windows are not analysed."),
        .init(
            "gate_max_clipped_fraction", .number(0...1), "0.1", group: "Analysis",
            "Windows with more samples at full scale report no species; 1 turns the check off."),
        .init(
            "gate_max_flatness", .number(0...1), "0.9", group: "Analysis",
            "Windows with a flatter spectrum (white noise has 1) report no species; 1 turns the check off."),
        .init(
            "privacy_threshold", .number(0...1), "0.25", group: "Analysis",
            "Where a human voice scores at least this, the 3 s are replaced by silence and the ledger says so; 1 turns the rule off."
        ),
        .init(
            "models_dir", .text, "", group: "Analysis",
            "Where model, labels and library are; empty for <base_dir>/models."),
        .init("model_path", .text, "", group: "Analysis", "The sound model; empty for the one in models_dir."),
        .init("meta_model_path", .text, "", group: "Analysis", "The location model; empty for the one in models_dir."),
        .init(
            "labels_path", .text, "", group: "Analysis",
            "The sound model's labels (English); empty for the one in models_dir."),
        .init(
            "tflite_library_path", .text, "", group: "Analysis",
            "The TensorFlow Lite library; empty for the one in models_dir."),
        .init(
            "analysis_windows_per_listener", .int(1...64), "3", group: "Analysis",
            "Windows of one listener that may wait in memory; more are read from the recording later."),
        .init(
            "analysis_windows_total", .int(2...4096), "96", group: "Analysis",
            "Windows in memory at a time, of 576 KB each."),
    ]

    private static let deliveries: [SettingDescription] = [
        .init(
            "clock_wait_sec", .int(0...86_400), "300", unit: "s", group: "Deliveries",
            "While the box does not know the time, nothing that it stamped leaves it, for so long after the start at most."
        ),
        .init(
            "delivery_retry_first_sec", .number(0.1...3600), "2", unit: "s", group: "Deliveries",
            "How long a far end that failed is left alone; doubled each time."),
        .init(
            "delivery_retry_max_sec", .number(1...86_400), "900", unit: "s", group: "Deliveries",
            "The most that this grows to."),
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
            "Address of an S3 server, such as https://s3.eu-central-1.amazonaws.com; empty for none. Else rclone_config_s3_endpoint is taken."
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
            "False: recordings are not uploaded, even if S3 is set."),
        .init(
            "upload_window", .text, "", group: "Deliveries: S3",
            "Hours, in the box's local time, in which recordings are uploaded, such as 22:00-06:00; empty for always."),
        .init(
            "upload_max_bytes_per_sec", .int(0...1_000_000_000), "0", unit: "B/s", group: "Deliveries: S3",
            "Bandwidth for uploads; 0 for no limit."),
        .init(
            "rclone_config_s3_type", .text, "s3", group: "Deliveries: S3", "Of the former system; without effect."),
        .init(
            "rclone_config_s3_provider", .text, "Ceph", group: "Deliveries: S3",
            "Of the former system; AWS means s3_path_style: false, unless that is set."),
        .init("rclone_config_s3_endpoint", .text, "", group: "Deliveries: S3", "Of the former system: s3_endpoint."),
        .init(
            "rclone_config_s3_access_key_id", .text, "", secret: true, group: "Deliveries: S3",
            "Of the former system: s3_access_key."),
        .init(
            "rclone_config_s3_secret_access_key", .text, "", secret: true, group: "Deliveries: S3",
            "Of the former system: s3_secret_key."),
        .init(
            "rclone_remote_bucket", .text, "", group: "Deliveries: S3",
            "Of the former system: s3_bucket and s3_prefix, as s3:bucket/prefix or s3://bucket/prefix."),
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
            "database_url", .text, "", secret: true, group: "Deliveries: PostgreSQL",
            "postgresql://user:password@host:5432/database; empty for none. Tables are made at the first delivery."),
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
            "Of the former system: means prometheus_url: http://<kvm_ip>:9090/api/v1/write."),
        .init(
            "prometheus_ca_file", .text, "", group: "Deliveries: Prometheus",
            "Certificates (PEM) to trust instead of the system's."),
    ]

    /// Of the former system; read by nothing. They are known so that its files and environments are accepted.
    static let unusedGroup = "Of the former system"

    private static let legacy: [SettingDescription] = ["analyzer_cpu_affinity", "everything_but_analyzer_cpu_affinity"]
        .map {
            .init($0, .text, "", group: unusedGroup, "Accepted, without effect.")
        }
}
