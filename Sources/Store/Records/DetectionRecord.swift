public import GRDB

/// A species heard in a window. Its identity is (listener, start, scientific name, model).
public struct DetectionRecord: Sendable, Hashable {
    /// Grows with each detection; for cursors.
    public var id: Int64?
    public var listenerID: String
    public var recordingName: String
    public var sessionID: String?
    public var run: Int
    /// UTC.
    public var startNanoseconds: Int64
    public var endNanoseconds: Int64
    /// From the start of the recording in which the window begins.
    public var offsetSeconds: Double
    public var scientificName: String
    /// In the language that was set.
    public var commonName: String
    /// `Scientific name_Common name`, as the model says it.
    public var label: String
    /// 0...1
    public var confidence: Double
    public var modelID: Int64
    public var timeQuality: String

    public init(
        listenerID: String, recordingName: String, startNanoseconds: Int64, endNanoseconds: Int64,
        offsetSeconds: Double, scientificName: String, commonName: String, label: String, confidence: Double,
        modelID: Int64, timeQuality: String, sessionID: String?, run: Int
    ) {
        self.listenerID = listenerID
        self.recordingName = recordingName
        self.sessionID = sessionID
        self.run = run
        self.startNanoseconds = startNanoseconds
        self.endNanoseconds = endNanoseconds
        self.offsetSeconds = offsetSeconds
        self.scientificName = scientificName
        self.commonName = commonName
        self.label = label
        self.confidence = confidence
        self.modelID = modelID
        self.timeQuality = timeQuality
    }
}

extension DetectionRecord: FetchableRecord {
    static let columns = """
        id, listener_id, recording_name, session_id, run, start_ns, end_ns, offset_seconds, scientific_name, common_name,
        label, confidence, model_id, time_quality
        """

    /// Of ``columns``, in their order: by names it takes several times as long, and backlogs have millions.
    public init(row: Row) {
        self.init(
            listenerID: row[1], recordingName: row[2], startNanoseconds: row[5], endNanoseconds: row[6],
            offsetSeconds: row[7], scientificName: row[8], commonName: row[9], label: row[10], confidence: row[11],
            modelID: row[12], timeQuality: row[13], sessionID: row[3], run: row[4])
        id = row[0]
    }
}

/// What made a detection.
public struct ModelRecord: Sendable, Hashable, Codable, FetchableRecord {
    public let id: Int64
    public let name: String
    public let modelSHA256: String
    public let libraryVersion: String
    public let librarySHA256: String

    enum CodingKeys: String, CodingKey {
        case id, name
        case modelSHA256 = "model_sha256"
        case libraryVersion = "library_version"
        case librarySHA256 = "library_sha256"
    }
}
