public import Store
import TextParts

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
                ("reason", String(entry.reason.before(":"))),
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

    /// Bytes of the array of detections in an `analysis` point, at most. A string field holds 64 KB (docs.influxdata.com, "Line
    /// protocol", data types).
    static let maximumDetectionsBytes = 60_000

    /// That a recording was analysed, with all that was found, as the former system told it. Of more detections than fit, those with the
    /// highest confidence are told, and `detections_omitted` says how many are not.
    public func analysis(
        _ recording: RecordingRecord, detections: [DetectionRecord], to lines: inout LineProtocol
    ) -> Bool {
        let (json, omitted) = Self.json(detections)
        return lines.add(
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
                ("detections", .utf8(json)),
            ] + (omitted > 0 ? [("detections_omitted", .integer(Int64(omitted)))] : []),
            nanoseconds: recording.startNanoseconds)
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
        let stem = recording.name.parts(at: ".").dropLast().joined(separator: ".")
        let stamp = stem.parts(at: "_").last.map { $0.prefix(16) } ?? ""
        return stamp.hasSuffix("Z") && stamp.count == 16 ? String(stamp) : UTCText.basic(recording.startNanoseconds)
    }

    /// The array of detections as the former system's `json.dumps` wrote it, and how many are left out.
    private static func json(_ detections: [DetectionRecord]) -> (bytes: [UInt8], omitted: Int) {
        let objects = detections.map(json)
        // Brackets, and a comma and a space before each but the first.
        var size = 2 + objects.reduce(0) { $0 + $1.count + 2 }
        var omitted: Set<Int> = []
        if size > maximumDetectionsBytes {
            // Of two with the same confidence, the later one goes first.
            for index in detections.indices.sorted(by: {
                (detections[$0].confidence, -$0) < (detections[$1].confidence, -$1)
            }) where size > maximumDetectionsBytes {
                omitted.insert(index)
                size -= objects[index].count + 2
            }
        }
        var bytes: [UInt8] = [UInt8(ascii: "[")]
        bytes.reserveCapacity(size)
        for (index, object) in objects.enumerated() where !omitted.contains(index) {
            if bytes.count > 1 { bytes.append(contentsOf: ", ".utf8) }
            bytes += object
        }
        bytes.append(UInt8(ascii: "]"))
        return (bytes, omitted.count)
    }

    /// Times are in seconds from the file's start.
    private static func json(_ detection: DetectionRecord) -> [UInt8] {
        let duration = Double(detection.endNanoseconds - detection.startNanoseconds) / 1e9
        var bytes: [UInt8] = []
        bytes.reserveCapacity(200)
        bytes.append(contentsOf: "{\"common_name\": ".utf8)
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
        return bytes
    }
}
