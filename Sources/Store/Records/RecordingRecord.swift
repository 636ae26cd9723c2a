public import GRDB

/// A recording.
public struct RecordingRecord: Sendable, Hashable, Codable {
    /// Grows with each recording; for cursors.
    public var id: Int64?
    /// The file's name, unique on the box for ever.
    public var name: String
    public var listenerID: String
    public var sessionID: String?
    /// Counts the contiguous stretches of a session.
    public var run: Int
    /// Sample frames from the run's start to the recording's.
    public var runOffsetFrames: Int64
    /// Below the recordings folder.
    public var relativePath: String
    /// `open`, `closed`, `unkept` (its sound is not on disk) or `deleted`.
    public var state: String
    /// UTC.
    public var startNanoseconds: Int64
    /// `live`; `inferred` from what came faster than real time; `unsynchronised` while the clock is not set, and then
    /// `corrected`, or `assumed` when it was waited for in vain.
    public var timeQuality: String
    public var bootID: String
    public var monotonicNanoseconds: Int64
    /// Whether its times are not final: its run is settled later.
    public var isGuessed: Bool
    /// While it is open: by how much the clock that stamps its file is ahead of the steady clock, if it was stepped since the start.
    public var fileOffsetNanoseconds: Int64?
    /// `stream`, `upload`, `import` or `mock`.
    public var source: String
    /// `wav`, `flac` or `mp3`.
    public var container: String
    public var encoding: String
    public var channels: Int
    /// Hertz.
    public var sampleRate: Int
    /// Sample frames in the file.
    public var frames: Int64
    public var durationNanoseconds: Int64
    /// Of it silence in the place of frames that never came.
    public var filledNanoseconds: Int64
    /// The file's size.
    public var bytes: Int64
    public var closedNanoseconds: Int64?
    /// `pending`, `done`, `skipped` or `failed`.
    public var analysis: String
    public var analysisError: String?
    /// How many windows were analysed.
    public var windows: Int
    /// How much of it was silenced for a human voice.
    public var privacyNanoseconds: Int64
    /// When its analysis ended; nil for recordings of versions that did not note it.
    public var analysedNanoseconds: Int64?
    /// When its file was first known to be at a far end.
    public var uploadedNanoseconds: Int64?
    public var deletedNanoseconds: Int64?
    public var deleteReason: String?

    enum CodingKeys: String, CodingKey {
        case id, name, run, state, source, container, encoding, channels, frames, bytes, analysis, windows
        case listenerID = "listener_id"
        case sessionID = "session_id"
        case runOffsetFrames = "run_offset_frames"
        case relativePath = "relative_path"
        case startNanoseconds = "start_ns"
        case timeQuality = "time_quality"
        case bootID = "boot_id"
        case monotonicNanoseconds = "monotonic_ns"
        case isGuessed = "guessed"
        case fileOffsetNanoseconds = "file_offset_ns"
        case sampleRate = "sample_rate"
        case durationNanoseconds = "duration_ns"
        case filledNanoseconds = "filled_ns"
        case closedNanoseconds = "closed_ns"
        case analysisError = "analysis_error"
        case privacyNanoseconds = "privacy_ns"
        case analysedNanoseconds = "analysed_ns"
        case uploadedNanoseconds = "uploaded_ns"
        case deletedNanoseconds = "deleted_ns"
        case deleteReason = "delete_reason"
    }

    public init(
        name: String, listenerID: String, sessionID: String?, run: Int, runOffsetFrames: Int64, relativePath: String,
        state: String, startNanoseconds: Int64, timeQuality: String, bootID: String, monotonicNanoseconds: Int64,
        source: String, container: String, encoding: String, channels: Int, sampleRate: Int, analysis: String,
        isGuessed: Bool = false
    ) {
        self.name = name
        self.listenerID = listenerID
        self.sessionID = sessionID
        self.run = run
        self.runOffsetFrames = runOffsetFrames
        self.relativePath = relativePath
        self.state = state
        self.startNanoseconds = startNanoseconds
        self.timeQuality = timeQuality
        self.bootID = bootID
        self.monotonicNanoseconds = monotonicNanoseconds
        self.source = source
        self.container = container
        self.encoding = encoding
        self.channels = channels
        self.sampleRate = sampleRate
        self.analysis = analysis
        self.isGuessed = isGuessed
        frames = 0
        durationNanoseconds = 0
        filledNanoseconds = 0
        bytes = 0
        windows = 0
        privacyNanoseconds = 0
    }
}

extension RecordingRecord {
    /// When its file was last written, by the clock of its start.
    public func lastWrittenNanoseconds(modifiedNanoseconds modified: Int64) -> Int64 {
        fileOffsetNanoseconds.map { modified - $0 + startNanoseconds - monotonicNanoseconds } ?? modified
    }
}

extension RecordingRecord: FetchableRecord, TableRecord, PersistableRecord {
    public static let databaseTableName = "recordings"
}

/// A recording, when it has ended.
public struct RecordingClose: Sendable, Hashable {
    public let name: String
    public let frames: Int64
    public let durationNanoseconds: Int64
    public let filledNanoseconds: Int64
    public let bytes: Int64
    /// Nil leaves it as it is.
    public let timeQuality: String?
    /// UTC.
    public let closedNanoseconds: Int64
    /// By the steady clock of the recording's boot, where it is known: the row's end is then written by the clock that the row has,
    /// which may have been corrected since.
    public let closedMonotonicNanoseconds: Int64?

    public init(
        name: String, frames: Int64, durationNanoseconds: Int64, filledNanoseconds: Int64, bytes: Int64,
        timeQuality: String?, closedNanoseconds: Int64, closedMonotonicNanoseconds: Int64? = nil
    ) {
        self.name = name
        self.frames = frames
        self.durationNanoseconds = durationNanoseconds
        self.filledNanoseconds = filledNanoseconds
        self.bytes = bytes
        self.timeQuality = timeQuality
        self.closedNanoseconds = closedNanoseconds
        self.closedMonotonicNanoseconds = closedMonotonicNanoseconds
    }
}
