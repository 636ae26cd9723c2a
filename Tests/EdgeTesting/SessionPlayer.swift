public import AudioDSP

/// Plays wire bytes into a ``ListenerSession`` and keeps what it wants done.
public struct SessionPlayer {
    public struct Recording: Equatable {
        public var start: RecordingStart
        public var audio: [UInt8] = []
        public var end: RecordingEnd?
    }

    public private(set) var recordings: [Recording] = []
    public private(set) var notes: [SessionNote] = []
    public private(set) var settled: [RunSettlement] = []
    /// Broken rules: audio without a recording, a part of a sample, a second opening…
    public private(set) var violations: [String] = []
    public private(set) var session: ListenerSession
    private var decoder = FrameDecoder()

    public init(_ configuration: ListenerSession.Configuration) {
        session = ListenerSession(configuration: configuration)
    }

    /// 48 kHz, 16 bits, mono; 9 frames; 20 s.
    public static func standard(maximumGapFillFrames: Int = 9) throws -> SessionPlayer {
        SessionPlayer(
            ListenerSession.Configuration(
                defaultFormat: try PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000),
                maximumGapFillFrames: maximumGapFillFrames, maximumRecordingNanoseconds: 20_000_000_000))
    }

    /// Sets how many short recordings may still be made.
    public mutating func allowShortRecordings(_ count: Int) { session.shortRecordingAllowance = count }

    public mutating func play(_ wire: [UInt8], at seconds: Double) {
        var actions: [SessionAction] = []
        var kept: [[UInt8]] = []
        let arrival = Int64(seconds * 1e9)
        let block = wire.span
        decoder.decode(block, in: block.indices) { event in
            session.receive(event, of: block, arrivalNanoseconds: arrival) { action in
                if case .audio(let bytes) = action { kept.append(Self.copy(bytes, of: block)) }
                actions.append(action)
            }
        }
        take(actions, kept)
    }

    public mutating func finish(at seconds: Double) {
        var actions: [SessionAction] = []
        var kept: [[UInt8]] = []
        session.finish(arrivalNanoseconds: Int64(seconds * 1e9)) { action in
            if case .audio(let bytes) = action { kept.append(Self.copy(bytes, of: Span())) }
            actions.append(action)
        }
        take(actions, kept)
        if recordings.last.map({ $0.end == nil }) == true { violations.append("a recording is still open") }
    }

    private static func copy(_ bytes: SampleBytes, of block: Span<UInt8>) -> [UInt8] {
        bytes.withSpan(of: block) { span in span.indices.map { span[$0] } }
    }

    private mutating func take(_ actions: [SessionAction], _ audio: [[UInt8]]) {
        var audio = audio[...]
        for action in actions {
            let isOpen = recordings.last.map { $0.end == nil } ?? false
            switch action {
            case .open(let start):
                if isOpen { violations.append("opened twice") }
                recordings.append(Recording(start: start))
            case .audio:
                let bytes = audio.removeFirst()
                append(bytes, isOpen)
            case .silence(let count):
                let silence = recordings.last?.start.format.silenceByte ?? 0
                append([UInt8](repeating: silence, count: count), isOpen)
            case .close(let end):
                if !isOpen { violations.append("closed what was not open") }
                if let last = recordings.indices.last {
                    let frames = recordings[last].audio.count / recordings[last].start.format.bytesPerFrame
                    if Int64(frames) != end.frames { violations.append("\(end.frames) frames said, \(frames) given") }
                    recordings[last].end = end
                }
            case .note(let note):
                if note.durationNanoseconds < 0 { violations.append("a note of negative length: \(note)") }
                notes.append(note)
            case .settle(let settlement): settle(settlement)
            }
        }
    }

    private mutating func settle(_ settlement: RunSettlement) {
        if settlement.byNanoseconds > 0 { violations.append("moved to the future: \(settlement)") }
        settled.append(settlement)
    }

    private mutating func append(_ bytes: [UInt8], _ isOpen: Bool) {
        guard isOpen, let last = recordings.indices.last else {
            violations.append("audio without a recording")
            return
        }
        if bytes.count % recordings[last].start.format.bytesPerFrame != 0 { violations.append("a part of a sample") }
        recordings[last].audio += bytes
    }
}
