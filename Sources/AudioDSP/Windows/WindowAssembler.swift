/// Cuts a run of 48 kHz sound into windows on a fixed grid: window k begins at k times the step.
///
/// The grid belongs to the run, not to the recordings, so that windows run on across them; a reader that starts in the
/// middle of a run names the place and finds the same windows.
public struct WindowAssembler {
    /// Samples from one window's start to the next's.
    public let stepSamples: Int
    /// The first sample of the window that is being filled, or waited for.
    public private(set) var nextWindowFrame48k: Int64

    private let pool: WindowBufferPool
    /// The place of the next sample to come.
    private var streamFrame48k: Int64
    private var buffer: WindowBuffer?
    private var filled = 0
    private var isSkipping = false

    /// - Parameters:
    ///   - overlapSeconds: 0...2.9.
    ///   - firstWindowFrame48k: where the first window begins, on the grid.
    ///   - streamFrame48k: the place of the first sample that will be appended.
    public init(
        overlapSeconds: Double, pool: WindowBufferPool, firstWindowFrame48k: Int64 = 0, streamFrame48k: Int64 = 0
    ) {
        let overlap = Int((min(max(overlapSeconds, 0), 2.9) * Double(BirdNET.sampleRate)).rounded())
        stepSamples = BirdNET.windowSamples - overlap
        self.pool = pool
        nextWindowFrame48k = firstWindowFrame48k
        self.streamFrame48k = streamFrame48k
    }

    /// Gives a buffer that is being filled back to the pool. Call it when the assembler is given up.
    public mutating func release() {
        if let buffer { pool.give(buffer) }
        buffer = nil
    }

    /// Takes samples.
    ///
    /// - Parameters:
    ///   - emit: takes over each whole window.
    ///   - skipped: hears of each window for which the pool had no room.
    public mutating func append(
        _ samples: Span<Float>, emit: (AnalysisWindow) -> Void, skipped: (Int64) -> Void
    ) {
        var offset = 0
        while offset < samples.count {
            let ahead = nextWindowFrame48k - streamFrame48k
            if filled == 0, ahead > 0 {
                let count = min(Int(min(ahead, Int64(Int.max))), samples.count - offset)
                offset += count
                streamFrame48k += Int64(count)
                continue
            }
            if filled == 0 { begin() }
            let count = min(BirdNET.windowSamples - filled, samples.count - offset)
            buffer?.put(samples.extracting(offset..<(offset + count)), at: filled)
            filled += count
            offset += count
            streamFrame48k += Int64(count)
            if filled == BirdNET.windowSamples { end(emit: emit, skipped: skipped) }
        }
    }

    /// Ends the run: pads the window being filled if it has enough sound that no window before it had, else drops it.
    ///
    /// - Parameter skipped: hears of the window if the pool had no room for it.
    public mutating func finish(
        minimumSeconds: Double, emit: (AnalysisWindow) -> Void, skipped: (Int64) -> Void
    ) {
        defer {
            release()
            filled = 0
        }
        guard Double(filled) >= minimumSeconds * Double(BirdNET.sampleRate),
            filled > BirdNET.windowSamples - stepSamples
        else { return }
        guard let whole = buffer else {
            skipped(nextWindowFrame48k)
            return
        }
        whole.putSilence(from: filled)
        buffer = nil
        emit(AnalysisWindow(buffer: whole, startFrame48k: nextWindowFrame48k, validSamples: filled))
        nextWindowFrame48k += Int64(stepSamples)
    }

    private mutating func begin() {
        if buffer == nil { buffer = pool.take() }
        isSkipping = buffer == nil
    }

    private mutating func end(emit: (AnalysisWindow) -> Void, skipped: (Int64) -> Void) {
        let start = nextWindowFrame48k
        nextWindowFrame48k += Int64(stepSamples)
        let overlap = BirdNET.windowSamples - stepSamples
        filled = 0
        guard let whole = buffer else {
            skipped(start)
            // Without the samples of a skipped window the overlapping ones cannot be made either.
            var lost = nextWindowFrame48k
            while lost < streamFrame48k {
                skipped(lost)
                lost += Int64(stepSamples)
            }
            nextWindowFrame48k = lost
            return
        }
        buffer = nil
        if overlap > 0 {
            if let next = pool.take() {
                whole.withSamples { next.put($0.extracting(last: overlap), at: 0) }
                buffer = next
                filled = overlap
            } else {
                var lost = nextWindowFrame48k
                while lost < streamFrame48k {
                    skipped(lost)
                    lost += Int64(stepSamples)
                }
                nextWindowFrame48k = lost
            }
        }
        emit(AnalysisWindow(buffer: whole, startFrame48k: start, validSamples: BirdNET.windowSamples))
    }
}
