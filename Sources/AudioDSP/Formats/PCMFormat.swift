/// How uncompressed sound is laid out: interleaved, little-endian.
public struct PCMFormat: Hashable, Sendable {
    public enum Encoding: String, Sendable, CaseIterable {
        case unsigned8, signed16, signed24, signed32, float32

        public var bytesPerSample: Int {
            switch self {
            case .unsigned8: 1
            case .signed16: 2
            case .signed24: 3
            case .signed32, .float32: 4
            }
        }
    }

    public static let channelRange = 1...8
    public static let sampleRateRange = 8_000...384_000

    public let encoding: Encoding
    /// 1...8.
    public let channels: Int
    /// Hertz, 8,000...384,000.
    public let sampleRate: Int

    /// - Throws: ``PCMFormatError`` when a value is out of its range.
    public init(encoding: Encoding, channels: Int, sampleRate: Int) throws(PCMFormatError) {
        guard Self.channelRange.contains(channels) else { throw PCMFormatError(.channels, value: channels) }
        guard Self.sampleRateRange.contains(sampleRate) else { throw PCMFormatError(.sampleRate, value: sampleRate) }
        self.encoding = encoding
        self.channels = channels
        self.sampleRate = sampleRate
    }

    public var bytesPerSample: Int { encoding.bytesPerSample }
    /// Bytes of one sample of every channel.
    public var bytesPerFrame: Int { encoding.bytesPerSample * channels }
    public var bytesPerSecond: Int { bytesPerFrame * sampleRate }
    /// The byte of which silence is made.
    public var silenceByte: UInt8 { encoding == .unsigned8 ? 0x80 : 0 }

    /// The length of `frames` sample frames, rounded down; exact for centuries.
    public func durationNanoseconds(frames: Int64) -> Int64 {
        Self.nanoseconds(frames: frames, sampleRate: sampleRate)
    }

    /// The same for sound of which only the rate is known.
    public static func nanoseconds(frames: Int64, sampleRate: Int) -> Int64 {
        let (seconds, rest) = frames.quotientAndRemainder(dividingBy: Int64(sampleRate))
        return seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue
            &+ rest * 1_000_000_000 / Int64(sampleRate)
    }

    /// How many sample frames fit into a length, rounded down.
    public func frames(nanoseconds: Int64) -> Int64 {
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return seconds &* Int64(sampleRate) &+ rest * Int64(sampleRate) / 1_000_000_000
    }
}

/// A value of a sound format is out of its range.
public struct PCMFormatError: Error, Hashable, CustomStringConvertible {
    public enum Code: String, Sendable {
        case channels, sampleRate
    }

    public let code: Code
    public let value: Int

    init(_ code: Code, value: Int) {
        self.code = code
        self.value = value
    }

    public var description: String {
        switch code {
        case .channels: "\(value) channels: 1 to 8 are supported"
        case .sampleRate: "a sample rate of \(value) Hz: 8000 to 384000 are supported"
        }
    }
}
