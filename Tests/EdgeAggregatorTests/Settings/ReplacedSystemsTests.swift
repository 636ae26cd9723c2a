import AudioDSP
import Forecasts
import Testing

@testable import EdgeAggregator
@testable import Uplink

/// Settings of the replaced systems mean here what they meant there.
@Suite struct ReplacedSystemsTests {
    private func settings(_ environment: [String: String]) throws -> Settings {
        let reading = SettingsReading(environment: environment)
        #expect(reading.problems.isEmpty)
        return try #require(reading.settings)
    }

    @Test func theMicrophoneAggregators() throws {
        let settings = try settings([
            "AGGREGATOR_UUID": "forest-7", "AUDIO_NUM_CHANNELS": "2", "AUDIO_SAMPLE_RATE": "44100",
            "AUDIO_BITS_PER_SAMPLE": "24", "MAX_RECORDING_DURATION_SEC": "60", "MIN_RECORDING_DURATION_SEC": "5",
            "RECORDINGS_STREAM_ENDPOINT": "/in", "RECORDINGS_UPLOAD_ENDPOINT": "/up", "ANALYZE_RECORDINGS": "0",
            "DELETE_RECORDINGS": "1", "ANALYZER_WORKERS": "3", "RECORDINGS_DIR": "/srv/recordings",
            "RECORDINGS_TMP_DIR": "/srv/tmp", "INFLUX_URL": "http://influx.example:8181", "INFLUX_TOKEN": "token",
            "INFLUX_ORG": "org", "INFLUX_RECORDINGS_BUCKET": "birds", "INFLUX_ANALYSIS_TABLE": "a",
            "INFLUX_UPLOADS_TABLE": "u", "KVM_IP": "10.0.0.9", "PROM_USER": "user", "PROM_PASS": "password",
            "PROM_SCRAPE_INTERVAL": "30s",
        ])
        #expect(settings.box.uuid == "forest-7")
        let format = try #require(settings.reception.defaultFormat)
        #expect(format.channels == 2 && format.sampleRate == 44_100 && format.encoding == .signed24)
        #expect(settings.recordings.maximumSeconds == 60 && settings.recordings.minimumSeconds == 5)
        #expect(settings.reception.streamPath == "/in" && settings.reception.uploadPath == "/up")
        #expect(!settings.analysis.isOn && settings.recordings.keep == .none && settings.analysis.workers == 3)
        #expect(settings.recordings.folder == "/srv/recordings" && settings.recordings.spoolFolder == "/srv/tmp")
        let influx = try #require(settings.deliveries.influx)
        #expect(influx.url == "http://influx.example:8181" && influx.token == "token" && influx.database == "birds")
        // The other path is named by a setting of this program's own.
        #expect(influx.api == .v3 && influx.organisation == "org")
        #expect(settings.deliveries.influxTables.analysis == "a" && settings.deliveries.influxTables.uploads == "u")
        let prometheus = try #require(settings.deliveries.prometheus)
        #expect(prometheus.url == "http://10.0.0.9:9090/api/v1/write")
        #expect(prometheus.user == "user" && prometheus.password == "password")
        #expect(settings.deliveries.metricsIntervalSeconds == 30)
    }

    @Test func theCO2Servers() throws {
        let settings = try settings(["DATA_DIR": "/srv/co2/remote_data"]).nodes.co2
        #expect(settings.dataFolder == "/srv/co2/remote_data")
        #expect(settings.tiersFile == "/srv/co2/remote_data/manual/deploy_durations_tiered.tsv")
        #expect(
            try self.settings(["DEPLOY_DURATIONS_TIERED_TSV": "/srv/tiers.tsv"]).nodes.co2.tiersFile == "/srv/tiers.tsv"
        )
    }

    @Test func theISEMSCollectors() throws {
        let settings = try settings([
            "ISEMS_ROUTER_IPS": "10.36.158.33, 10.0.0.5/csv.log", "MQTT_SERVER": "broker.example",
            "HIDE_INACTIVE_AFTER_DAYS": "7", "DATABASE_URL": "sqlite:////tmp/test.db",
            "SENTRY_DSN": "https://key@sentry.example/3",
        ])
        #expect(
            settings.nodes.isems.addresses
                == ["http://10.36.158.33/ISEMS/ffopenmppt.log", "http://10.0.0.5/csv.log"])
        let broker = try #require(settings.nodes.isems.broker)
        #expect(broker.host == "broker.example" && broker.port == 1883 && broker.topics.contains("/isems/+/csvlog"))
        #expect(settings.nodes.isems.hideAfterDays == 7 && settings.box.sentry != nil)
        #expect(settings.deliveries.postgreSQL == nil)
        // What is no number is 30.
        #expect(try self.settings(["HIDE_INACTIVE_AFTER_DAYS": "some"]).nodes.isems.hideAfterDays == 30)
    }

    @Test func thePiWardriveServices() throws {
        let settings = try settings(["PW_AGG_PORT": "9100", "PW_AGG_DIR": "/srv/aggregation", "LISTEN": "0.0.0.0:8000"])
        #expect(settings.box.addresses.map(\.port) == [8000, 9100])
        #expect(settings.nodes.piwardrive.uploadsFolder == "/srv/aggregation/uploads")
    }

    @Test func theDriftlineAggregators() throws {
        let settings = try settings([
            "FORECASTS": "enabled", "DATABASE_URL": "postgresql://drift:secret@postgres:5432/driftline",
            "S3_ENDPOINT": "http://minio:9000", "S3_BUCKET": "environmental-data", "S3_ACCESS_KEY": "key",
            "S3_SECRET_KEY": "secret", "COPERNICUS_USERNAME": "skipper", "COPERNICUS_PASSWORD": "pass",
            "HISTORICAL_DAYS": "3", "FORECAST_HOURS": "48", "FORECAST_INTERVAL_HOURS": "6",
            "COLLECTION_SCHEDULE": "@daily", "CLEANUP_SCHEDULE": "0 3 * * *", "MAX_DATA_AGE_DAYS": "5",
            "LOG_LEVEL": "WARN", "FORECAST_DATA_TYPES": "wind,ocean_currents",
        ])
        #expect(settings.deliveries.postgreSQL == "postgresql://drift:secret@postgres:5432/driftline")
        let bucket = try #require(settings.deliveries.s3.fields)
        #expect(bucket.bucket == "environmental-data")
        let forecasts = settings.forecasts
        #expect(forecasts.isOn && forecasts.historyDays == 3)
        #expect(forecasts.hours.last == 48 && forecasts.intervalHours == 6)
        #expect(forecasts.kinds == [.wind, .currents])
        #expect(forecasts.collection != nil && forecasts.cleanup != nil && forecasts.mostAgeDays == 5)
        #expect(forecasts.copernicus.user == "skipper" && settings.box.logLevel == "warning")
    }
}
