/// One connection of one listener: turns wire frames into recordings, gaps and ledger notes.
///
/// A value type without input or output: feed it the events of a ``FrameDecoder`` and do the actions that it returns.
/// Times are nanoseconds of one steady clock. What it keeps in memory is bounded by ``headerLimitBytes``.
///
/// The rules, in the order in which they are applied to a frame:
/// 1. sequence 0xFFFFFF is metadata and is counted only;
/// 2. a payload that begins with a WAV header starts a new recording in that header's format;
/// 3. sequence 0 starts a new recording, in the last format seen on the connection, else in the default one;
/// 4. the first frame of a connection is taken whatever its number is;
/// 5. a frame whose number lies behind is a duplicate or old: dropped and counted, the stream goes on;
/// 6. up to `maximumGapFillFrames` missing frames are filled with silence of the last frame's length, more start a
///    new recording; those before a frame without sound count with the next frame that has some;
/// 7. a recording that has reached its longest duration at the end of a frame ends there; the next one continues it;
/// 8. once ``shortRecordingAllowance`` is spent, a recording begins only after the stream has gone on without a new
///    beginning for the minimum duration; what comes before is a loss.
public struct ListenerSession: Sendable {
    /// A WAV header is looked for in so many bytes of a frame.
    public static let headerLimitBytes = 8192
    /// A larger jump of the sequence than this much sound is not believed to be a gap of that length.
    public static let longestBelievedGapNanoseconds: Int64 = 3_600_000_000_000

    /// The reason of the loss of sound that rule 8 holds back.
    public static let heldBackReason = "too many short recordings"

    public struct Configuration: Sendable {
        /// The format of streams without a header.
        public var defaultFormat: PCMFormat
        /// 0...1000.
        public var maximumGapFillFrames: Int
        /// A recording ends at the first frame end beyond this.
        public var maximumRecordingNanoseconds: Int64
        /// A shorter recording is a short one; 0 for none.
        public var minimumRecordingNanoseconds: Int64

        public init(
            defaultFormat: PCMFormat, maximumGapFillFrames: Int = 9, maximumRecordingNanoseconds: Int64,
            minimumRecordingNanoseconds: Int64 = 0
        ) {
            self.defaultFormat = defaultFormat
            self.maximumGapFillFrames = maximumGapFillFrames
            self.maximumRecordingNanoseconds = maximumRecordingNanoseconds
            self.minimumRecordingNanoseconds = minimumRecordingNanoseconds
        }
    }

    public private(set) var counters = SessionCounters()
    /// The format of the audio now coming in; nil while an unusable header is in force.
    public private(set) var format: PCMFormat?

    /// Whether the times of the open recording are not final: a ``SessionAction/settle(_:)`` of its run follows.
    public var isUnsettled: Bool { recorder.isUnsettled }

    /// Number of short recordings that may still be made before new beginnings are held back (rule 8). Each one that ends
    /// takes one away, so it can go below 0. The caller sets it as often as it likes.
    public var shortRecordingAllowance: Int {
        get { recorder.shortRecordingAllowance }
        set { recorder.shortRecordingAllowance = newValue }
    }

    private let configuration: Configuration
    /// Duration of continuous sound since a beginning was held back; nil while none is.
    private var heldBackNanoseconds: Int64?
    private var tracker = SequenceTracker()
    private var recorder: RunRecorder
    private var frame = FrameState()
    private var head: [UInt8] = []
    private var unusableReason: String?

    /// What is known of the frame being received.
    private struct FrameState: Sendable {
        enum Mode: Sendable {
            /// Its payload is dropped.
            case dropping
            /// Its first bytes are collected until it is clear what they are.
            case inspecting
            /// Its payload is audio and goes through.
            case passing
        }
        var mode = Mode.dropping
        var sequence: UInt32 = 0
        var payloadBytes = 0
        var missingBefore = 0
        /// Bytes of a WAV header at its start.
        var headerBytes = 0
        var startsRecording = false
        var isReset = false
        /// Why its payload is dropped, if that is a loss.
        var lossReason: String?
        /// Whether that loss takes the time until now.
        var lossTakesTime = false
        /// Missing frames before frames without sound, whose length only the next sound tells.
        var missingBeforeEmpty = 0
        /// The length of the last frame that carried audio only.
        var lastAudioBytes = 0
        var pagesAreUniform = true
        /// Whether samples that were cut at the end of a frame went on in the next one, by the last sound that told.
        var cutSamplesGoOn: Bool?
    }

    public init(configuration: Configuration) {
        self.configuration = configuration
        self.format = configuration.defaultFormat
        self.recorder = RunRecorder(
            maximumRecordingNanoseconds: configuration.maximumRecordingNanoseconds,
            minimumRecordingNanoseconds: configuration.minimumRecordingNanoseconds)
    }

    /// Takes one decoder event.
    ///
    /// - Parameters:
    ///   - block: the block that was decoded; places in events and actions are places in it.
    ///   - arrivalNanoseconds: steady-clock time at which these bytes were read.
    ///   - perform: does one action; what it throws is passed on, and the session must then only be finished.
    public mutating func receive<Failure: Error>(
        _ event: FrameDecoder.Event, of block: Span<UInt8>, arrivalNanoseconds: Int64,
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        switch event {
        case .frameBegin(let sequence, let payloadBytes):
            try begin(sequence: sequence, payloadBytes: payloadBytes, arrivalNanoseconds, perform)
        case .payload(let range):
            counters.bytesReceived += Int64(range.count)
            switch frame.mode {
            case .dropping: try noteDropped(bytes: range.count, arrivalNanoseconds, perform)
            case .passing: try recorder.append(.inBlock(range), of: block, perform)
            case .inspecting: try inspect(range, of: block, arrivalNanoseconds, perform)
            }
        case .frameEnd:
            try end(arrivalNanoseconds, perform)
        }
    }

    /// Ends the session: closes the open recording and settles the times. The bytes of a frame that was cut off are kept.
    public mutating func finish<Failure: Error>(
        arrivalNanoseconds: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        if frame.mode == .inspecting {
            try decide(isWhole: true, arrivalNanoseconds, perform)
        }
        frame.mode = .dropping
        try recorder.finish(arrivalNanoseconds: arrivalNanoseconds, perform)
    }

    // MARK: - Frames

    private mutating func begin<Failure: Error>(
        sequence: UInt32, payloadBytes: Int, _ arrival: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        counters.framesReceived += 1
        frame.sequence = sequence
        frame.payloadBytes = payloadBytes
        frame.missingBefore = 0
        frame.headerBytes = 0
        frame.startsRecording = false
        frame.isReset = false
        frame.lossReason = nil
        head.removeAll(keepingCapacity: true)

        if sequence == SequenceTracker.metadata {
            counters.metadataFrames += 1
            frame.mode = .dropping
            return
        }
        if sequence == 0 {
            tracker.accept(0)
            frame.startsRecording = true
        } else {
            switch tracker.judge(sequence) {
            case .inOrder: break
            case .missing(let count):
                frame.missingBefore = count
                counters.framesMissing = PeerCount.sum(counters.framesMissing, Int64(count))
            case .reset:
                frame.isReset = true
                frame.missingBeforeEmpty = 0
            case .duplicate:
                counters.framesDuplicate += 1
                recorder.noteDuplicate(reason: "duplicate frame", bytes: payloadBytes)
                frame.mode = .dropping
                return
            case .old:
                counters.framesOld += 1
                recorder.noteDuplicate(reason: "old frame", bytes: payloadBytes)
                frame.mode = .dropping
                return
            }
        }
        frame.missingBefore = min(frame.missingBefore + frame.missingBeforeEmpty, SequenceTracker.maximumMissing)
        frame.missingBeforeEmpty = 0
        if payloadBytes == 0, !frame.startsRecording, !frame.isReset {
            // A frame without sound fills nothing: else a few bytes would be minutes of silence.
            frame.missingBeforeEmpty = frame.missingBefore
            frame.mode = .dropping
            return
        }
        frame.mode = .inspecting
        if payloadBytes == 0 {
            try decide(isWhole: true, arrival, perform)
        }
    }

    private mutating func end<Failure: Error>(
        _ arrival: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        if frame.mode == .inspecting {
            try decide(isWhole: true, arrival, perform)
        }
        guard frame.mode == .passing else { return }
        recorder.observe(arrivalNanoseconds: arrival)
        try recorder.confirmIfLive(perform)
        try recorder.rollOverIfDue(perform)
    }

    // MARK: - What a payload is

    private mutating func inspect<Failure: Error>(
        _ range: Range<Int>, of block: Span<UInt8>, _ arrival: Int64,
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        let first = block[range.lowerBound]
        if head.isEmpty, recorder.phaseBytes == 0, frame.missingBefore == 0,
            first != UInt8(ascii: "R"), first != UInt8(ascii: "B")
        {
            try startAudio(.inBlock(range), of: block, arrival, perform)
            return
        }
        // Collect no more than is needed to decide; the rest of the slice follows the decision.
        let wanted = range.prefix(Self.headerLimitBytes - head.count)
        head.append(block.extracting(wanted))
        let rest = wanted.upperBound..<range.upperBound
        try decide(isWhole: false, arrival, perform)
        guard !rest.isEmpty else { return }
        // The limit is reached, so the decision cannot wait any longer.
        if frame.mode == .inspecting { try decide(isWhole: true, arrival, perform) }
        switch frame.mode {
        case .passing: try recorder.append(.inBlock(rest), of: block, perform)
        case .dropping, .inspecting: try noteDropped(bytes: rest.count, arrival, perform)
        }
    }

    /// Decides what the collected bytes are, if they tell yet; `isWhole` says that no more will come.
    private mutating func decide<Failure: Error>(
        isWhole: Bool, _ arrival: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        let collected = head
        switch WAVHeader.parse(collected.span, limit: Self.headerLimitBytes) {
        case .found(let description):
            format = description.format
            unusableReason = nil
            frame.startsRecording = true
            frame.headerBytes = description.headerBytes
            try takeAudio(collected[description.headerBytes...], arrival, perform)
        case .unsupported(let reason):
            format = nil
            unusableReason = reason
            frame.startsRecording = true
            try takeAudio(collected[...], arrival, perform)
        case .needMoreBytes where !isWhole && collected.count < Self.headerLimitBytes:
            return
        case .needMoreBytes where collected.count >= 12:
            // It says RIFF and WAVE and ends before its sound: no sound, and no format to be trusted.
            try drop(
                reason: "unreadable WAV header", bytes: collected.count, takesTime: format == nil, arrival, perform)
        case .needMoreBytes, .notWAV:
            let aligning = recorder.phaseBytes != 0 || frame.missingBefore != 0
            if aligning, !isWhole, collected.count < min(SampleAligner.inspectedBytes, frame.payloadBytes) { return }
            try takeAudio(collected[...], arrival, perform)
        }
    }

    private mutating func takeAudio<Failure: Error>(
        _ audio: ArraySlice<UInt8>, _ arrival: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        head.removeAll(keepingCapacity: false)
        // Gathered bytes have their own owner, so no block is needed to read them.
        try startAudio(.gathered(audio), of: Span(), arrival, perform)
    }

    /// Begins the audio of a frame: opens, continues or fills as its number asks, then passes on `audio`.
    private mutating func startAudio<Failure: Error>(
        _ audio: SampleBytes, of block: Span<UInt8>, _ arrival: Int64,
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        let wasOpen = recorder.isOpen
        if !wasOpen, try holdsBack(audio, arrival, perform) { return }
        if frame.startsRecording, frame.missingBefore > 0 {
            // They belong to what came before; nothing of them is put into the new recording.
            try recorder.leaveGap(
                missingFrames: frame.missingBefore, frameBytes: frame.lastAudioBytes, perform)
            frame.missingBefore = 0
        }
        if frame.startsRecording || frame.isReset {
            try recorder.close(frame.isReset ? .sequenceReset : .restart, runGoesOn: true, perform)
            recorder.forgetPhase()
        }
        guard let format else {
            try recorder.close(.restart, runGoesOn: false, perform)
            try drop(
                reason: "unsupported format: \(unusableReason ?? "unknown")", bytes: audio.count, takesTime: true,
                arrival, perform)
            return
        }
        frame.mode = .passing
        let audioBytes = max(0, frame.payloadBytes - frame.headerBytes)
        let frameNanoseconds = format.durationNanoseconds(frames: Int64(audioBytes / format.bytesPerFrame))
        recorder.prepare(format: format, arrivalNanoseconds: arrival, frameNanoseconds: frameNanoseconds)
        if frame.missingBefore > 0 {
            try takeMissing(arrival, perform)
        } else {
            frame.pagesAreUniform = frame.lastAudioBytes == frame.payloadBytes || frame.lastAudioBytes == 0
        }
        // The recording that this frame has ended may have been the last short one.
        if wasOpen, !recorder.isOpen, try holdsBack(audio, arrival, perform) { return }
        if recorder.phaseBytes != 0 {
            let skip = format.bytesPerFrame - recorder.phaseBytes
            let judgement = audio.withSpan(of: block) { audio in
                SampleAligner.continues(audio, skip: skip, format: format)
            }
            if let judgement { frame.cutSamplesGoOn = judgement }
            // Where the sound does not tell: as the last time that it did, else as pages of one length do.
            if !(frame.cutSamplesGoOn ?? recorder.cutFrameWasUniform) {
                recorder.forgetPhase()
                counters.framesRealigned += 1
            }
        }
        recorder.cutFrameWasUniform = frame.pagesAreUniform
        if frame.headerBytes == 0, frame.payloadBytes > 0 { frame.lastAudioBytes = frame.payloadBytes }
        try recorder.append(audio, of: block, perform)
    }

    private mutating func takeMissing<Failure: Error>(
        _ arrival: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        let frameBytes = frame.lastAudioBytes > 0 ? frame.lastAudioBytes : frame.payloadBytes
        if frame.missingBefore <= configuration.maximumGapFillFrames {
            try recorder.fill(missingFrames: frame.missingBefore, frameBytes: frameBytes, perform)
        } else {
            try recorder.leaveGap(
                missingFrames: frame.missingBefore, frameBytes: frameBytes, perform)
        }
    }

    // MARK: - What is dropped

    /// Drops a frame that would begin a recording after too many short ones.
    private mutating func holdsBack<Failure: Error>(
        _ audio: SampleBytes, _ arrival: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) -> Bool {
        guard let format, shortRecordingAllowance <= 0, !recorder.continuesRecording else {
            heldBackNanoseconds = nil
            return false
        }
        let isBeginning =
            frame.startsRecording || frame.isReset || frame.missingBefore > configuration.maximumGapFillFrames
        let before = isBeginning ? 0 : heldBackNanoseconds ?? 0
        if before >= configuration.minimumRecordingNanoseconds {
            heldBackNanoseconds = nil
            return false
        }
        let audioBytes = max(0, frame.payloadBytes - frame.headerBytes)
        heldBackNanoseconds = before + format.durationNanoseconds(frames: Int64(audioBytes / format.bytesPerFrame))
        frame.missingBefore = 0
        recorder.forgetPhase()
        if audioBytes > 0 { frame.lastAudioBytes = audioBytes }
        try drop(
            reason: Self.heldBackReason, bytes: audio.count, takesTime: true, arrival, perform)
        return true
    }

    private mutating func drop<Failure: Error>(
        reason: String, bytes: Int, takesTime: Bool, _ arrival: Int64,
        _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        frame.mode = .dropping
        frame.lossReason = reason
        frame.lossTakesTime = takesTime
        try recorder.noteLoss(
            reason: reason, bytes: bytes, wireFrames: 1, takesTime: takesTime, arrivalNanoseconds: arrival, perform)
    }

    private mutating func noteDropped<Failure: Error>(
        bytes: Int, _ arrival: Int64, _ perform: (SessionAction) throws(Failure) -> Void
    ) throws(Failure) {
        guard let reason = frame.lossReason else { return }
        try recorder.noteLoss(
            reason: reason, bytes: bytes, wireFrames: 0, takesTime: frame.lossTakesTime, arrivalNanoseconds: arrival,
            perform)
    }
}
