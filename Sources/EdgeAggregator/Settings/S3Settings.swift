import Store
import TextParts
import Uplink

/// To which buckets files go: recordings, and the files of forecast fields.
///
/// `s3_*` is this program's own way to name a bucket, `rclone_*` the microphone aggregator's. One of them names the bucket of all files.
/// Where both name one, and not the same, recordings go where `rclone_*` says, and forecast fields where `s3_*` says.
struct S3Settings: Sendable {
    /// A bucket, which has a sink of its own.
    struct Destination: Sendable {
        /// The sink's name in the outbox, in metrics and in the API.
        let sink: String
        let kinds: [DeliveryKind]
        let configuration: S3Configuration
    }

    /// The sink that carries recordings; also forecast fields, where they go to the same bucket.
    static let recordingsSink = "s3"
    /// The sink that carries forecast fields that do not go to the recordings' bucket.
    static let fieldsSink = "s3_forecasts"
    static let fieldKinds: [DeliveryKind] = [.field, .fieldRemoval]

    /// At most two.
    let destinations: [Destination]
    /// What stands before `<aggregator>/<listener>/<file>` where the microphone aggregator named an upload.
    let remotePrefix: String

    /// Nil when no recordings are uploaded.
    var recordings: S3Configuration? { destinations.first { $0.kinds.contains(.recording) }?.configuration }
    /// Nil when the files of forecast fields stay on the box.
    var fields: S3Configuration? { destinations.first { $0.kinds.contains(.field) }?.configuration }

    /// The sink that carries a kind; nil for a kind that goes to no bucket.
    func sink(of kind: DeliveryKind) -> String? { destinations.first { $0.kinds.contains(kind) }?.sink }

    init(_ reader: inout SettingsReader, aggregator: String) {
        let places = Places(reader)
        let isUploading = reader.bool("upload_raw_to_cloud")
        var destinations: [Destination] = []
        if isUploading, let configuration = places.recordings.configuration(&reader, aggregator: aggregator) {
            destinations.append(
                Destination(
                    sink: Self.recordingsSink, kinds: places.isSplit ? [.recording] : S3Sink.kinds,
                    configuration: configuration))
        }
        if let place = places.fieldsAlone(isUploading: isUploading) {
            let configuration = reader.checked(isOn: ForecastSettings.isOn(reader), off: ForecastSettings.off) {
                place.configuration(&$0, aggregator: aggregator)
            }
            if let configuration {
                destinations.append(
                    Destination(sink: Self.fieldsSink, kinds: Self.fieldKinds, configuration: configuration))
            }
        }
        // The limit is for both together.
        if destinations.count > 1 { destinations = destinations.map { $0.atHalfRate } }
        self.destinations = destinations
        let remote = reader.text("rclone_remote_bucket")
        let isRemote = places.recordings.path == places.former.path
        remotePrefix =
            isRemote && !remote.isEmpty ? remote : destinations.isEmpty ? "" : "s3:\(places.recordings.path)"
        places.tell(&reader, isUploading: isUploading)
    }
}

extension S3Settings.Destination {
    fileprivate var atHalfRate: Self {
        let limit = configuration.transport.mostBytesPerSecond
        guard limit > 0 else { return self }
        var configuration = configuration
        configuration.transport.mostBytesPerSecond = max(1, limit / 2)
        return Self(sink: sink, kinds: kinds, configuration: configuration)
    }
}

extension S3Settings {
    /// The buckets that the settings name, and what goes to which.
    struct Places {
        let own: S3Place
        let former: S3Place
        /// Whether both name a bucket, and not the same.
        let isSplit: Bool
        /// Where recordings go; forecast fields go there too unless the two are split.
        let recordings: S3Place

        init(_ reader: SettingsReader) {
            own = S3Place.own(reader)
            former = S3Place.former(reader)
            isSplit = own.isNamed && former.isComplete && !own.isSame(as: former)
            recordings = isSplit ? former : own.filled(from: former)
        }

        /// Where forecast fields go if not to the recordings' bucket: nil if they go there too, or nowhere.
        func fieldsAlone(isUploading: Bool) -> S3Place? {
            if isSplit { return own }
            return !isUploading && own.isNamed ? recordings : nil
        }

        /// Says which settings win over which.
        fileprivate func tell(_ reader: inout SettingsReader, isUploading: Bool) {
            if isSplit {
                guard isUploading else { return }
                reader.notice(
                    ["rclone_config_s3_endpoint", "s3_endpoint"],
                    "rclone_config_s3_endpoint and s3_endpoint name two buckets: recordings go to \(former.text) (rclone_*), forecast fields to \(own.text) (s3_*)"
                )
                return
            }
            if own.isNamed, former.isNamed, !own.isSame(as: former) {
                let missing = former.missing
                let verb = missing.count == 1 ? "is" : "are"
                reader.notice(
                    ["rclone_config_s3_endpoint", "s3_endpoint"],
                    "s3_endpoint is used and rclone_config_s3_endpoint is not, because \(SettingsList.text(missing)) \(verb) missing: recordings go where s3_* says"
                )
                return
            }
            let pairs = own.shadows(former)
            guard !pairs.isEmpty else { return }
            reader.notice(
                pairs.flatMap { [$0.used, $0.unused] },
                "\(SettingsList.text(pairs.map(\.used))) \(pairs.count == 1 ? "is" : "are") used, and \(SettingsList.text(pairs.map(\.unused))) \(pairs.count == 1 ? "is" : "are") not"
            )
        }
    }
}

/// A bucket as settings name it.
struct S3Place {
    /// The settings that name its parts, for messages.
    struct Names: Equatable {
        let endpoint: String
        let bucket: String
        let prefix: String
        let accessKey: String
        let secretKey: String

        static let own = Names(
            endpoint: "s3_endpoint", bucket: "s3_bucket", prefix: "s3_prefix", accessKey: "s3_access_key",
            secretKey: "s3_secret_key")
        static let former = Names(
            endpoint: "rclone_config_s3_endpoint", bucket: "rclone_remote_bucket", prefix: "rclone_remote_bucket",
            accessKey: "rclone_config_s3_access_key_id", secretKey: "rclone_config_s3_secret_access_key")
    }

    let names: Names
    /// Empty for none.
    var endpoint: String
    var bucket: String
    /// Without slashes at its ends.
    var prefix: String
    /// Empty for the default.
    var region: String
    var accessKey: String
    var secretKey: String
    /// Nil for the default.
    var isPathStyle: Bool?

    static func own(_ reader: SettingsReader) -> S3Place {
        S3Place(
            names: .own, endpoint: reader.text("s3_endpoint"), bucket: reader.text("s3_bucket"),
            prefix: trimmed(reader.text("s3_prefix")),
            region: reader.isSet("s3_region") ? reader.text("s3_region") : "",
            accessKey: reader.text("s3_access_key"), secretKey: reader.text("s3_secret_key"),
            isPathStyle: reader.isSet("s3_path_style") ? reader.bool("s3_path_style") : nil)
    }

    static func former(_ reader: SettingsReader) -> S3Place {
        let remote = reader.text("rclone_remote_bucket")
        let path =
            remote.hasPrefix("s3://")
            ? remote.dropFirst(5) : remote.hasPrefix("s3:") ? remote.dropFirst(3) : remote[...]
        let pieces = path.parts(at: "/", maximumSplits: 1)
        let isAmazon = reader.text("rclone_config_s3_provider").lowercased() == "aws"
        return S3Place(
            names: .former, endpoint: reader.text("rclone_config_s3_endpoint"),
            bucket: pieces.first.map(String.init) ?? "",
            prefix: pieces.count > 1 ? trimmed(String(pieces[1])) : "",
            region: reader.text("rclone_config_s3_region"),
            accessKey: reader.text("rclone_config_s3_access_key_id"),
            secretKey: reader.text("rclone_config_s3_secret_access_key"), isPathStyle: isAmazon ? false : nil)
    }

    private static func trimmed(_ prefix: String) -> String { prefix.parts(at: "/").joined(separator: "/") }

    var isNamed: Bool { !endpoint.isEmpty }
    var isComplete: Bool { isNamed && !bucket.isEmpty && !accessKey.isEmpty && !secretKey.isEmpty }

    /// The address with its scheme.
    private var address: String { endpoint.holds("://") ? endpoint : "https://\(endpoint)" }

    /// `bucket/prefix`
    var path: String { [bucket, prefix].filter { !$0.isEmpty }.joined(separator: "/") }

    /// For people.
    var text: String { "\(address)/\(path)" }

    /// Whether both name the same objects, whatever the keys are.
    func isSame(as other: S3Place) -> Bool {
        func plain(_ address: String) -> String {
            let lower = address.lowercased()
            return lower.hasSuffix("/") ? String(lower.dropLast()) : lower
        }
        return plain(address) == plain(other.address) && path == other.path
    }

    /// The settings that name what a bucket needs, and are empty.
    var missing: [String] {
        [(names.bucket, bucket), (names.accessKey, accessKey), (names.secretKey, secretKey)]
            .filter(\.1.isEmpty).map(\.0)
    }

    /// Settings of the other that are not used because this one has its own, of another value.
    func shadows(_ other: S3Place) -> [(used: String, unused: String)] {
        let isOtherPath = !other.bucket.isEmpty && path != other.path
        var pairs: [(used: String, unused: String)] = []
        if !bucket.isEmpty, isOtherPath { pairs.append((names.bucket, other.names.bucket)) }
        if !accessKey.isEmpty, !other.accessKey.isEmpty, accessKey != other.accessKey {
            pairs.append((names.accessKey, other.names.accessKey))
        }
        if !secretKey.isEmpty, !other.secretKey.isEmpty, secretKey != other.secretKey {
            pairs.append((names.secretKey, other.names.secretKey))
        }
        return pairs
    }

    /// What this one does not say is taken from the other.
    func filled(from other: S3Place) -> S3Place {
        func either(_ value: String, _ other: String) -> String { value.isEmpty ? other : value }
        return S3Place(
            names: endpoint.isEmpty && !other.endpoint.isEmpty ? other.names : names,
            endpoint: either(endpoint, other.endpoint), bucket: either(bucket, other.bucket),
            prefix: prefix.isEmpty && bucket.isEmpty ? other.prefix : prefix, region: either(region, other.region),
            accessKey: either(accessKey, other.accessKey), secretKey: either(secretKey, other.secretKey),
            isPathStyle: isPathStyle ?? other.isPathStyle)
    }

    /// Nil when no server is named, or something is missing or wrong, of which the reader is told.
    func configuration(_ reader: inout SettingsReader, aggregator: String) -> S3Configuration? {
        guard isNamed else { return nil }
        let known = reader.problems.count
        DeliverySettings.checkURL(address, names.endpoint, &reader)
        checkParts(&reader, aggregator: aggregator)
        guard reader.problems.count == known else { return nil }
        var s3 = S3Configuration(endpoint: address, bucket: bucket)
        if !region.isEmpty { s3.region = region }
        s3.prefix = prefix
        s3.accessKey = accessKey
        s3.secretKey = secretKey
        s3.isPathStyle = isPathStyle ?? true
        s3.checksum = S3Checksum(rawValue: reader.text("s3_checksum")) ?? .sha256
        s3.isConditional = reader.bool("s3_conditional")
        s3.multipartBytes = Int64(reader.int("s3_multipart_bytes"))
        s3.partBytes = Int64(reader.int("s3_part_bytes"))
        s3.transport.certificateFile = reader.text("s3_ca_file")
        s3.transport.proxy = reader.text("delivery_proxy")
        s3.transport.stallTimeoutSeconds = reader.int("delivery_stall_timeout_sec")
        s3.transport.mostBytesPerSecond = Int64(reader.int("upload_max_bytes_per_sec"))
        return s3
    }

    private func checkParts(_ reader: inout SettingsReader, aggregator: String) {
        if !missing.isEmpty {
            let verb = missing.count == 1 ? "is" : "are"
            reader.refuse(
                names.endpoint,
                "\(SettingsList.text(missing)) \(verb) missing. \(formerDefaults) Set \(missing.count == 1 ? "it" : "them"), or remove \(names.endpoint)"
            )
        }
        let isBucket =
            (3...63).contains(bucket.utf8.count)
            && bucket.utf8.allSatisfy {
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
            }
        if !bucket.isEmpty, !isBucket {
            reader.refuse(names.bucket, "`\(bucket)` is not a bucket's name: 3 to 63 of a-z 0-9 - and .")
        }
        if SignatureV4.encode(prefix, keepsSlashes: true) != prefix {
            reader.refuse(names.prefix, "`\(prefix)` has other characters than A-Z a-z 0-9 . _ ~ - and /")
        }
        if SignatureV4.encode(aggregator) != aggregator {
            reader.refuse(
                "aggregator_uuid", "`\(aggregator)` cannot stand in the names of objects: A-Z a-z 0-9 . _ ~ - only")
        }
    }

    /// What the replaced systems took where these were not set, as their documentation says.
    private var formerDefaults: String {
        names == .own
            ? "The Driftline data aggregator had defaults for them: the bucket environmental-data, and minioadmin for both keys. Defaults, and default passwords above all, are not taken over."
            : "The microphone aggregator's default of rclone_remote_bucket was s3:my-bucket/data; it had none for keys. Defaults are not taken over."
    }
}
