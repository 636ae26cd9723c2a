/// Cuts one session's audio into runs (contiguous stretches) and recordings, and keeps their times.
struct RunRecorder: Sendable {
    /// Whether a recording is open.
    private(set) var isOpen = false
    /// Whether the frame that ended in mid-sample, if any, was as long as the one before it.
    var cutFrameWasUniform = true
    /// Bytes of a sample frame that has begun and waits for its rest.
    var phaseBytes: Int { partial.count }

    var isAhead: Bool { clock?.isAhead ?? false }

    private let maximumRecordingNanoseconds: Int64
    private var format: PCMFormat?
    private var clock: SampleClock?
    private var run = -1
    /// The first of the runs that share one lead, and so are settled together.
    private var firstRunOfChain = 0
    private var runHasEnded = true
    /// Where the next run starts, when that is known from the one before.
    private var nextRun: (startNanoseconds: Int64, leadNanoseconds: Int64)?
    /// When the frame now coming in was heard at the earliest, judged by its arrival.
    private var heardFromNanoseconds: Int64 = 0
    private var isRollover = false
    private var partial: [UInt8] = []

    private var recordingFrames: Int64 = 0
    private var filled = Tally()
    private var duplicates: [String: Tally] = [:]
    private var losses: [String: Tally] = [:]

    /// What a ledger note will say.
    private struct Tally: Sendable {
        var startNanoseconds: Int64 = 0
        var endNanoseconds: Int64 = 0
        var wireFrames: Int64 = 0
        var bytes: Int64 = 0
        var sampleFrames: Int64 = 0
    }

    init(maximumRecordingNanoseconds: Int64) {
        self.maximumRecordingNanoseconds = maximumRecordingNanoseconds
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
        _ bytes: UnsafeRawBufferPointer, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        guard !bytes.isEmpty, let format else { return }
        try openIfNeeded(leadingNanoseconds: 0, perform)
        var rest = bytes[...]
        if !partial.isEmpty {
            let wanted = min(format.bytesPerFrame - partial.count, rest.count)
            partial.append(contentsOf: rest.prefix(wanted))
            rest = rest.dropFirst(wanted)
            guard partial.count == format.bytesPerFrame else { return }
            let sample = partial
            partial.removeAll(keepingCapacity: true)
            try Self.withBytes(sample) { (whole) throws(Failure) in try perform(.audio(whole)) }
            count(sampleFrames: 1)
        }
        let frames = rest.count / format.bytesPerFrame
        if frames > 0 {
            let whole = rest.prefix(frames * format.bytesPerFrame)
            try perform(.audio(UnsafeRawBufferPointer(rebasing: whole)))
            count(sampleFrames: Int64(frames))
            rest = rest.dropFirst(whole.count)
        }
        if !rest.isEmpty { partial.append(contentsOf: rest) }
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

    /// Ends the recording at a gap too long to be filled.
    mutating func leaveGap<Failure: Error>(
        missingFrames: Int, frameBytes: Int, arrivalNanoseconds: Int64,
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        forgetPhase()
        guard let format, let clock else { return }
        try close(.gap, runGoesOn: false, perform)
        let missing = format.durationNanoseconds(frames: Int64(frameBytes / format.bytesPerFrame))
            .multipliedReportingOverflow(by: Int64(missingFrames))
        let isBelieved = !missing.overflow && missing.partialValue <= ListenerSession.longestBelievedGapNanoseconds
        let position = clock.positionNanoseconds
        var start = isBelieved ? position + missing.partialValue : position
        if heardFromNanoseconds > start + SampleClock.liveToleranceNanoseconds { start = heardFromNanoseconds }
        nextRun = (start, clock.greatestLeadNanoseconds)
        try perform(
            .note(
                SessionNote(
                    kind: .gap, reason: "frames missing", run: run, startNanoseconds: position,
                    durationNanoseconds: start - position, frames: Int64(missingFrames),
                    bytes: Int64(missingFrames) * Int64(frameBytes))))
    }

    /// Drops the beginning of a sample that will not be completed.
    mutating func forgetPhase() {
        partial.removeAll(keepingCapacity: true)
    }

    private mutating func count(sampleFrames: Int64) {
        recordingFrames += sampleFrames
        clock?.advance(frames: sampleFrames)
    }

    private static func withBytes<Failure: Error>(
        _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        // Array.withUnsafeBytes cannot throw a typed error; a sample frame is at most 32 bytes.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        try body(UnsafeRawBufferPointer(copy))
    }

    // MARK: - Recordings and runs

    /// Holds the count of samples against the arrival of the last of them.
    mutating func observe(arrivalNanoseconds: Int64) {
        guard isOpen else { return }
        clock?.observe(arrivalNanoseconds: arrivalNanoseconds)
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
        try writeNotes(perform)
        guard isOpen, let clock else { return }
        isOpen = false
        try perform(
            .close(
                RecordingEnd(
                    reason: reason, frames: recordingFrames, filledFrames: filled.sampleFrames,
                    runGoesOn: runGoesOn, isInferred: clock.isAhead)))
        recordingFrames = 0
        filled = Tally()
        if runGoesOn, clock.isBackAtLivePace {
            let start = clock.positionNanoseconds + clock.settlementNanoseconds
            try settle(perform)
            nextRun = (start, 0)
            runHasEnded = true
        }
    }

    /// Moves the runs that were pushed faster than real time to where they can have been heard.
    mutating func settle<Failure: Error>(_ perform: (SessionAction) throws(Failure) -> Void) throws(Failure) {
        guard let clock, clock.settlementNanoseconds != 0 else { return }
        try perform(.settle(runs: firstRunOfChain...run, byNanoseconds: clock.settlementNanoseconds))
        self.clock = nil
    }

    private mutating func openIfNeeded<Failure: Error>(
        leadingNanoseconds: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        guard !isOpen, let format else { return }
        try writeNotes(perform)
        let heardFrom = heardFromNanoseconds - leadingNanoseconds
        if nextRun == nil, let clock, pause(before: heardFrom, clock) > SampleClock.pauseToleranceNanoseconds {
            try endRunAtPause(clock, heardFrom: heardFrom, perform)
        }
        if runHasEnded || clock == nil {
            beginRun(format, heardFrom: heardFrom)
        } else {
            clock?.beginNextRecording()
        }
        guard let clock else { return }
        isOpen = true
        isRollover = false
        try perform(
            .open(
                RecordingStart(
                    format: format, run: run, runOffsetFrames: clock.runFrames,
                    startNanoseconds: clock.positionNanoseconds, isInferred: clock.isAhead)))
    }

    /// How long the source has been silent, as far as can be told: at a restart by this frame alone, in the middle of
    /// a file only by all frames of the last recording, since one late frame may just be a stalled link.
    private func pause(before heardFrom: Int64, _ clock: SampleClock) -> Int64 {
        let lag = heardFrom - clock.positionNanoseconds
        return isRollover ? min(lag, clock.leastLagNanoseconds) : lag
    }

    private mutating func endRunAtPause<Failure: Error>(
        _ clock: SampleClock, heardFrom: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        let end = clock.positionNanoseconds + clock.settlementNanoseconds
        try settle(perform)
        try perform(
            .note(
                SessionNote(
                    kind: .gap, reason: "source paused", run: run, startNanoseconds: end,
                    durationNanoseconds: heardFrom - end, frames: 0, bytes: 0)))
        self.clock = nil
    }

    private mutating func beginRun(_ format: PCMFormat, heardFrom: Int64) {
        run += 1
        var start = heardFrom
        var lead: Int64 = 0
        if let nextRun {
            (start, lead) = nextRun
        } else if let clock {
            // Another format: the sound goes on where the last format's ended.
            start = clock.positionNanoseconds
            lead = clock.greatestLeadNanoseconds
        }
        if lead == 0 { firstRunOfChain = run }
        nextRun = nil
        runHasEnded = false
        clock = SampleClock(format: format, startNanoseconds: start, leadNanoseconds: lead)
    }

    // MARK: - Notes

    mutating func noteDuplicate(reason: String, bytes: Int) {
        let position = clock?.positionNanoseconds ?? heardFromNanoseconds
        var tally = duplicates[reason] ?? Tally(startNanoseconds: position, endNanoseconds: position)
        tally.wireFrames += 1
        tally.bytes += Int64(bytes)
        duplicates[reason] = tally
    }

    /// Counts audio that arrived and is not kept; `wireFrames` is 0 for the later bytes of a frame.
    mutating func noteLoss(reason: String, bytes: Int, wireFrames: Int64, arrivalNanoseconds: Int64) {
        var tally = losses[reason] ?? Tally(startNanoseconds: arrivalNanoseconds)
        tally.endNanoseconds = arrivalNanoseconds
        tally.wireFrames += wireFrames
        tally.bytes += Int64(bytes)
        losses[reason] = tally
    }

    private mutating func writeNotes<Failure: Error>(
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        let noteRun = max(run, 0)
        if filled.wireFrames > 0, let format {
            try perform(
                .note(
                    SessionNote(
                        kind: .filled, reason: "frames missing", run: noteRun,
                        startNanoseconds: filled.startNanoseconds,
                        durationNanoseconds: format.durationNanoseconds(frames: filled.sampleFrames),
                        frames: filled.wireFrames, bytes: filled.bytes)))
        }
        for (kind, tallies) in [(SessionNote.Kind.duplicate, duplicates), (.loss, losses)] where !tallies.isEmpty {
            for (reason, tally) in tallies.sorted(by: { $0.key < $1.key }) {
                try perform(
                    .note(
                        SessionNote(
                            kind: kind, reason: reason, run: noteRun, startNanoseconds: tally.startNanoseconds,
                            durationNanoseconds: tally.endNanoseconds - tally.startNanoseconds,
                            frames: tally.wireFrames, bytes: tally.bytes)))
            }
        }
        duplicates.removeAll(keepingCapacity: true)
        losses.removeAll(keepingCapacity: true)
    }
}
