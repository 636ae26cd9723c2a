/// Tells when each sample of one listener was heard, from two clocks: the listener's own (how many samples came)
/// and the box's (when they arrived).
///
/// Nothing on the wire carries a time. Audio can arrive late (a stalled link) and too fast (a listener that sends what
/// it buffered on its card), never before it was heard. So the position of a sample is counted from an anchor, and
/// the anchor is held against the arrivals:
///
/// - within ``liveToleranceNanoseconds`` it follows them slowly, by at most ``slewPerMille`` of the audio's length,
///   which takes up the drift between two crystals without a jump;
/// - audio far *ahead* of the arrivals is being pushed faster than real time. It keeps counting, so that successive
///   recordings get successive times, and the lead is remembered: since no sound arrives before it was made, the run
///   really began earlier by the greatest lead seen at least (``UnsettledStretches``);
/// - audio far *behind* means that the source did not send for a while, or that the link stalled: the next recording
///   starts a new run. What arrives next shows which of the two it was.
///
/// All times are nanoseconds of one steady clock (it never steps). Positions are sample frames since the run's start.
public struct SampleClock: Sendable, Equatable {
    /// How far position and arrival may differ before the audio no longer counts as live.
    public static let liveToleranceNanoseconds: Int64 = 2_000_000_000
    /// A pause of the source longer than this starts a new run.
    public static let pauseToleranceNanoseconds: Int64 = 1_000_000_000
    /// The greatest correction at a recording's end, in thousandths of its length.
    public static let slewPerMille: Int64 = 10
    /// No position is later, whatever a sender claims: 126 years. Together with a date of today it is no overflow.
    public static let latestNanoseconds: Int64 = 4_000_000_000_000_000_000

    /// Sample frames since the start of the run.
    public private(set) var runFrames: Int64 = 0

    private let format: PCMFormat
    private var anchorNanoseconds: Int64
    /// Sample frames at which `anchorNanoseconds` holds; moved on at each correction so that products stay small.
    private var anchorFrames: Int64 = 0
    /// The greatest time by which the audio was ahead of its arrival.
    public private(set) var greatestLeadNanoseconds: Int64 = 0
    private var recording = RecordingMarks()
    private var pace = ArrivalPace()

    /// What was seen since the last recording began.
    private struct RecordingMarks: Sendable, Equatable {
        var startFrames: Int64 = 0
        var leastLagNanoseconds: Int64?
    }

    /// Starts a run whose first sample was heard at `startNanoseconds`.
    ///
    /// - Parameter leadNanoseconds: the lead of the run before, when this one continues its backlog after a gap.
    public init(format: PCMFormat, startNanoseconds: Int64, leadNanoseconds: Int64 = 0) {
        self.format = format
        self.anchorNanoseconds = min(startNanoseconds, Self.latestNanoseconds)
        self.greatestLeadNanoseconds = leadNanoseconds
    }

    /// When the next sample frame to come is heard, by the count of samples.
    public var positionNanoseconds: Int64 {
        let frames = min(runFrames - anchorFrames, format.frames(nanoseconds: Self.latestNanoseconds))
        return min(anchorNanoseconds + format.durationNanoseconds(frames: frames), Self.latestNanoseconds)
    }

    /// Whether the run has got further ahead of its arrivals than a live source can.
    public var isAhead: Bool { greatestLeadNanoseconds > Self.liveToleranceNanoseconds }

    /// The least time by which audio of the current recording was behind its arrival.
    public var leastLagNanoseconds: Int64 { recording.leastLagNanoseconds ?? 0 }

    /// Counts sample frames that arrived, or silence that stands for them.
    public mutating func advance(frames: Int64) {
        runFrames += frames
    }

    /// Holds the position against the time at which the last counted sample arrived.
    public mutating func observe(arrivalNanoseconds: Int64) {
        let lead = positionNanoseconds - arrivalNanoseconds
        greatestLeadNanoseconds = max(greatestLeadNanoseconds, lead)
        recording.leastLagNanoseconds = min(recording.leastLagNanoseconds ?? Int64.max, -lead)
        pace.observe(positionNanoseconds: positionNanoseconds, arrivalNanoseconds: arrivalNanoseconds)
    }

    /// Whether the sound now comes at the pace at which it is made: any backlog is through.
    public var isAtLivePace: Bool { pace.isLive }

    /// The same at the end of a run that may be too short for two windows.
    public var endedAtLivePace: Bool { pace.hasEndedLive }

    /// Ends a recording and begins the next of the same run: corrects a small drift.
    ///
    /// - Parameter isSettled: whether the times of the run are final; otherwise its lead must not be corrected away.
    public mutating func beginNextRecording(isSettled: Bool) {
        if isSettled, !isAhead, let lag = recording.leastLagNanoseconds {
            let heard = format.durationNanoseconds(frames: runFrames - recording.startFrames)
            let most = heard / 1000 * Self.slewPerMille
            let position = positionNanoseconds
            anchorNanoseconds = min(position + min(max(lag, -most), most), Self.latestNanoseconds)
            anchorFrames = runFrames
        }
        recording = RecordingMarks(startFrames: runFrames)
    }
}
