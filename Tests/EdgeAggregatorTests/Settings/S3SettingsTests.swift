import Store
import Testing

@testable import EdgeAggregator
@testable import Uplink

/// Which files go to which bucket.
@Suite struct S3SettingsTests {
    private let own = [
        "S3_ENDPOINT": "http://minio:9000", "S3_BUCKET": "fields", "S3_PREFIX": "drift", "S3_ACCESS_KEY": "own-key",
        "S3_SECRET_KEY": "own-secret",
    ]
    /// As the microphone aggregator documents them.
    private let former = [
        "RCLONE_CONFIG_S3_TYPE": "s3", "RCLONE_CONFIG_S3_PROVIDER": "Ceph",
        "RCLONE_CONFIG_S3_ENDPOINT": "https://ceph.example", "RCLONE_CONFIG_S3_ACCESS_KEY_ID": "former-key",
        "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": "former-secret", "RCLONE_REMOTE_BUCKET": "s3://sound/birds",
    ]

    private struct Place: Equatable {
        let sink: String
        let kinds: Set<DeliveryKind>
        let address: String
        let key: String
        let secret: String
    }

    private func places(_ reading: SettingsReading) -> [Place] {
        (reading.settings?.deliveries.s3.destinations ?? []).map {
            let s3 = $0.configuration
            return Place(
                sink: $0.sink, kinds: Set($0.kinds), address: "\(s3.endpoint)/\(s3.bucket)/\(s3.prefix)",
                key: s3.accessKey, secret: s3.secretKey)
        }
    }

    private var all: Set<DeliveryKind> { [.recording, .field, .fieldRemoval] }

    @Test func oneBucketGetsAll() {
        let ofOwn = SettingsReading(environment: own)
        #expect(
            places(ofOwn) == [
                Place(
                    sink: "s3", kinds: all, address: "http://minio:9000/fields/drift", key: "own-key",
                    secret: "own-secret")
            ])
        #expect(ofOwn.notices == [])
        #expect(ofOwn.settings?.deliveries.s3.remotePrefix == "s3:fields/drift")
        let ofFormer = SettingsReading(environment: former)
        #expect(
            places(ofFormer) == [
                Place(
                    sink: "s3", kinds: all, address: "https://ceph.example/sound/birds", key: "former-key",
                    secret: "former-secret")
            ])
        #expect(ofFormer.notices == [])
        #expect(ofFormer.settings?.deliveries.s3.remotePrefix == "s3://sound/birds")
    }

    @Test func twoBucketsGetWhatEachSystemSentThere() {
        let both = SettingsReading(environment: own.merging(former) { $1 }.merging(["FORECASTS": "enabled"]) { $1 })
        #expect(
            places(both) == [
                Place(
                    sink: "s3", kinds: [.recording], address: "https://ceph.example/sound/birds", key: "former-key",
                    secret: "former-secret"),
                Place(
                    sink: "s3_forecasts", kinds: [.field, .fieldRemoval], address: "http://minio:9000/fields/drift",
                    key: "own-key", secret: "own-secret"),
            ])
        #expect(
            both.notices == [
                "environment: rclone_config_s3_endpoint and s3_endpoint name two buckets: recordings go to "
                    + "https://ceph.example/sound/birds (rclone_*), forecast fields to http://minio:9000/fields/drift (s3_*)"
            ])
        #expect(both.settings?.deliveries.s3.remotePrefix == "s3://sound/birds")
        #expect(both.settings?.deliveries.s3.recordings?.bucket == "sound")
        #expect(both.settings?.deliveries.s3.fields?.bucket == "fields")
    }

    /// The same bucket under both names is one.
    @Test func theSameBucketTwiceIsOne() {
        let same = SettingsReading(
            environment: former.merging([
                "S3_ENDPOINT": "https://ceph.example/", "S3_BUCKET": "sound", "S3_PREFIX": "/birds/",
                "S3_ACCESS_KEY": "own-key", "S3_SECRET_KEY": "own-secret",
            ]) { $1 })
        #expect(places(same).map(\.sink) == ["s3"] && places(same).first?.kinds == all)
        #expect(places(same).first?.key == "own-key")
    }

    @Test(arguments: [
        ("RCLONE_REMOTE_BUCKET", "rclone_remote_bucket is missing"),
        ("RCLONE_CONFIG_S3_ACCESS_KEY_ID", "rclone_config_s3_access_key_id is missing"),
        ("RCLONE_CONFIG_S3_SECRET_ACCESS_KEY", "rclone_config_s3_secret_access_key is missing"),
    ])
    func aBucketThatIsNamedInPartIsReplacedByTheOther(name: String, reason: String) {
        let reading = SettingsReading(environment: own.merging(former.filter { $0.key != name }) { $1 })
        #expect(places(reading).map(\.address) == ["http://minio:9000/fields/drift"])
        #expect(places(reading).first?.kinds == all)
        #expect(
            reading.notices.count == 1
                && reading.notices[0].contains("s3_endpoint is used and rclone_config_s3_endpoint is not")
                && reading.notices[0].contains(reason), "\(reading.notices)")
        // What is told of an upload is where it went.
        #expect(reading.settings?.deliveries.s3.remotePrefix == "s3:fields/drift")
    }

    /// Parts of one name fill the other, as before; where both are there, both are named.
    @Test func partsFillEachOther() {
        var mixed = former
        mixed["RCLONE_CONFIG_S3_ENDPOINT"] = nil
        mixed["S3_ENDPOINT"] = "http://minio:9000"
        mixed["S3_ACCESS_KEY"] = "own-key"
        let reading = SettingsReading(environment: mixed)
        #expect(
            places(reading) == [
                Place(
                    sink: "s3", kinds: all, address: "http://minio:9000/sound/birds", key: "own-key",
                    secret: "former-secret")
            ])
        #expect(
            reading.notices == [
                "environment: s3_access_key is used, and rclone_config_s3_access_key_id is not"
            ])
    }

    @Test func recordingsStayAndFieldsGoWhereUploadsAreOff() {
        let off = ["UPLOAD_RAW_TO_CLOUD": "0", "FORECASTS": "enabled"]
        #expect(
            places(SettingsReading(environment: own.merging(off) { $1 })) == [
                Place(
                    sink: "s3_forecasts", kinds: [.field, .fieldRemoval], address: "http://minio:9000/fields/drift",
                    key: "own-key", secret: "own-secret")
            ])
        // Without a bucket for fields nothing goes anywhere, and that is said.
        let former = SettingsReading(environment: former.merging(off) { $1 })
        #expect(places(former) == [])
        #expect(former.notices.contains { $0.contains("upload_raw_to_cloud: false") }, "\(former.notices)")
        let both = SettingsReading(environment: own.merging(self.former) { $1 }.merging(off) { $1 })
        #expect(places(both).map(\.sink) == ["s3_forecasts"])
    }

    /// Only forecast fields would go there, and none are collected.
    @Test func anIncompleteBucketForFieldsAloneDoesNotStopTheStart() {
        let line = former.merging(["S3_ENDPOINT": "http://minio:9000"]) { $1 }
        let off = SettingsReading(environment: line)
        #expect(off.problems == [] && places(off).map(\.address) == ["https://ceph.example/sound/birds"])
        #expect(
            off.notices.contains {
                $0.contains("s3_bucket, s3_access_key and s3_secret_key are missing")
                    && $0.contains("not used now: forecasts: disabled")
            }, "\(off.notices)")
        let on = SettingsReading(environment: line.merging(["FORECASTS": "enabled"]) { $1 })
        #expect(on.problems.count == 1 && on.problems[0].contains("s3_bucket, s3_access_key and s3_secret_key"))
    }

    @Test func bothShareTheBandwidthAndHaveRegionsOfTheirOwn() {
        let more = [
            "UPLOAD_MAX_BYTES_PER_SEC": "1001", "S3_REGION": "eu-central-1", "RCLONE_CONFIG_S3_REGION": "eu-north-1",
            "RCLONE_CONFIG_S3_PROVIDER": "AWS",
        ]
        let both = SettingsReading(environment: own.merging(former) { $1 }.merging(more) { $1 })
        let s3 = both.settings?.deliveries.s3.destinations.map(\.configuration) ?? []
        #expect(s3.map(\.transport.mostBytesPerSecond) == [500, 500])
        #expect(s3.map(\.region) == ["eu-north-1", "eu-central-1"])
        #expect(s3.map(\.isPathStyle) == [false, true])
        let one = SettingsReading(environment: former.merging(more) { $1 }).settings?.deliveries.s3.destinations ?? []
        #expect(one.map(\.configuration.transport.mostBytesPerSecond) == [1001])
        #expect(one.map(\.configuration.region) == ["eu-central-1"])
        #expect(
            SettingsReading(environment: former).settings?.deliveries.s3.recordings?.region == "us-east-1")
    }

    @Test func whatIsMissingHasTheNameThatWasUsed() {
        let reading = SettingsReading(environment: ["RCLONE_CONFIG_S3_ENDPOINT": "https://ceph.example"])
        #expect(
            reading.problems.count == 1
                && reading.problems[0].hasPrefix(
                    "environment: rclone_config_s3_endpoint: rclone_remote_bucket, rclone_config_s3_access_key_id and rclone_config_s3_secret_access_key are missing"
                ) && reading.problems[0].contains("s3:my-bucket/data"), "\(reading.problems)")
    }
}
