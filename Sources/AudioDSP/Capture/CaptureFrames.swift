/// Puts what a sound card hears into the frames that network listeners send, so that it takes the same way: a number, a
/// length, and sound; the first has a WAV header. Lost sound leaves numbers out.
public struct CaptureFrames: Sendable {
    private let format: PCMFormat
    private let periodFrames: Int
    private var sequence: UInt32 = 0
    private var isFirst = true

    public init(format: PCMFormat, periodFrames: Int) {
        self.format = format
        self.periodFrames = periodFrames
    }

    /// The head of the next frame, to be followed by so many bytes of sound.
    public mutating func head(soundBytes: Int) -> [UInt8] {
        let header = sequence == 0 || isFirst ? WAVHeader.encode(format: format, dataBytes: Int64(UInt32.max)) : []
        let length = UInt32(header.count + soundBytes)
        var head: [UInt8] = []
        for shift in [0, 8, 16] as [UInt32] { head.append(UInt8(truncatingIfNeeded: sequence >> shift)) }
        for shift in [0, 8, 16] as [UInt32] { head.append(UInt8(truncatingIfNeeded: length >> shift)) }
        isFirst = false
        advance(by: 1)
        return head + header
    }

    /// Leaves out as many frames as were lost, at least one: a loss must be seen.
    ///
    /// - Returns: how many.
    @discardableResult public mutating func skip(lostNanoseconds: Int64) -> Int {
        let period = format.durationNanoseconds(frames: Int64(periodFrames))
        let count = max(1, Int((lostNanoseconds + period / 2) / max(1, period)))
        advance(by: count)
        return count
    }

    private mutating func advance(by count: Int) {
        // At 0, after nine days, a new recording begins.
        for _ in 0..<min(count, Int(SequenceTracker.modulus) / 2) {
            sequence = SequenceTracker.next(sequence)
        }
    }
}
