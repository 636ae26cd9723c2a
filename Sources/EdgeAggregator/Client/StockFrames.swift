import AudioDSP

/// The frames of a stock listener, one after the other, for ever: what to send, and how long to wait after it.
///
/// The stock script sends a WAV file's whole header as frame 0, then its sound in pages of 32 KiB, waits the length of a
/// page after each, waits the interval at the end, and begins again with frame 0. The firmware sends no header: its
/// pages count on from 0.
struct StockFrames: Sendable {
    static let pageBytes = 32_768
    /// Lengths have 24 bits.
    static let maximumFrameBytes = 0xFF_FFFF

    struct Step: Sendable {
        let frame: [UInt8]
        /// How long the sound of the frame lasts.
        let pause: Duration
        /// Whether the file has ended with it.
        let endsFile: Bool
    }

    private let header: [UInt8]?
    private let sound: [UInt8]
    private let bytesPerSecond: Int
    private var offset = 0
    private var sequence: UInt32 = 0
    private var isAtHeader = true

    /// - Parameters:
    ///   - header: everything before the sound; nil for the firmware's form.
    ///   - sound: not empty.
    init(header: [UInt8]?, sound: [UInt8], bytesPerSecond: Int) {
        self.header = header
        self.sound = sound
        self.bytesPerSecond = bytesPerSecond
    }

    mutating func next() -> Step {
        if isAtHeader, let header {
            isAtHeader = false
            sequence = 1
            return Step(frame: Self.frame(0, header[...]), pause: .zero, endsFile: false)
        }
        let end = min(offset + Self.pageBytes, sound.count)
        let page = sound[offset..<end]
        let frame = Self.frame(sequence, page)
        sequence = (sequence + 1) & 0xFF_FFFF
        // The script waits for a whole page's length after its last, shorter page too.
        let pauseBytes = header == nil ? page.count : Self.pageBytes
        offset = end
        let endsFile = offset >= sound.count
        if endsFile {
            offset = 0
            isAtHeader = true
        }
        return Step(
            frame: frame, pause: .nanoseconds(Int64(pauseBytes) * 1_000_000_000 / Int64(bytesPerSecond)),
            endsFile: endsFile)
    }

    static func frame(_ sequence: UInt32, _ payload: ArraySlice<UInt8>) -> [UInt8] {
        let length = UInt32(payload.count)
        var frame: [UInt8] = []
        frame.reserveCapacity(6 + payload.count)
        for shift in [0, 8, 16] as [UInt32] { frame.append(UInt8(truncatingIfNeeded: sequence >> shift)) }
        for shift in [0, 8, 16] as [UInt32] { frame.append(UInt8(truncatingIfNeeded: length >> shift)) }
        frame.append(contentsOf: payload)
        return frame
    }
}
