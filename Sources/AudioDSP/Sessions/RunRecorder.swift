/// Cuts one session's audio into runs (contiguous stretches) and recordings, and keeps their times.
///
/// What it tells of a time before the time is final is marked so, and ``SessionAction/settle(_:)`` follows.
struct RunRecorder: Sendable {
    /// Whether a recording is open.
    private(set) var isOpen = false
    /// Whether the frame that ended in mid-sample, if any, was as long as the one before it.
    var cutFrameWasUniform = true
    /// Bytes of a sample frame that has begun and waits for its rest.
    var phaseBytes: Int { partial.count }

    /// Whether the times of the open recording are not final.
    var isUnsettled: Bool { unsettled.current?.isUnsettled ?? false }

    /// Whether the next sound is of a recording that is open, or goes on after one that has reached its longest duration.
    var continuesRecording: Bool { isOpen || isRollover }

    /// Recordings shorter than the minimum that may still end; see ``ListenerSession/shortRecordingAllowance``.
    var shortRecordingAllowance = Int.max

    private let maximumRecordingNanoseconds: Int64
    private let minimumRecordingNanoseconds: Int64
    private var format: PCMFormat?
    private var clock: SampleClock?
    private var run = -1
    private var unsettled = UnsettledStretches()
    private var runHasEnded = true
    /// How the next run follows the one before, when that is known.
    private var nextRun: NextRun?
    /// When the frame now coming in was heard at the earliest, judged by its arrival.
    private var heardFromNanoseconds: Int64 = 0
    private var isRollover = false
    private var partial: [UInt8] = []

    private struct NextRun: Sendable {
        var startNanoseconds: Int64
        /// The gap before it, to be written down with it.
        var gap: Gap?
    }

    private struct Gap: Sendable {
        var reason: String
        var startNanoseconds: Int64
        /// How much of it only the lateness of the frame after it tells.
        var guessNanoseconds: Int64 = 0
        var frames: Int64 = 0
        var bytes: Int64 = 0
    }

    private var recordingFrames: Int64 = 0
    private var filled = NoteTallies.Tally()
    private var tallies = NoteTallies()
    /// Whether what arrives is lost, since the last sound that was recorded.
    private var isLosing = false

    init(maximumRecordingNanoseconds: Int64, minimumRecordingNanoseconds: Int64) {
        self.maximumRecordingNanoseconds = maximumRecordingNanoseconds
        self.minimumRecordingNanoseconds = minimumRecordingNanoseconds
    }

    // MARK: - Audio

    /// Says what the next audio is. `frameNanoseconds` is the length of the frame that carries it.
    mutating func prepare(format: PCMFormat, arrivalNanoseconds: Int64, frameNanoseconds: Int64) {
        if self.format != format {
            self.format = format
            runHasEnded = true
            partial.removeAll(keepingCapacity: true)
        }
        heardFromNanoseconds = arrivalNanoseconds - frameNanoseconds
    }

    /// Takes audio bytes, cut anywhere.
    mutating func append<Failure: Error>(
        _ bytes: SampleBytes, of block: Span<UInt8>, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        guard bytes.count > 0, let format else { return }
        try openIfNeeded(leadingNanoseconds: 0, perform)
        var rest = bytes
        if !partial.isEmpty {
            let begun = rest.prefix(format.bytesPerFrame - partial.count)
            begun.withSpan(of: block) { partial.append($0) }
            rest = rest.dropFirst(begun.count)
            guard partial.count == format.bytesPerFrame else { return }
            let sample = partial
            partial.removeAll(keepingCapacity: true)
            try perform(.audio(.gathered(sample[...])))
            count(sampleFrames: 1)
        }
        let frames = rest.count / format.bytesPerFrame
        if frames > 0 {
            let whole = rest.prefix(frames * format.bytesPerFrame)
            try perform(.audio(whole))
            count(sampleFrames: Int64(frames))
            rest = rest.dropFirst(whole.count)
        }
        if rest.count > 0 { rest.withSpan(of: block) { partial.append($0) } }
    }

    /// Puts silence in the place of frames that never came.
    mutating func fill<Failure: Error>(
        missingFrames: Int, frameBytes: Int, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        guard let format else { return }
        let total = partial.count + missingFrames * frameBytes
        let sampleFrames = Int64(total / format.bytesPerFrame)
        let duration = format.durationNanoseconds(frames: sampleFrames)
        try openIfNeeded(leadingNanoseconds: duration, perform)
        let start = clock?.positionNanoseconds ?? 0
        if filled.wireFrames == 0 { filled.startNanoseconds = start }
        filled.wireFrames += Int64(missingFrames)
        filled.bytes += Int64(missingFrames * frameBytes)
        filled.sampleFrames += sampleFrames
        if sampleFrames > 0 {
            try perform(.silence(bytes: Int(sampleFrames) * format.bytesPerFrame))
            count(sampleFrames: sampleFrames)
        }
        // A sample cut by the gap's end keeps its known (high) bytes; the lost low ones read as silence.
        partial = [UInt8](repeating: format.silenceByte, count: total % format.bytesPerFrame)
    }

    /// Ends the recording at a gap too long to be filled. Gaps without sound between them are one gap.
    mutating func leaveGap<Failure: Error>(
        missingFrames: Int, frameBytes: Int, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        forgetPhase()
        guard let format, clock != nil else { return }
        try close(.gap, runGoesOn: false, perform)
        guard let end = timelineEndNanoseconds else { return }
        var gap = nextRun?.gap ?? Gap(reason: "frames missing", startNanoseconds: end)
        let missing = format.durationNanoseconds(frames: Int64(frameBytes / format.bytesPerFrame))
            .multipliedReportingOverflow(by: Int64(missingFrames))
        let longest = ListenerSession.longestBelievedGapNanoseconds - (end - gap.startNanoseconds)
        let isBelieved = !missing.overflow && missing.partialValue <= longest
        gap.frames = PeerCount.sum(gap.frames, Int64(missingFrames))
        gap.bytes = PeerCount.sum(gap.bytes, PeerCount.product(Int64(missingFrames), Int64(frameBytes)))
        let start = isBelieved ? min(end + missing.partialValue, SampleClock.latestNanoseconds) : end
        nextRun = NextRun(startNanoseconds: start, gap: gap)
    }

    /// Drops the beginning of a sample that will not be completed.
    mutating func forgetPhase() {
        partial.removeAll(keepingCapacity: true)
    }

    private mutating func count(sampleFrames: Int64) {
        recordingFrames += sampleFrames
        clock?.advance(frames: sampleFrames)
    }

    // MARK: - Recordings and runs

    /// Where the next sound follows what is accounted for; nil before the first.
    private var timelineEndNanoseconds: Int64? { nextRun?.startNanoseconds ?? clock?.positionNanoseconds }

    /// Holds the count of samples against the arrival of the last of them.
    mutating func observe(arrivalNanoseconds: Int64) {
        guard isOpen else { return }
        clock?.observe(arrivalNanoseconds: arrivalNanoseconds)
        if let clock { unsettled.note(leadNanoseconds: clock.greatestLeadNanoseconds) }
    }

    /// Makes times final that turn out to be right where they are, as soon as the sound is known to come at live pace.
    mutating func confirmIfLive<Failure: Error>(_ perform: (SessionAction) throws(Failure) -> Void) throws(Failure) {
        guard isUnsettled, let clock, clock.isAtLivePace, unsettled.isInPlace else { return }
        _ = try settle(perform)
    }

    mutating func rollOverIfDue<Failure: Error>(
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        guard isOpen, let format,
            format.durationNanoseconds(frames: recordingFrames) > maximumRecordingNanoseconds
        else { return }
        try close(.rollover, runGoesOn: true, perform)
        isRollover = true
    }

    /// Ends the open recording, if there is one, with the notes that belong to it.
    mutating func close<Failure: Error>(
        _ reason: RecordingEnd.Reason, runGoesOn: Bool, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        isRollover = false
        if !runGoesOn { runHasEnded = true }
        guard isOpen, let clock else { return }
        try writeNotes(perform)
        isOpen = false
        try perform(
            .close(
                RecordingEnd(
                    reason: reason, frames: recordingFrames, filledFrames: filled.sampleFrames,
                    runGoesOn: runGoesOn, isInferred: isUnsettled)))
        if let format, format.durationNanoseconds(frames: recordingFrames) < minimumRecordingNanoseconds {
            shortRecordingAllowance -= 1
        }
        recordingFrames = 0
        filled = NoteTallies.Tally()
        if runGoesOn, isUnsettled, clock.isAtLivePace {
            let shift = try settle(perform)
            if shift != 0 {
                // The backlog is through: what comes now is heard now, in a run of its own.
                nextRun = NextRun(startNanoseconds: clock.positionNanoseconds + shift)
                runHasEnded = true
            }
        }
    }

    /// Ends the session: everything that is not final becomes so.
    mutating func finish<Failure: Error>(
        arrivalNanoseconds: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        observe(arrivalNanoseconds: arrivalNanoseconds)
        try close(.end, runGoesOn: false, perform)
        try writeNotes(perform)
        if let gap = nextRun?.gap {
            try perform(.note(note(gap, run: run, endNanoseconds: nextRun?.startNanoseconds ?? gap.startNanoseconds)))
        }
        _ = try settle(perform)
    }

    /// Makes the times of all runs final.
    ///
    /// - Returns: by how much the last run moved, 0 or less.
    private mutating func settle<Failure: Error>(
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) -> Int64 {
        let (settlements, shift) = unsettled.settle()
        for settlement in settlements { try perform(.settle(settlement)) }
        return shift
    }

    private mutating func openIfNeeded<Failure: Error>(
        leadingNanoseconds: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        guard !isOpen, let format else { return }
        try writeNotes(perform)
        let heardFrom = heardFromNanoseconds - leadingNanoseconds
        try lengthenGapIfLate(heardFrom, perform)
        var gap: Gap?
        if runHasEnded || clock == nil || nextRun != nil {
            gap = nextRun?.gap
            beginRun(format, heardFrom: heardFrom)
        } else {
            let isSettled = !isUnsettled
            clock?.beginNextRecording(isSettled: isSettled)
        }
        guard let clock else { return }
        isOpen = true
        isLosing = false
        isRollover = false
        try perform(
            .open(
                RecordingStart(
                    format: format, run: run, runOffsetFrames: clock.runFrames,
                    startNanoseconds: clock.positionNanoseconds, isInferred: isUnsettled)))
        if let gap { try perform(.note(note(gap, run: run, endNanoseconds: clock.positionNanoseconds))) }
    }

    /// Puts a gap before a run whose first frame is late, or makes the one that is there longer. What arrives next
    /// shows whether the source paused or the link stalled.
    private mutating func lengthenGapIfLate<Failure: Error>(
        _ heardFrom: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        guard let expected = timelineEndNanoseconds else { return }
        let hasGap = nextRun?.gap != nil
        let tolerance = hasGap ? SampleClock.liveToleranceNanoseconds : SampleClock.pauseToleranceNanoseconds
        guard lateness(of: heardFrom, expected) > tolerance else { return }
        // What came before is final, unless a backlog was still being sent.
        var shift: Int64 = 0
        if clock?.endedAtLivePace ?? true || unsettled.stretches.count >= UnsettledStretches.limit {
            shift = try settle(perform)
        }
        var gap = nextRun?.gap ?? Gap(reason: "source paused", startNanoseconds: expected)
        gap.startNanoseconds += shift
        gap.guessNanoseconds = heardFrom - expected - shift
        nextRun = NextRun(startNanoseconds: heardFrom, gap: gap)
    }

    /// By how much the frame now coming in is late: at a restart by this frame alone, in the middle of a file only by all
    /// frames of the last recording, since one late frame may just be a stalled link.
    private func lateness(of heardFrom: Int64, _ expected: Int64) -> Int64 {
        let late = heardFrom - expected
        return isRollover ? min(late, clock?.leastLagNanoseconds ?? late) : late
    }

    private mutating func beginRun(_ format: PCMFormat, heardFrom: Int64) {
        run += 1
        let start = nextRun?.startNanoseconds ?? timelineEndNanoseconds ?? heardFrom
        let guess = nextRun?.gap?.guessNanoseconds ?? 0
        if guess > 0 {
            unsettled.begin(run: run, slackNanoseconds: guess, isGuess: true)
        } else if run == 0 {
            unsettled.begin(run: run, slackNanoseconds: nil, isGuess: true)
        } else {
            unsettled.join(run: run)
        }
        nextRun = nil
        runHasEnded = false
        clock = SampleClock(
            format: format, startNanoseconds: start,
            leadNanoseconds: unsettled.current?.leadNanoseconds ?? 0)
    }

    private func note(_ gap: Gap, run: Int, endNanoseconds: Int64) -> SessionNote {
        SessionNote(
            kind: .gap, reason: gap.reason, run: run, startNanoseconds: gap.startNanoseconds,
            durationNanoseconds: endNanoseconds - gap.startNanoseconds, frames: gap.frames, bytes: gap.bytes)
    }

    // MARK: - Notes

    mutating func noteDuplicate(reason: String, bytes: Int) {
        tallies.addDuplicate(
            reason: reason, bytes: bytes, positionNanoseconds: clock?.positionNanoseconds ?? heardFromNanoseconds)
    }

    /// Counts audio that arrived and is not kept; `wireFrames` is 0 for the later bytes of a frame.
    ///
    /// - Parameter takesTime: whether no recording can be made of the stream as it is: then the loss reaches from where the
    ///   sound before it ended to its arrival. A frame that is dropped by itself takes none, since its length is not known.
    mutating func noteLoss<Failure: Error>(
        reason: String, bytes: Int, wireFrames: Int64, takesTime: Bool, arrivalNanoseconds: Int64,
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        var end = timelineEndNanoseconds ?? arrivalNanoseconds
        var duration: Int64 = 0
        if takesTime {
            if let gap = nextRun?.gap {
                if isLosing {
                    // Not a line for each: a sender could make one of a few bytes.
                    tallies.addMissingInLoss(
                        frames: gap.frames, bytes: gap.bytes, startNanoseconds: gap.startNanoseconds)
                    end = gap.startNanoseconds
                } else {
                    try perform(.note(note(gap, run: run + 1, endNanoseconds: end)))
                }
            }
            isLosing = true
            duration = max(0, arrivalNanoseconds - end)
            nextRun = NextRun(startNanoseconds: max(arrivalNanoseconds, end))
        }
        let total = tallies.addLoss(
            reason: reason, bytes: bytes, wireFrames: wireFrames, startNanoseconds: end, durationNanoseconds: duration)
        // What goes on for long is told as it goes.
        if takesTime, total >= maximumRecordingNanoseconds { try writeNotes(perform) }
    }

    private mutating func writeNotes<Failure: Error>(
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        if filled.wireFrames > 0, let format {
            try perform(
                .note(
                    SessionNote(
                        kind: .filled, reason: "frames missing", run: max(run, 0),
                        startNanoseconds: filled.startNanoseconds,
                        durationNanoseconds: format.durationNanoseconds(frames: filled.sampleFrames),
                        frames: filled.wireFrames, bytes: filled.bytes)))
        }
        for note in tallies.takeNotes(run: run) { try perform(.note(note)) }
    }
}
