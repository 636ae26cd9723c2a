/// Every setting there is.
enum SettingsCatalogue {
    static let all: [SettingDescription] =
        box + access + appliance + sensors + reception + nodes + forecasts + recordings + analysis + deliveries
        + unused

    static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// Other spellings of a name that existing installations use.
    static let aliases = ["recordings_tmp_dir": "recordings_temp_dir", "copernicus_dataset_id": "copernicus_dataset"]

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
            "What /api/v1, /v1, /events and the page ask for: as a Bearer token, or as the password of Basic credentials. See require_api_token."
        ),
        .init(
            "max_connections", .int(1...65_535), "4096", group: "Box",
            "Connections at a time; more wait to be accepted."),
        .init(
            "shutdown_timeout_sec", .int(1...300), "10", unit: "s", group: "Box",
            "How long ending may take before what is left is cut off."),
        .init(
            "base_dir", .text, "/data", group: "Box",
            "Where everything is kept. A relative path in a file is below that file's folder; in the environment, below the working folder."
        ),
        .init(
            "logs_dir", .text, "", withoutEffect: true, group: "Box",
            "Of the microphone aggregator; without effect. Logs go to standard error and are kept by the system's journal."
        ),
        .init(
            "log_level", .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]), "info",
            synonyms: ["warn": "warning", "fatal": "critical", "notset": "trace"],
            group: "Box", "How much is logged. The names of Python's levels are taken too, in capitals or not."),
        .init(
            "log_format", .choice(["text", "json", "journal"]), "text", group: "Box",
            "How a log line is written: as text or JSON to standard error, or to the system's journal with a field for each detail (as text where there is none)."
        ),
        .init(
            "log_file_max_bytes", .int(0...1_000_000_000), "0", unit: "B", group: "Box",
            "Keeps the newest lines of the log in two files in <base_dir>/logs as well, of so many bytes together, where the system's journal does not have them: support-bundle takes them along. At least 65536 are used; 0 for no files. The container has 4000000."
        ),
        .init(
            "sentry_dsn", .text, "", secret: true, group: "Box",
            "If set (https://KEY@host/PROJECT), errors of the log are reported there, without secrets; empty for none."),
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
            "metrics_interval_sec", .int(1...3600), "15", unit: "s", withoutEffect: true, group: "Box",
            "Of the microphone aggregator; without effect. Metrics are computed when they are asked for."),
    ]

    private static let sensors: [SettingDescription] = [
        .init(
            "sensors", .map, "", group: "Sensors",
            "Sensors that are wired to the box, by name: the kind, where it is (bus= and address= for I2C, port= for serial, path= for 1-Wire, line= for GPIO), interval= in seconds, <quantity>_offset= and <quantity>_scale=, and options of its own: docs/sensors.md."
        ),
        .init(
            "sound_cards", .map, "", group: "Sensors",
            "Sound cards that listen, by the listener id that each has: device= as ALSA names it, rate= in hertz, channels=: docs/sensors.md."
        ),
        .init(
            "outputs", .map, "", group: "Sensors",
            "GPIO lines that the box sets, by name: line= (or chip= and offset=), active=high or low, initial=on or off, mode=switch, heartbeat or watchdog, period= in seconds: docs/sensors.md."
        ),
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
            "max_connections_per_address", .int(0...10_000), "0", group: "Reception",
            "Connections of listeners from one network address at a time; 0 for as many as nobody else needs: when max_listeners are there, an address with fewer listeners gets the place of a listener of the address that has the most. IPv6 addresses of one /64 network count as one."
        ),
        .init(
            "max_new_streams_per_min", .int(0...1_000_000), "600", group: "Reception",
            "Streams that one network address may begin in a minute, and five times as many at once; 0 for no limit."),
        .init(
            "max_new_listeners_per_hour", .int(0...1_000_000), "1000", group: "Reception",
            "Listener ids that one network address may bring for the first time in an hour; 0 for no limit. Ids that the settings name do not count."
        ),
        .init(
            "max_recordings_per_min", .int(0...1_000_000), "600", group: "Reception",
            "Recordings that one connection may begin in a minute, and a fifth of what one network address may; 0 for no limit. Beyond it the connection is read more slowly. What live sound needs is not counted: of each connection as many as two for each max_recording_duration_sec of a minute, at least six."
        ),
        .init(
            "max_short_recordings_per_min", .int(0...1_000_000), "30", group: "Reception",
            "Recordings below min_recording_duration_sec that one connection may begin in a minute, and a tenth of what one network address may; 0 for no limit. One a minute does not count for the address. Sound beyond it is a loss in the ledger until it goes on for that duration."
        ),
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
            "The largest file that can be uploaded. Unfinished uploads may have five times as much together, those of one network address half of that."
        ),
        .init(
            "max_upload_audio_hours", .number(0.01...1000), "48", unit: "h", group: "Reception",
            "Maximum duration of the sound in an uploaded file. A longer file is rejected: a compressed file of a megabyte can hold days of silence."
        ),
        .init(
            "max_upload_decode_sec", .number(1...86_400), "600", unit: "s", group: "Reception",
            "Maximum processor time in which an uploaded file is decoded; a file that takes more is rejected."),
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
            "Shorter recordings are not kept; the ledger has them. Less than max_recording_duration_sec; half of it where that is 3 or less and this is not set."
        ),
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
            "min_free_disk_bytes", .int(0...1_000_000_000_000_000), "268435456", unit: "B", group: "Recordings",
            "Left free for everything that is not sound: the oldest recordings that may go are removed, and if none may, sound is no longer kept until there is room."
        ),
        .init(
            "storage_threads", .int(1...64), "4", group: "Recordings",
            "Threads that decode and write what listeners send."),
        .init(
            "delete_recordings", .bool, "false", group: "Recordings",
            "Known from the former system: true is keep_recordings: none, unless that is set."),
        .init(
            "max_recording_bytes", .int(0...Int.max), "2000000", unit: "B", withoutEffect: true, group: "Recordings",
            "Of the microphone aggregator, which used it where a header could not be read; without effect. Here the format is always known."
        ),
    ]

    private static let analysis: [SettingDescription] = [
        .init(
            "analyze_recordings", .bool, "true", group: "Analysis",
            "Run BirdNET. If false, neither model nor library is needed."),
        .init(
            "analyzer_workers", .int(0...64), "0", group: "Analysis",
            "Interpreters, one thread each; 0 for what suits the board (profile), else one fewer than the cores, at least 1."
        ),
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
            "Windows of live sound and of recordings that are read again that are in memory at a time, of 576 KB each; at least 5 are used."
        ),
    ]
}
