/// What a ``ListenerSession`` wants done, in order. The caller does it; the session itself touches no file or clock.
public enum SessionAction: Sendable {
    /// Begin a recording. Audio follows.
    case open(RecordingStart)
    /// Whole sample frames of the open recording.
    case audio(SampleBytes)
    /// Whole sample frames of silence that stand for frames that never came.
    case silence(bytes: Int)
    /// End the open recording.
    case close(RecordingEnd)
    /// Write down what was not heard, or not kept.
    case note(SessionNote)
    /// The times of these runs are final: move them, and change the gap before them.
    case settle(RunSettlement)
}

/// What becomes of runs whose times were not final, once they are.
public struct RunSettlement: Sendable, Equatable {
    public let runs: ClosedRange<Int>
    /// By how much everything of these runs moves; 0 or less, since it turned out to have been heard earlier.
    public let byNanoseconds: Int64
    /// By how much the gap before the first of them changes its length. Its end moves with the runs.
    public let gapByNanoseconds: Int64
    /// Whether the sound came so much later than it was heard that its times are ``TimeQuality/inferred``.
    public let isInferred: Bool
}

/// How far a recording's start time can be trusted.
public enum TimeQuality: String, Sendable, CaseIterable {
    /// The audio arrived as it was heard, on a box whose clock is set.
    case live
    /// The audio arrived faster than real time: its start is counted from other recordings of the same run.
    case inferred
    /// The box's own clock was not set.
    case unsynchronised
}

/// The start of a recording.
public struct RecordingStart: Sendable, Equatable {
    public let format: PCMFormat
    /// Counts the contiguous stretches of a session, from 0. Windows run on within a run, never across two.
    public let run: Int
    /// Sample frames between the run's start and this recording's.
    public let runOffsetFrames: Int64
    /// Steady-clock nanoseconds at which the first sample was heard.
    public let startNanoseconds: Int64
    /// Whether the time is not final yet: a ``SessionAction/settle(_:)`` of its run follows. Until then its quality is
    /// ``TimeQuality/inferred``.
    public let isInferred: Bool
}

/// The end of a recording.
public struct RecordingEnd: Sendable, Equatable {
    public enum Reason: String, Sendable, CaseIterable {
        /// The longest duration was reached; the run goes on in the next recording.
        case rollover
        /// The listener started a new file (sequence 0, or a WAV header).
        case restart
        /// More frames are missing than are filled with silence.
        case gap
        /// The sequence numbers went back for good.
        case sequenceReset = "sequence reset"
        /// The stream ended.
        case end
    }

    public let reason: Reason
    /// Sample frames, silence included.
    public let frames: Int64
    /// Sample frames of silence in it.
    public let filledFrames: Int64
    /// Whether the next recording may continue the run.
    public let runGoesOn: Bool
    /// Whether the time is still not final, or has become so by audio that arrived after this recording's first sample.
    public let isInferred: Bool
}

/// One entry for the loss ledger.
public struct SessionNote: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        /// Never arrived, and left out.
        case gap
        /// Never arrived, and filled with silence.
        case filled
        /// Arrived, and was not kept.
        case loss
        /// Arrived before, and was dropped.
        case duplicate
    }

    public let kind: Kind
    public let reason: String
    /// Of a gap: the run after it, which it moves with.
    public let run: Int
    /// Steady-clock nanoseconds.
    public let startNanoseconds: Int64
    public let durationNanoseconds: Int64
    /// Frames on the wire.
    public let frames: Int64
    public let bytes: Int64
}

/// What one session received, for status and the ledger.
public struct SessionCounters: Sendable, Equatable {
    public var framesReceived: Int64 = 0
    public var bytesReceived: Int64 = 0
    public var framesDuplicate: Int64 = 0
    public var framesOld: Int64 = 0
    public var framesMissing: Int64 = 0
    public var framesRealigned: Int64 = 0
    public var metadataFrames: Int64 = 0

    public init() {}
}
