public import Store

/// Turns facts into points. A point's identity (table, tags and time) is made from the fact alone, so one that is sent
/// twice is the same point.
///
/// `analysis` and `uploads` keep the tag set of the former system, one point a recording, since a table's tags are fixed
/// by its first write. Their tags name each file, so they grow a series for each; `detections` does not.
public struct InfluxPoints: Sendable {
    public struct Tables: Sendable, Hashable {
        /// Empty: not written.
        public var analysis = "analysis"
        /// Empty: not written.
        public var uploads = "uploads"
        public var detections = "detections"
        public var coverage = "coverage"
        public var observations = "observations"
        /// What the board says of itself.
        public var health = "health"

        public init() {}
    }

    public let aggregator: String
    public let tables: Tables

    public init(aggregator: String, tables: Tables) {
        self.aggregator = aggregator
        self.tables = tables
    }

    public func detection(_ fact: DetectionFact, to lines: inout LineProtocol) -> Bool {
        let detection = fact.detection
        let model = fact.modelSHA256.isEmpty ? fact.model : "\(fact.model)@\(fact.modelSHA256.prefix(8))"
        return lines.add(
            tables.detections,
            tags: [
                ("aggregator_uuid", aggregator), ("listener_id", detection.listenerID), ("model", model),
                ("species", detection.scientificName),
            ],
            fields: [
                ("common_name", .text(detection.commonName)), ("confidence", .number(detection.confidence)),
                ("duration_sec", .number(Double(detection.endNanoseconds - detection.startNanoseconds) / 1e9)),
                ("offset_sec", .number(detection.offsetSeconds)), ("recording", .text(detection.recordingName)),
                ("time_quality", .text(detection.timeQuality)),
            ], nanoseconds: detection.startNanoseconds)
    }

    public func coverage(_ entry: LedgerEntry, to lines: inout LineProtocol) -> Bool {
        lines.add(
            tables.coverage,
            tags: [
                ("aggregator_uuid", aggregator), ("kind", entry.kind), ("listener_id", entry.listenerID),
                // What follows a colon is a detail, of which there is no end.
                ("reason", String(entry.reason.prefix { $0 != ":" })),
            ],
            fields: [
                ("bytes", .integer(entry.bytes)), ("detail", .text(entry.reason)),
                ("duration_sec", .number(Double(entry.durationNanoseconds) / 1e9)), ("frames", .integer(entry.frames)),
                ("recording", .text(entry.recordingName ?? "")),
            ], nanoseconds: entry.startNanoseconds)
    }

    public func observation(_ observation: ObservationRecord, to lines: inout LineProtocol) -> Bool {
        lines.add(
            tables.observations,
            tags: [
                ("aggregator_uuid", aggregator), ("quantity", observation.quantity), ("source", observation.source),
                ("unit", observation.unit),
            ],
            fields: [
                ("raw", .number(observation.raw ?? .nan)), ("time_quality", .text(observation.timeQuality)),
                ("value", .number(observation.value)),
            ], nanoseconds: observation.timeNanoseconds)
    }

    /// What the board said at one moment: one point, a field for each quantity.
    public func health(_ observations: [ObservationRecord], to lines: inout LineProtocol) -> Bool {
        lines.add(
            tables.health, tags: [("aggregator_uuid", aggregator)],
            fields: observations.map { ($0.quantity, .number($0.value)) },
            nanoseconds: observations.first?.timeNanoseconds ?? 0)
    }

    /// That a recording was analysed, with all that was found, as the former system told it.
    public func analysis(
        _ recording: RecordingRecord, detections: [DetectionRecord], to lines: inout LineProtocol
    ) -> Bool {
        lines.add(
            tables.analysis,
            tags: [
                ("aggregator_uuid", aggregator),
                ("duration_sec", PythonText.number(Double(recording.durationNanoseconds / 1_000_000) / 1e3)),
                ("filename", recording.name), ("listener_id", recording.listenerID),
                ("recorded_timestamp", Self.recordedTimestamp(recording)),
            ],
            fields: [
                (
                    "analyzed_timestamp",
                    .text(
                        UTCText.microseconds(
                            recording.analysedNanoseconds ?? recording.closedNanoseconds ?? recording.startNanoseconds))
                ),
                ("detections", .utf8(Self.json(detections))),
            ], nanoseconds: recording.startNanoseconds)
    }

    /// That a recording's file is at the far end, as the former system told it.
    public func upload(_ recording: RecordingRecord, remote: String, to lines: inout LineProtocol) -> Bool {
        lines.add(
            tables.uploads,
            tags: [
                ("aggregator_uuid", aggregator), ("filename", recording.name), ("listener_id", recording.listenerID),
                ("recorded_timestamp", Self.recordedTimestamp(recording)),
            ],
            fields: [
                ("remote", .text(remote)),
                (
                    "uploaded_timestamp",
                    .text(UTCText.microseconds(recording.uploadedNanoseconds ?? recording.startNanoseconds))
                ),
            ], nanoseconds: recording.startNanoseconds)
    }

    /// The stamp in the file's name: `20261121T012744Z`. A file that was named by a wrong clock keeps its name.
    private static func recordedTimestamp(_ recording: RecordingRecord) -> String {
        if recording.timeQuality == "corrected" { return UTCText.basic(recording.startNanoseconds) }
        let stem = recording.name.split(separator: ".").dropLast().joined(separator: ".")
        let stamp = stem.split(separator: "_").last.map { $0.prefix(16) } ?? ""
        return stamp.hasSuffix("Z") && stamp.count == 16 ? String(stamp) : UTCText.basic(recording.startNanoseconds)
    }

    /// The array of detections as the former system's `json.dumps` wrote it; times in seconds from the file's start.
    private static func json(_ detections: [DetectionRecord]) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "[")]
        bytes.reserveCapacity(200 * detections.count + 2)
        for (place, detection) in detections.enumerated() {
            let duration = Double(detection.endNanoseconds - detection.startNanoseconds) / 1e9
            bytes.append(contentsOf: (place == 0 ? "{\"common_name\": " : ", {\"common_name\": ").utf8)
            PythonText.addJSON(detection.commonName, to: &bytes)
            bytes.append(contentsOf: ", \"scientific_name\": ".utf8)
            PythonText.addJSON(detection.scientificName, to: &bytes)
            bytes.append(contentsOf: ", \"start_time\": ".utf8)
            bytes.append(contentsOf: PythonText.number(detection.offsetSeconds).utf8)
            bytes.append(contentsOf: ", \"end_time\": ".utf8)
            bytes.append(contentsOf: PythonText.number(detection.offsetSeconds + duration).utf8)
            bytes.append(contentsOf: ", \"confidence\": ".utf8)
            bytes.append(contentsOf: PythonText.number(detection.confidence).utf8)
            bytes.append(contentsOf: ", \"label\": ".utf8)
            PythonText.addJSON(detection.label, to: &bytes)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: "]"))
        return bytes
    }
}
