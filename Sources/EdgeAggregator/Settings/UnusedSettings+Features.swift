import Forecasts

/// The parts that can be off. A new one has its line here.
extension UnusedSettings {
    static let features: [Feature] =
        [
            Feature(
                settings: group(
                    "Forecasts",
                    // These are about fields that are there already.
                    except: [
                        "forecasts", "forecasts_dir", "forecast_max_query_values", "forecast_max_queries",
                        "forecast_max_waiting_queries",
                    ]), absence: "the daemon collects no forecast fields",
                remedy: "Set forecasts: enabled (FORECASTS=enabled) to collect them", isOn: ForecastSettings.isOn),
            Feature(
                settings: [
                    "copernicus_username", "copernicus_password", "copernicus_dataset", "copernicus_config_url",
                    "copernicus_auth_url",
                ], absence: "ocean-currents is not among forecast_data_types", remedy: "Add it to collect currents"
            ) { reader in
                !ForecastSettings.isOn(reader)
                    || reader.list("forecast_data_types").contains { ForecastKind(name: $0) == .currents }
            },
            Feature(
                settings: group(
                    "Analysis",
                    // Packages set where the model is.
                    except: [
                        "analyze_recordings", "models_dir", "model_path", "meta_model_path", "labels_path",
                        "tflite_library_path",
                    ]) + [
                        "analyzer_cpu_affinity", "analyzer_nice", "analysis_slow_celsius", "analysis_slowest_celsius",
                        "analysis_memory_pressure",
                    ], absence: "recordings are not analysed, and voices in them are not silenced",
                remedy: "Set analyze_recordings: true to analyse them"
            ) { $0.bool("analyze_recordings") },
            Feature(
                settings: ["mock_listeners"], absence: "no sound is made up",
                remedy: "Set generate_mock_audio: true for that"
            ) { $0.bool("generate_mock_audio") },
            Feature(
                settings: ["tls_certificate_file", "tls_key_file"], absence: "nothing is answered over TLS",
                remedy: "Set tls_listen for that"
            ) { !$0.list("tls_listen").isEmpty },
            Feature(
                settings: group("Field nodes: PiWardrive units", except: ["pw_agg_port"]),
                absence: "piwardrive is not among stock_paths, so no unit is answered", remedy: "Add it to stock_paths"
            ) { $0.list("stock_paths").contains(AccessSettings.StockPaths.piwardrive.rawValue) },
            Feature(
                settings: group("Field nodes: CO2 units", except: []),
                absence: "co2 is not among stock_paths, so no unit is answered", remedy: "Add it to stock_paths"
            ) { $0.list("stock_paths").contains(AccessSettings.StockPaths.co2.rawValue) },
            Feature(
                settings: [
                    "isems_mqtt_port", "isems_mqtt_user", "isems_mqtt_password", "isems_mqtt_tls", "isems_mqtt_ca_file",
                    "isems_mqtt_topics",
                ], absence: "no broker of ISEMS nodes is named", remedy: "Set mqtt_server"
            ) { !$0.text("mqtt_server").isEmpty },
            Feature(
                settings: ["isems_poll_interval_min", "isems_poll_timeout_sec", "isems_poll_concurrency"],
                absence: "no ISEMS node is polled", remedy: ISEMSSettings.hintForPolling
            ) { !$0.list("isems_router_ips").isEmpty },
        ] + deliveries

    private static let deliveries: [Feature] = [
        Feature(
            settings: group("Deliveries: InfluxDB", except: ["influx_url"]), absence: "nothing is sent to InfluxDB",
            remedy: "Set influx_url"
        ) { !$0.text("influx_url").isEmpty },
        Feature(
            settings: group("Deliveries: MQTT", except: ["mqtt_host"]),
            absence: "nothing is sent to an MQTT broker", remedy: "Set mqtt_host"
        ) { !$0.text("mqtt_host").isEmpty },
        Feature(
            settings: group("Deliveries: Prometheus", except: ["prometheus_url", "kvm_ip"])
                + metrics,
            absence: "metrics are not sent anywhere", remedy: "Set prometheus_url"
        ) { !$0.text("prometheus_url").isEmpty || !$0.text("kvm_ip").isEmpty },
        Feature(
            settings: group("Deliveries: S3", except: s3Endpoints + ["upload_raw_to_cloud"]) + uploads,
            absence: "no S3 server is named", remedy: "Set s3_endpoint"
        ) { reader in s3Endpoints.contains { !reader.text($0).isEmpty } },
        Feature(
            settings: group("Deliveries: S3", except: ["upload_raw_to_cloud"]) + uploads,
            absence: "no recordings are uploaded (upload_raw_to_cloud: false), and no forecast fields",
            remedy: "Set upload_raw_to_cloud: true to upload recordings"
        ) { reader in
            reader.bool("upload_raw_to_cloud") || s3Endpoints.allSatisfy { reader.text($0).isEmpty }
                || !reader.text("s3_endpoint").isEmpty && ForecastSettings.isOn(reader)
        },
        Feature(
            settings: ["s3_endpoint", "s3_bucket", "s3_prefix", "s3_region", "s3_access_key", "s3_secret_key"],
            absence: "recordings go where rclone_* says, and the daemon collects no forecast fields",
            remedy: "Set forecasts: enabled, or remove the bucket that is not meant"
        ) { reader in
            !reader.bool("upload_raw_to_cloud") || ForecastSettings.isOn(reader) || !S3Settings.Places(reader).isSplit
        },
        Feature(
            settings: group("Deliveries", except: ["clock_wait_sec", "delivery_proxy"] + uploads + metrics),
            absence: "nothing is delivered", remedy: "Set where to, such as influx_url"
        ) { reader in
            (s3Endpoints + ["influx_url", "mqtt_host", "prometheus_url", "kvm_ip", "postgresql_url", "database_url"])
                .contains { !reader.text($0).isEmpty }
        },
    ]

    private static let s3Endpoints = ["s3_endpoint", "rclone_config_s3_endpoint"]
    private static let metrics = ["metrics_max_age_days", "metrics_max_waiting_bytes"]
    private static let uploads = ["upload_max_age_days", "upload_max_waiting_bytes"]

    /// Those that have no effect at all have a notice of their own.
    private static func group(_ name: String, except: [String]) -> [String] {
        SettingsCatalogue.all.filter { $0.group == name && !$0.isWithoutEffect && !except.contains($0.name) }.map(
            \.name)
    }
}
