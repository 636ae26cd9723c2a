import Store

/// The tables at the far end, and how facts become their rows.
///
/// Plain SQL only, so that what speaks PostgreSQL's protocol without being PostgreSQL takes it too. Keys are made from
/// the data; times stand twice, in nanoseconds (the key) and as a timestamp (for people). The tables of the catalogue, which others have
/// defined, are in `PostgreSQLTables+Catalogue.swift`.
enum PostgreSQLTables {
    struct Table: Sendable {
        let name: String
        let columns: [String]
        let create: String
    }

    static let facts = [detections, recordings, coverage, observations]

    static let detections = Table(
        name: "edge_detections",
        columns: [
            "aggregator_uuid", "listener_id", "start_ns", "start_at", "end_at", "scientific_name", "common_name",
            "label",
            "confidence", "recording", "offset_seconds", "model", "model_sha256", "time_quality",
        ],
        create: """
            CREATE TABLE IF NOT EXISTS edge_detections (
                aggregator_uuid text NOT NULL, listener_id text NOT NULL, start_ns bigint NOT NULL,
                start_at timestamptz NOT NULL, end_at timestamptz NOT NULL, scientific_name text NOT NULL,
                common_name text NOT NULL, label text NOT NULL, confidence double precision NOT NULL,
                recording text NOT NULL, offset_seconds double precision NOT NULL, model text NOT NULL,
                model_sha256 text NOT NULL, time_quality text NOT NULL,
                PRIMARY KEY (aggregator_uuid, listener_id, start_ns, scientific_name, model_sha256))
            """)

    static let recordings = Table(
        name: "edge_recordings",
        columns: [
            "aggregator_uuid", "name", "listener_id", "start_ns", "start_at", "duration_seconds", "bytes",
            "sample_rate",
            "channels", "windows", "time_quality", "analyzed_at",
        ],
        create: """
            CREATE TABLE IF NOT EXISTS edge_recordings (
                aggregator_uuid text NOT NULL, name text NOT NULL, listener_id text NOT NULL, start_ns bigint NOT NULL,
                start_at timestamptz NOT NULL, duration_seconds double precision NOT NULL, bytes bigint NOT NULL,
                sample_rate integer NOT NULL, channels integer NOT NULL, windows integer NOT NULL,
                time_quality text NOT NULL, analyzed_at timestamptz,
                PRIMARY KEY (aggregator_uuid, name))
            """)

    static let coverage = Table(
        name: "edge_coverage",
        columns: [
            "aggregator_uuid", "ledger_id", "listener_id", "kind", "reason", "start_ns", "start_at", "duration_seconds",
            "frames", "bytes", "recording",
        ],
        create: """
            CREATE TABLE IF NOT EXISTS edge_coverage (
                aggregator_uuid text NOT NULL, ledger_id bigint NOT NULL, listener_id text NOT NULL, kind text NOT NULL,
                reason text NOT NULL, start_ns bigint NOT NULL, start_at timestamptz NOT NULL,
                duration_seconds double precision NOT NULL, frames bigint NOT NULL, bytes bigint NOT NULL,
                recording text, PRIMARY KEY (aggregator_uuid, ledger_id, start_ns))
            """)

    static let observations = Table(
        name: "edge_observations",
        columns: [
            "aggregator_uuid", "source", "quantity", "unit", "time_ns", "time_at", "value", "raw", "time_quality",
        ],
        create: """
            CREATE TABLE IF NOT EXISTS edge_observations (
                aggregator_uuid text NOT NULL, source text NOT NULL, quantity text NOT NULL, unit text NOT NULL,
                time_ns bigint NOT NULL, time_at timestamptz NOT NULL, value double precision NOT NULL,
                raw double precision, time_quality text NOT NULL,
                PRIMARY KEY (aggregator_uuid, source, quantity, time_ns))
            """)

    // MARK: - Rows

    static func row(_ fact: DetectionFact, aggregator: String) -> [String?] {
        let detection = fact.detection
        return [
            aggregator, detection.listenerID, "\(detection.startNanoseconds)",
            UTCText.microseconds(detection.startNanoseconds), UTCText.microseconds(detection.endNanoseconds),
            detection.scientificName, detection.commonName, detection.label, "\(detection.confidence)",
            detection.recordingName, "\(detection.offsetSeconds)", fact.model, fact.modelSHA256, detection.timeQuality,
        ]
    }

    static func row(_ recording: RecordingRecord, aggregator: String) -> [String?] {
        [
            aggregator, recording.name, recording.listenerID, "\(recording.startNanoseconds)",
            UTCText.microseconds(recording.startNanoseconds), "\(Double(recording.durationNanoseconds) / 1e9)",
            "\(recording.bytes)", "\(recording.sampleRate)", "\(recording.channels)", "\(recording.windows)",
            recording.timeQuality, recording.analysedNanoseconds.map(UTCText.microseconds),
        ]
    }

    static func row(_ observation: ObservationRecord, aggregator: String) -> [String?] {
        [
            aggregator, observation.source, observation.quantity, observation.unit, "\(observation.timeNanoseconds)",
            UTCText.microseconds(observation.timeNanoseconds), "\(observation.value)",
            observation.raw.map { "\($0)" }, observation.timeQuality,
        ]
    }

    static func row(_ entry: LedgerEntry, aggregator: String) -> [String?] {
        [
            aggregator, "\(entry.id ?? 0)", entry.listenerID, entry.kind, entry.reason, "\(entry.startNanoseconds)",
            UTCText.microseconds(entry.startNanoseconds), "\(Double(entry.durationNanoseconds) / 1e9)",
            "\(entry.frames)", "\(entry.bytes)", entry.recordingName,
        ]
    }

    /// The text form of COPY (PostgreSQL documentation, COPY, "Text Format"). A zero byte has no form in PostgreSQL.
    static func copyText(_ rows: [[String?]]) -> [UInt8] {
        var text: [UInt8] = []
        for row in rows {
            for (index, value) in row.enumerated() {
                if index > 0 { text.append(0x09) }
                guard let value else {
                    text += Array("\\N".utf8)
                    continue
                }
                for byte in value.utf8 {
                    switch byte {
                    case 0: continue
                    case UInt8(ascii: "\\"): text += [byte, byte]
                    case 0x09: text += Array("\\t".utf8)
                    case 0x0A: text += Array("\\n".utf8)
                    case 0x0D: text += Array("\\r".utf8)
                    default: text.append(byte)
                    }
                }
            }
            text.append(0x0A)
        }
        return text
    }

    static func insert(_ table: Table) -> String {
        let marks = table.columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        return
            "INSERT INTO \(table.name) (\(table.columns.joined(separator: ", "))) VALUES (\(marks)) ON CONFLICT DO NOTHING"
    }

    static func copy(_ table: Table) -> String {
        "COPY \(table.name) (\(table.columns.joined(separator: ", "))) FROM STDIN"
    }
}
