import EdgeTesting
import Foundation
import Testing

@testable import EdgeAggregator

/// What is configured and does nothing is said.
@Suite struct UnusedSettingsTests {
    /// A value that is allowed and is not the default.
    private func other(_ setting: SettingDescription) -> String {
        switch setting.kind {
        case .bool: setting.fallback == "true" ? "false" : "true"
        case .int(let range): setting.fallback == "\(range.lowerBound)" ? "\(range.upperBound)" : "\(range.lowerBound)"
        case .number(let range):
            Double(setting.fallback) == range.lowerBound ? "\(range.upperBound)" : "\(range.lowerBound)"
        case .optionalNumber: "5"
        case .choice(let words): words.first { $0 != setting.fallback } ?? ""
        case .text, .list: "other"
        case .map: "a=b"
        }
    }

    private func environment(_ names: [String]) throws -> [String: String] {
        var environment: [String: String] = [:]
        for name in names {
            environment[name.uppercased()] = other(try #require(SettingsCatalogue.byName[name], "\(name)"))
        }
        return environment
    }

    @Test func eachFeatureThatIsOffNamesItsSettings() throws {
        // What turns it off, where the default does not.
        let off = [
            "recordings are not analysed": ["ANALYZE_RECORDINGS": "false"],
            "ocean-currents is not among": ["FORECASTS": "enabled", "FORECAST_DATA_TYPES": "wind"],
            "piwardrive is not among": ["STOCK_PATHS": "none"], "co2 is not among": ["STOCK_PATHS": "none"],
            "no recordings are uploaded": ["UPLOAD_RAW_TO_CLOUD": "false"],
            "recordings go where rclone_*": [
                "RCLONE_CONFIG_S3_ENDPOINT": "https://a", "RCLONE_REMOTE_BUCKET": "s3:sound",
                "RCLONE_CONFIG_S3_ACCESS_KEY_ID": "k", "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": "s",
            ],
        ]
        var found = 0
        for feature in UnusedSettings.features {
            let turnedOff = off.first { feature.absence.hasPrefix($0.key) }?.value ?? [:]
            for name in feature.settings {
                let environment = try environment([name]).merging(turnedOff) { $1 }
                var loader = SettingsLoader()
                loader.loadEnvironment(environment)
                #expect(loader.problems.isEmpty, "\(loader.problems)")
                let reader = SettingsReader(loader: loader)
                // Some need an endpoint beside them before they are off.
                guard !feature.isOn(reader) else { continue }
                found += 1
                let notices = UnusedSettings.notices(reader).map(\.description)
                #expect(
                    notices.contains {
                        $0.hasPrefix("environment: ") && $0.contains(name) && $0.contains(feature.absence)
                    },
                    "\(name): \(notices)")
            }
        }
        #expect(found > 80)
    }

    @Test func nothingIsSaidOfDefaultsAndOfWhatIsUsed() throws {
        #expect(SettingsReading().notices == [])
        // As the old environments have them: the defaults, written out.
        let defaults = Dictionary(
            uniqueKeysWithValues: SettingsCatalogue.all.filter { !$0.fallback.isEmpty }.map {
                ($0.environmentName, $0.fallback)
            })
        #expect(SettingsReading(environment: defaults).notices == [])
        let used = SettingsReading(
            yaml: "forecasts: enabled\ncopernicus_username: u\ncopernicus_password: p\nmax_data_age_days: 10\n"
                + "influx_url: http://a\ninflux_token: t\nmqtt_host: a\nmqtt_user: u\nmqtt_password: p\n"
                + "prometheus_url: http://a\nprom_pass: p\nlatitude: 1\nlongitude: 2\ndelivery_max_age_days: 5\n")
        #expect(used.problems == [] && used.notices == [])
    }

    /// The replaced data aggregator's documented `docker run` line.
    @Test func theDockerRunLineNamesWhatIsMissingAndWhatIsNotUsed() {
        let line = [
            "DATABASE_URL": "postgresql://user:pass@postgres:5432/driftline", "S3_ENDPOINT": "http://minio:9000",
            "COPERNICUS_USERNAME": "your_username", "COPERNICUS_PASSWORD": "your_password",
        ]
        let short = SettingsReading(environment: line)
        #expect(short.problems.count == 1, "\(short.problems)")
        for text in [
            "environment: s3_endpoint: s3_bucket, s3_access_key and s3_secret_key are missing",
            "environmental-data", "minioadmin", "not taken over",
        ] {
            #expect(short.problems.first?.contains(text) == true, "\(text): \(short.problems)")
        }
        // Both are said at once, so that the second start is the last.
        let unused =
            "environment: copernicus_username and copernicus_password are configured and not used: "
            + "the daemon collects no forecast fields. Set forecasts: enabled (FORECASTS=enabled) to collect them"
        #expect(short.notices == [unused])
        let keys = ["S3_BUCKET": "fields", "S3_ACCESS_KEY": "minioadmin", "S3_SECRET_KEY": "minioadmin"]
        let whole = SettingsReading(environment: line.merging(keys) { $1 })
        #expect(whole.problems == [] && whole.notices == [unused])
        let on = SettingsReading(environment: line.merging(keys) { $1 }.merging(["FORECASTS": "enabled"]) { $1 })
        #expect(on.problems == [] && on.notices == [])
    }

    @Test func namesThatHaveNoEffectAreListedOnceAndInTheDocument() throws {
        let names = SettingsCatalogue.all.filter(\.isWithoutEffect).map(\.name)
        #expect(names.count > 10)
        let said = SettingsReading(environment: try environment(names)).notices
        #expect(said.count == 1 && names.allSatisfy { said[0].contains($0) }, "\(said)")
        #expect(said.first?.contains("have no effect here") == true)
        let page = try String(contentsOfFile: "\(TestFolders.root)/docs/operations.md", encoding: .utf8)
        let section = try #require(page.range(of: "## Settings of the replaced systems"))
        for name in names { #expect(page[section.upperBound...].contains("`\(name.uppercased())`"), "\(name)") }
    }

    /// The daemon starts: nothing uses them.
    @Test(arguments: [
        "historical_days: 7\nmax_data_age_days: 3\n", "min_free_disk_bytes: 10\nforecasts_min_free_bytes: 10\n",
        "collection_schedule: sometimes\n", "forecast_region: [1, 2]\n", "forecast_data_types: [rain]\n",
        "analyze_recordings: false\nlatitude: 1\n", "analyze_recordings: false\nweek: 49\n",
        "analyze_recordings: false\nanalysis_slow_celsius: 80\nanalysis_slowest_celsius: 80\n",
        "board_watch_interval_sec: 0\nanalysis_slow_celsius: 80\nanalysis_slowest_celsius: 80\n",
        "analyze_recordings: false\nanalyzer_cpu_affinity: many\n",
        "delivery_retry_first_sec: 10\ndelivery_retry_max_sec: 9\n", "prom_scrape_interval: often\n",
        "upload_window: night\n", "upload_raw_to_cloud: false\ns3_endpoint: http://a\n",
        "upload_raw_to_cloud: false\nrclone_config_s3_endpoint: http://a\n", "influx_health_table: \"\"\n",
        "mqtt_topic_prefix: a/#\n",
    ])
    func whatIsWrongWithAPartThatIsOffDoesNotStopTheStart(yaml: String) {
        let reading = SettingsReading(yaml: yaml)
        #expect(reading.problems == [], "\(yaml)")
        #expect(!reading.notices.isEmpty || yaml.contains("influx_health_table"), "\(yaml)")
    }

    /// The same, where the part is on.
    @Test(arguments: [
        "forecasts: enabled\nhistorical_days: 7\nmax_data_age_days: 3\n",
        "forecasts: enabled\nmin_free_disk_bytes: 10\nforecasts_min_free_bytes: 10\n",
        "forecasts: enabled\ncollection_schedule: sometimes\n", "latitude: 1\n",
        "analysis_slow_celsius: 80\nanalysis_slowest_celsius: 80\n", "analyzer_cpu_affinity: many\n",
        "mqtt_host: a\ndelivery_retry_first_sec: 10\ndelivery_retry_max_sec: 9\n",
        "kvm_ip: a\nprom_scrape_interval: often\n", "s3_endpoint: http://a\n",
        "upload_raw_to_cloud: false\nforecasts: enabled\ns3_endpoint: http://a\n",
        "influx_url: http://a\ninflux_health_table: \"\"\n", "mqtt_host: a\nmqtt_topic_prefix: a/#\n",
    ])
    func whatIsWrongWithAPartThatIsOnStopsTheStart(yaml: String) {
        #expect(SettingsReading(yaml: yaml).problems.count == 1, "\(yaml)")
    }

    /// Commands that do by hand what the daemon is not to do must not use it.
    @Test func partsThatAreOffRememberWhatIsWrong() throws {
        let off = try #require(
            SettingsReading(yaml: "analyze_recordings: false\nweek: 49\nhistorical_days: 7\nmax_data_age_days: 3\n")
                .settings)
        #expect(off.analysis.problems.map(\.message) == ["week: `49` is not auto, -1 or 1 to 48"])
        #expect(off.forecasts.problems.count == 1 && off.forecasts.problems[0].message.hasPrefix("historical_days: "))
        let right = try #require(SettingsReading().settings)
        #expect(right.analysis.problems.isEmpty && right.forecasts.problems.isEmpty)
    }

    @Test func whatAnotherSettingReplacesIsSaidWithBothNames() {
        let replaced = SettingsReading(
            yaml: "prometheus_url: http://a\nkvm_ip: b\npostgresql_url: postgresql://a/b\nkeep_recordings: all\n",
            environment: ["DATABASE_URL": "postgresql://c/d", "DELETE_RECORDINGS": "1"])
        #expect(replaced.problems == [])
        #expect(
            Set(replaced.notices) == [
                "environment: database_url is not used, because postgresql_url (settings.yaml:3) is configured too",
                "settings.yaml: kvm_ip is not used, because prometheus_url (settings.yaml:1) is configured too",
                "environment: delete_recordings is not used, because keep_recordings (settings.yaml:4) is configured too",
            ])
        #expect(replaced.settings?.deliveries.postgreSQL == "postgresql://a/b")
        let same = SettingsReading(
            yaml: "postgresql_url: postgresql://a/b\ndatabase_url: postgresql://a/b\n")
        #expect(same.notices == [])
    }

    /// The address of the ISEMS collector: the form is that of its documentation's default.
    @Test func aSQLiteAddressIsPassedOverAndSaid() {
        let alone = SettingsReading(environment: ["DATABASE_URL": "sqlite:////tmp/test.db"])
        #expect(alone.problems == [] && alone.settings?.deliveries.postgreSQL == nil)
        #expect(alone.notices.count == 1 && alone.notices[0].contains("database_url is not used"))
        // Its default is named for whoever relied on it.
        #expect(alone.notices[0].contains("10.36.158.33"))
        let polled = SettingsReading(
            environment: ["DATABASE_URL": "sqlite:////tmp/test.db", "ISEMS_ROUTER_IPS": "10.0.0.5"])
        #expect(polled.notices.count == 1 && !polled.notices[0].contains("10.36.158.33"))

        let both = SettingsReading(
            dotenv: "DATABASE_URL=postgresql://u:secret-word@a/b\n",
            environment: ["DATABASE_URL": "sqlite:////tmp/test.db"])
        #expect(both.settings?.deliveries.postgreSQL == nil)
        #expect(
            both.notices.count == 1 && both.notices[0].contains("(environment) hides the PostgreSQL address")
                && both.notices[0].contains("(.env:1)") && both.notices[0].contains("postgresql_url"))
        #expect(!both.notices.joined().contains("secret-word"))
        let own = SettingsReading(
            dotenv: "POSTGRESQL_URL=postgresql://u:secret-word@a/b\n",
            environment: ["DATABASE_URL": "sqlite:////tmp/test.db"])
        #expect(own.settings?.deliveries.postgreSQL == "postgresql://u:secret-word@a/b")
        #expect(SettingsReading(environment: ["POSTGRESQL_URL": "sqlite:////tmp/test.db"]).problems.count == 1)
    }
}
