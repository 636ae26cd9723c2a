import AudioDSP
import Store

/// Reads the windows of one recording from disk, one at a time.
///
/// The windows lie on the same grid as those of the live run, and the last ones run on into the recordings that
/// follow, so that catching up finds what being live would have found. A reader that is paused has no file open and no window,
/// and goes on at its place. Used by one worker at a time.
final class BacklogReader: @unchecked Sendable {
    let row: RecordingRecord
    let progress: RecordingProgress
    /// Whether the last window is padded when the recording that follows cannot be read, instead of trying again.
    private let isLastAttempt: Bool
    /// Windows that were left to the file; nil for all.
    let spilled: SpilledWindows?
    private let onlyWindows: Set<Int64>?
    private let configuration: AnalysisService.Configuration
    private let store: Store
    private let pool: WindowBufferPool
    private var chain: Chain?
    private var ready: [AnalysisWindow] = []
    /// Whether a window found no memory.
    private var isShortOfMemory = false
    private var isAtEnd = false
    private var endFrame48k: Int64 = 0
    /// Where it was paused: the window that comes next.
    private var pausedFrame48k: Int64?
    private var opened: ContinuousClock.Instant = .now
    private var openingDuration: Duration = .zero
    /// How many windows were handed out since the file was opened.
    private(set) var windowsOfTurn = 0

    var pending: PendingRecording { PendingRecording(name: row.name, listener: row.listenerID) }

    /// The recording being read and what has been made of it so far.
    private struct Chain {
        var reader: SoundFileReader
        var current: RecordingRecord
        /// Sample frames of it that are still to be read. A file that was cut off may have the beginning of a block after them.
        var left: Int64
        /// Sample frames of one read: little enough that it completes one window, or two.
        var framesPerRead: Int
        var resampler: Resampler
        var assembler: WindowAssembler
    }

    private static let maximumFramesPerRead = 4096
    /// A turn is so many times longer than opening the file took, which for a large MP3 file is long.
    private static let turnPerOpening = 8

    /// - Parameter pool: has ``WindowBudget/windowsPerReader`` buffers for this reader.
    init(
        row: RecordingRecord, spilled: SpilledWindows?, configuration: AnalysisService.Configuration, store: Store,
        pool: WindowBufferPool, isLastAttempt: Bool
    ) {
        self.row = row
        self.spilled = spilled
        self.isLastAttempt = isLastAttempt
        onlyWindows = spilled.map { Set($0.startFrames48k) }
        self.configuration = configuration
        self.store = store
        self.pool = pool
        progress = RecordingProgress(
            recording: AnalysedRecording(
                name: row.name, listener: row.listenerID, sessionID: row.sessionID, run: row.run,
                startNanoseconds: row.startNanoseconds,
                timeQuality: TimeQuality(rawValue: row.timeQuality) ?? .inferred, isOnDisk: true),
            startFrame48k: AnalysisFeed.frame48k(row.runOffsetFrames, sampleRate: row.sampleRate),
            analysed: spilled?.analysed ?? 0)
    }

    /// The next window, nil after the last. Give it back when it has been analysed.
    func nextWindow() throws -> AnalysisWindow? {
        if chain == nil, !isAtEnd { try begin() }
        while true {
            if !ready.isEmpty {
                windowsOfTurn += 1
                return ready.removeFirst()
            }
            guard !isAtEnd else { return nil }
            try readOn()
        }
    }

    /// Closes the file and gives all buffers back. Call it when no more is read.
    func close() {
        release()
        isAtEnd = true
    }

    private func release() {
        chain?.assembler.release()
        chain = nil
        for window in ready { pool.give(window.buffer) }
        ready = []
    }

    /// Whether it is worth while to close the file for a time. Not where it reads on in the recording that follows: there is one
    /// window left at most.
    var mayPause: Bool {
        guard let chain, !isAtEnd, chain.current.name == row.name else { return false }
        return ContinuousClock.now - opened >= openingDuration * Self.turnPerOpening
    }

    /// Closes the file and gives all buffers back. ``nextWindow()`` goes on after the last window.
    func pause() {
        pausedFrame48k = ready.first?.startFrame48k ?? chain?.assembler.nextWindowFrame48k ?? pausedFrame48k
        release()
        windowsOfTurn = 0
    }

    func give(_ window: AnalysisWindow) {
        pool.give(window.buffer)
    }

    private func begin() throws {
        guard row.frames > 0 else {
            isAtEnd = true
            return
        }
        opened = .now
        let reader = try open(row)
        let rate = reader.sampleRate
        let step = BirdNET.windowSamples - Int((configuration.overlapSeconds * 48_000).rounded())
        let start = progress.startFrame48k
        // The first window of the run's grid that starts in this recording.
        let first = pausedFrame48k ?? (start + Int64(step) - 1) / Int64(step) * Int64(step)
        endFrame48k = AnalysisFeed.frame48k(row.runOffsetFrames + row.frames, sampleRate: row.sampleRate)
        // Whole seconds are whole samples at both rates. One more lets the resampler's filter settle.
        let seconds = pausedFrame48k == nil ? 0 : max(0, (first - start) / Int64(BirdNET.sampleRate) - 1)
        try reader.goForward(to: seconds * Int64(rate))
        chain = Chain(
            reader: reader, current: row, left: row.frames - seconds * Int64(rate),
            framesPerRead: min(Self.maximumFramesPerRead, max(1, step * rate / BirdNET.sampleRate)),
            resampler: try Resampler(from: rate, quality: .high),
            assembler: WindowAssembler(
                overlapSeconds: configuration.overlapSeconds, pool: pool, firstWindowFrame48k: first,
                streamFrame48k: start + seconds * Int64(BirdNET.sampleRate)))
        openingDuration = .now - opened
    }

    private func open(_ row: RecordingRecord) throws -> SoundFileReader {
        try SoundFileReader(path: "\(configuration.recordingsFolder)/\(row.relativePath)")
    }

    /// Nil for a file that is gone or damaged: the last window is padded then.
    private func follow(_ next: RecordingRecord) throws -> SoundFileReader? {
        do {
            return try open(next)
        } catch  where error.isOfTheMoment && !isLastAttempt {
            throw error
        } catch {
            return nil
        }
    }

    private func readOn() throws {
        guard var chain else {
            isAtEnd = true
            return
        }
        // Taken out while it is worked on, so that the assembler is not copied.
        self.chain = nil
        do {
            try readOn(&chain)
        } catch {
            chain.assembler.release()
            throw error
        }
        if isAtEnd { chain.assembler.release() } else { self.chain = chain }
    }

    private func readOn(_ chain: inout Chain) throws {
        var failure: ResamplerError?
        let most = Int(min(Int64(chain.framesPerRead), chain.left))
        var count = 0
        if most > 0 {
            count = try chain.reader.readMono(channel: configuration.channel, maxFrames: most) { mono in
                do throws(ResamplerError) {
                    try chain.resampler.process(mono) { samples in
                        chain.assembler.append(samples, emit: { take($0) }, skipped: { skip($0) })
                    }
                } catch {
                    failure = error
                }
            }
            chain.left -= Int64(count)
        }
        if let failure { throw failure }
        if isShortOfMemory { throw OutOfMemory(recording: row.name) }
        if chain.assembler.nextWindowFrame48k >= endFrame48k {
            isAtEnd = true
        } else if count == 0 {
            try goOn(&chain)
        }
    }

    /// At the end of a file: goes on with the recording that follows in the same run, or pads the last window.
    private func goOn(_ chain: inout Chain) throws {
        let current = chain.current
        if let session = current.sessionID,
            let next = try store.recordingBlocking(
                inSession: session, run: current.run, atOffsetFrames: current.runOffsetFrames + current.frames),
            next.state == "closed", next.sampleRate == current.sampleRate, let reader = try follow(next)
        {
            chain.reader = reader
            chain.current = next
            chain.left = next.frames
            return
        }
        isAtEnd = true
        try chain.resampler.flush { samples in
            chain.assembler.append(samples, emit: { take($0) }, skipped: { skip($0) })
        }
        chain.assembler.finish(
            minimumSeconds: BirdNET.shortestTailSeconds, emit: { take($0) }, skipped: { skip($0) })
        if isShortOfMemory { throw OutOfMemory(recording: row.name) }
    }

    private func isWanted(_ startFrame48k: Int64) -> Bool {
        startFrame48k < endFrame48k && (onlyWindows?.contains(startFrame48k) ?? true)
    }

    private func skip(_ startFrame48k: Int64) {
        if isWanted(startFrame48k) { isShortOfMemory = true }
    }

    private func take(_ window: AnalysisWindow) {
        if isWanted(window.startFrame48k) { ready.append(window) } else { pool.give(window.buffer) }
    }
}

/// There was no memory for a window of a recording; it is analyzed again later.
struct OutOfMemory: Error, CustomStringConvertible {
    let recording: String

    var description: String { "no memory for a window of \(recording)" }
}
