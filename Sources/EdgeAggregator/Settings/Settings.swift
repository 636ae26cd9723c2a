import AudioDSP
import Foundation
import TextParts

/// The effective settings, checked. One struct a part.
struct Settings: Sendable, CustomStringConvertible {
    let effective: [String: SettingsLoader.Effective]
    let file: String?
    /// What was read otherwise than its writer may have meant.
    let warnings: [SettingsProblem]
    /// What is configured and does not do what its writer may expect: for the log of a start, and `settings check`.
    let notices: [SettingsProblem]

    let box: BoxSettings
    let access: AccessSettings
    let appliance: ApplianceSettings
    let reception: ReceptionSettings
    let recordings: RecordingSettings
    let analysis: AnalysisSettings
    let deliveries: DeliverySettings
    let sensors: [SensorSettings]
    let outputs: [OutputSettings]
    let soundCards: [SoundCardSettings]
    let nodes: NodeSettings
    let forecasts: ForecastSettings

    /// Without their values: secrets are among them.
    var description: String { "the settings of \(file ?? "the environment")" }

    /// Where the settings and the data are, and what decided that, for people.
    var places: String {
        let path = { (path: String) in URL(fileURLWithPath: path).path }
        let source = effective["base_dir"]?.source ?? "default"
        return "settings: \(file.map(path) ?? "no file"), data: \(path(box.baseFolder)) (base_dir: \(source))"
    }

    /// - Throws: ``SettingsProblems`` with everything that is wrong.
    init(path: String? = nil, environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        let file = SettingsLoader.file(named: path, environment: environment)
        var loader = SettingsLoader()
        loader.load(file: file, environment: environment)
        try self.init(loader: loader, file: file)
    }

    init(loader: SettingsLoader, file: String?) throws {
        var reader = SettingsReader(loader: loader)
        self.file = file
        effective = loader.values
        warnings = loader.warnings
        box = BoxSettings(&reader)
        access = AccessSettings(&reader, box: box)
        appliance = ApplianceSettings(&reader)
        reception = ReceptionSettings(&reader)
        recordings = RecordingSettings(&reader, baseFolder: box.baseFolder)
        analysis = Self.analysis(&reader, baseFolder: box.baseFolder, profile: appliance.profile)
        deliveries = DeliverySettings(&reader, aggregator: box.uuid)
        outputs = OutputSettings.all(&reader)
        soundCards = SoundCardSettings.all(&reader)
        sensors = SensorSettings.all(&reader, outputs: outputs)
        nodes = NodeSettings(&reader, box: box, spoolFolder: recordings.spoolFolder)
        forecasts = Self.forecasts(&reader, box: box, recordings: recordings)
        notices =
            loader.notices + reader.notices + ShadowedSettings.notices(reader) + UnusedSettings.notices(reader)
        guard reader.problems.isEmpty else {
            throw SettingsProblems(problems: reader.problems, notices: notices)
        }
    }
}

extension Settings {
    private static func analysis(
        _ reader: inout SettingsReader, baseFolder: String, profile: BoardProfile
    ) -> AnalysisSettings {
        reader.checked(isOn: reader.bool("analyze_recordings"), off: "analyze_recordings: false") {
            AnalysisSettings(&$0, baseFolder: baseFolder, profile: profile)
        }
    }

    private static func forecasts(
        _ reader: inout SettingsReader, box: BoxSettings, recordings: RecordingSettings
    ) -> ForecastSettings {
        reader.checked(isOn: ForecastSettings.isOn(reader), off: ForecastSettings.off) {
            ForecastSettings(&$0, box: box, recordings: recordings)
        }
    }

    /// The token of the API: as set, or as the daemon made it where this user may read that; else empty.
    var knownToken: String {
        box.apiToken.isEmpty ? APITokenFile(baseFolder: box.baseFolder).existing ?? "" : box.apiToken
    }
}

/// The box itself.
struct BoxSettings: Sendable {
    struct Address: Sendable, Hashable {
        let host: String
        let port: Int

        /// Where it is asked on the box itself: whoever listens everywhere is at home too, and an IPv6 address stands in brackets
        /// (RFC 3986 §3.2.2).
        func localURL(port known: Int? = nil) -> String {
            let near = ["0.0.0.0": "127.0.0.1", "::": "::1"][host] ?? host
            return "http://\(near.holds(":") ? "[\(near)]" : near):\(known ?? port)"
        }
    }

    let uuid: String
    let addresses: [Address]
    let metricsPort: Int
    let apiToken: String
    let mostConnections: Int
    let shutdownTimeoutSeconds: Int
    let baseFolder: String
    let logLevel: String
    let logFormat: LineLogHandler.Format
    /// Of the files that keep the newest lines of the log (``LogFile``); 0 for none.
    let logFileBytes: Int
    let sentry: SentryReporter.Address?
    let commitIntervalMilliseconds: Int
    /// 0 for never.
    let healthIntervalSeconds: Int
    /// 0 for no limit.
    let mostHistoryDays: Double
    let mostHistoryBytes: Int

    init(_ reader: inout SettingsReader) {
        uuid = reader.text("aggregator_uuid")
        var addresses = Self.addresses("listen", &reader)
        if addresses.isEmpty { reader.refuse("listen", "at least one host:port is needed") }
        let unitsPort = reader.int("pw_agg_port")
        if unitsPort > 0, let first = addresses.first, !addresses.contains(where: { $0.port == unitsPort }) {
            addresses.append(Address(host: first.host, port: unitsPort))
        }
        self.addresses = addresses
        metricsPort = reader.int("metrics_port")
        apiToken = reader.text("api_token")
        mostConnections = reader.int("max_connections")
        shutdownTimeoutSeconds = reader.int("shutdown_timeout_sec")
        baseFolder = reader.text("base_dir")
        logLevel = reader.text("log_level")
        logFormat = LineLogHandler.Format(rawValue: reader.text("log_format")) ?? .text
        logFileBytes = reader.int("log_file_max_bytes")
        sentry = SentryReporter.Address(reader.text("sentry_dsn"))
        if sentry == nil, !reader.text("sentry_dsn").isEmpty {
            reader.refuse("sentry_dsn", "it is not an address such as https://KEY@host/PROJECT")
        }
        commitIntervalMilliseconds = reader.int("commit_interval_ms")
        healthIntervalSeconds = reader.int("health_interval_sec")
        mostHistoryDays = reader.number("history_max_age_days")
        mostHistoryBytes = reader.int("history_max_bytes")
    }

    /// The host:port pairs of a list.
    static func addresses(_ name: String, _ reader: inout SettingsReader) -> [Address] {
        var addresses: [Address] = []
        for text in reader.list(name) {
            guard let (host, digits) = text.halves(atLast: ":"), let port = Int(digits), (0...65_535).contains(port)
            else {
                reader.refuse(name, "`\(text)` is not host:port")
                continue
            }
            let name = host.trimmingPrefix("[")
            addresses.append(
                Address(host: String(name.utf8.last == UInt8(ascii: "]") ? name.dropLast() : name), port: port))
        }
        return addresses
    }
}

/// What listeners may do.
struct ReceptionSettings: Sendable {
    let streamPath: String
    let uploadPath: String
    let mostListeners: Int
    let mostConnectionsPerListener: Int
    let maximumConnectionsPerAddress: Int
    let beginnings: BeginningBudget.Limits
    let addressLimits: AddressBudgets.Limits
    let idleTimeoutSeconds: Int
    let allowed: Set<String>
    let tokens: [String: String]
    let quotaBytesPerSecond: Int
    let refusalHoldSeconds: Int
    let mostHeldRefusals: Int
    let mostGapFillFrames: Int
    let defaultFormat: PCMFormat?
    let mostUploadBytes: Int
    let uploadLimits: UploadInspection.Limits
    let mockListeners: Int

    init(_ reader: inout SettingsReader) {
        streamPath = reader.text("recordings_stream_endpoint")
        uploadPath = reader.text("recordings_upload_endpoint")
        for (name, path) in [("recordings_stream_endpoint", streamPath), ("recordings_upload_endpoint", uploadPath)]
        where !path.hasPrefix("/") || path.utf8.contains(where: { ":*{}?# ".utf8.contains($0) }) {
            reader.refuse(name, "`\(path)` is not a path: it begins with / and has none of : * { } ? # and space")
        }
        mostListeners = reader.int("max_listeners")
        mostConnectionsPerListener = reader.int("max_connections_per_listener")
        maximumConnectionsPerAddress = reader.int("max_connections_per_address")
        beginnings = BeginningBudget.Limits(
            shortRecordings: reader.int("max_short_recordings_per_min"),
            recordings: reader.int("max_recordings_per_min"),
            maximumRecordingSeconds: reader.int("max_recording_duration_sec"))
        addressLimits = AddressBudgets.Limits(
            shortRecordings: beginnings.shortRecordings * 10, recordings: beginnings.recordings * 5,
            streams: reader.int("max_new_streams_per_min"),
            newListenersPerHour: reader.int("max_new_listeners_per_hour"))
        idleTimeoutSeconds = reader.int("listener_idle_timeout_sec")
        allowed = Set(reader.list("listener_allow"))
        tokens = reader.map("listener_tokens")
        for id in allowed.union(tokens.keys) where id != "*" && ListenerID(id) == nil {
            reader.refuse(allowed.contains(id) ? "listener_allow" : "listener_tokens", "`\(id)` is not a listener id")
        }
        quotaBytesPerSecond = reader.int("listener_max_bytes_per_sec")
        refusalHoldSeconds = reader.int("refusal_hold_sec")
        mostHeldRefusals = reader.int("max_held_refusals")
        mostGapFillFrames = reader.int("max_gap_fill_frames")
        mostUploadBytes = reader.int("max_upload_bytes")
        uploadLimits = UploadInspection.Limits(
            maximumAudioHours: reader.number("max_upload_audio_hours"),
            maximumProcessorSeconds: reader.number("max_upload_decode_sec"))
        mockListeners = reader.bool("generate_mock_audio") ? reader.int("mock_listeners") : 0
        let encodings: [String: PCMFormat.Encoding] = [
            "8": .unsigned8, "16": .signed16, "24": .signed24, "32": .signed32,
        ]
        defaultFormat = encodings[reader.text("audio_bits_per_sample")].flatMap {
            try? PCMFormat(
                encoding: $0, channels: reader.int("audio_num_channels"), sampleRate: reader.int("audio_sample_rate"))
        }
    }
}

/// What is kept.
struct RecordingSettings: Sendable {
    enum Keep: String, Sendable { case all, detections, none }

    let folder: String
    let spoolFolder: String
    let container: RecordingContainer
    let keep: Keep
    let minimumSeconds: Double
    let maximumSeconds: Int
    let syncIntervalMilliseconds: Int
    let mostAgeDays: Double
    let mostBytes: Int
    let leastFreeBytes: Int
    let threads: Int

    init(_ reader: inout SettingsReader, baseFolder: String) {
        folder = reader.path("recordings_dir", in: baseFolder, "recordings")
        spoolFolder = reader.path("recordings_temp_dir", in: baseFolder, "spool")
        container = RecordingContainer(rawValue: reader.text("recording_format")) ?? .wav
        let isLegacyDelete = reader.bool("delete_recordings") && !reader.isSet("keep_recordings")
        keep = isLegacyDelete ? .none : Keep(rawValue: reader.text("keep_recordings")) ?? .all
        maximumSeconds = reader.int("max_recording_duration_sec")
        let minimum = reader.number("min_recording_duration_sec")
        if minimum < Double(maximumSeconds) {
            minimumSeconds = minimum
        } else {
            // A default gives way to what is set.
            minimumSeconds = Double(maximumSeconds) / 2
            if reader.isSet("min_recording_duration_sec") {
                reader.refuse(
                    "min_recording_duration_sec",
                    "it must be less than max_recording_duration_sec (\(maximumSeconds))")
            }
        }
        syncIntervalMilliseconds = reader.int("sync_interval_ms")
        mostAgeDays = reader.number("retention_max_age_days")
        mostBytes = reader.int("retention_max_bytes")
        leastFreeBytes = reader.int("min_free_disk_bytes")
        threads = reader.int("storage_threads")
    }
}

/// What is made of it.
struct AnalysisSettings: Sendable {
    enum Week: Sendable, Equatable {
        case automatic
        /// 1...48, or -1 for all year.
        case fixed(Int)
    }

    let isOn: Bool
    let workers: Int
    let place: (latitude: Double, longitude: Double)?
    let week: Week
    let locationThreshold: Double
    let minimumConfidence: Double
    let sensitivity: Double
    let overlapSeconds: Double
    let channel: MonoConverter.Channel
    let language: String
    let include: [String]
    let exclude: [String]
    let gate: SignalGate
    let privacyThreshold: Double
    let modelPath: String
    let metaModelPath: String
    let labelsPath: String
    let translationPath: String?
    let libraryPath: String
    let windowsPerListener: Int
    let windowsTotal: Int
    /// What is wrong with them. It stops the start only while recordings are analysed, and always what is done by hand.
    let problems: [SettingsProblem]

    init(_ reader: inout SettingsReader, baseFolder: String, profile: BoardProfile) {
        let known = reader.problems.count
        isOn = reader.bool("analyze_recordings")
        let wanted = reader.int("analyzer_workers")
        workers =
            wanted > 0 ? wanted : profile.analyzerWorkers ?? max(1, ProcessInfo.processInfo.activeProcessorCount - 1)
        let latitude = reader.optionalNumber("latitude")
        let longitude = reader.optionalNumber("longitude")
        if let latitude, let longitude {
            place = (latitude, longitude)
        } else {
            place = nil
            if latitude != nil { reader.refuse("latitude", "longitude is needed too") }
            if longitude != nil { reader.refuse("longitude", "latitude is needed too") }
        }
        let weekText = reader.text("week")
        if weekText == "auto" {
            week = .automatic
        } else {
            let number = Int(weekText) ?? 0
            week = .fixed(number)
            if number != -1, !(1...48).contains(number) {
                reader.refuse("week", "`\(weekText)` is not auto, -1 or 1 to 48")
            }
        }
        locationThreshold = reader.number("location_threshold")
        minimumConfidence = reader.number("min_confidence")
        sensitivity = reader.number("sensitivity")
        overlapSeconds = reader.number("overlap_sec")
        channel = Int(reader.text("channel")).map { .index($0 - 1) } ?? .mix
        language = reader.text("label_language")
        include = reader.list("species_include")
        exclude = reader.list("species_exclude")
        gate = SignalGate(
            leastLevelDBFS: Float(reader.number("gate_min_level_dbfs")),
            mostClippedFraction: Float(reader.number("gate_max_clipped_fraction")),
            mostFlatness: Float(reader.number("gate_max_flatness")))
        privacyThreshold = reader.number("privacy_threshold")
        let models = reader.path("models_dir", in: baseFolder, "models")
        modelPath = reader.path("model_path", in: models, "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")
        metaModelPath = reader.path("meta_model_path", in: models, "BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite")
        labelsPath = reader.path("labels_path", in: models, "labels/en.txt")
        translationPath = language == "en" ? nil : "\(models)/labels/\(language).txt"
        if language.holds("/") { reader.refuse("label_language", "`\(language)` is not a language") }
        libraryPath = reader.path("tflite_library_path", in: models, "libtensorflowlite_c.so")
        windowsPerListener = reader.int("analysis_windows_per_listener")
        windowsTotal = reader.int("analysis_windows_total")
        problems = Array(reader.problems[known...])
    }
}
