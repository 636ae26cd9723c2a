#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// How loud sound is, over any stretch of it: root mean square and peak, against full scale.
public struct LevelMeter: Sendable {
    private var squares = 0.0
    private var samples: Int64 = 0
    private var peak = 0.0
    /// Samples at full scale.
    public private(set) var clipped: Int64 = 0

    public init() {}

    /// Takes whole samples.
    public mutating func take(_ bytes: Span<UInt8>, encoding: PCMFormat.Encoding) {
        switch encoding {
        case .signed16:
            // The usual one, without conversion of each sample: 2^30 times 2^33 samples fit.
            var sum: Int64 = 0
            var highest: Int32 = 0
            for offset in stride(from: 0, to: bytes.count - 1, by: 2) {
                let sample = Int32(Int16(bitPattern: bytes.littleEndian16(at: offset)))
                sum &+= Int64(sample &* sample)
                highest = max(highest, abs(sample))
                if sample >= 32_767 || sample <= -32_768 { clipped += 1 }
            }
            squares += Double(sum) / (32_768.0 * 32_768.0)
            peak = max(peak, Double(highest) / 32_768)
            samples += Int64(bytes.count / 2)
        case .signed24, .signed32, .unsigned8, .float32:
            let size = encoding.bytesPerSample
            for offset in stride(from: 0, through: bytes.count - size, by: size) {
                note(Self.sample(bytes, offset, encoding))
            }
        }
    }

    private mutating func note(_ value: Double) {
        squares += value * value
        samples += 1
        peak = max(peak, abs(value))
        if abs(value) >= 1 - 1e-6 { clipped += 1 }
    }

    private static func sample(_ bytes: Span<UInt8>, _ offset: Int, _ encoding: PCMFormat.Encoding) -> Double {
        switch encoding {
        case .unsigned8: return (Double(bytes[offset]) - 128) / 128
        case .signed16: return Double(Int16(bitPattern: bytes.littleEndian16(at: offset))) / 32_768
        case .signed24:
            let high = Int32(Int8(bitPattern: bytes[offset + 2])) << 16
            return Double(high | Int32(bytes[offset + 1]) << 8 | Int32(bytes[offset])) / 8_388_608
        case .signed32:
            return Double(Int32(bitPattern: bytes.littleEndian32(at: offset))) / 2_147_483_648
        case .float32:
            let value = Float(bitPattern: bytes.littleEndian32(at: offset))
            return value.isFinite ? Double(value) : 0
        }
    }

    /// What was taken since the last time; nil when nothing was. dBFS, at least -200.
    public mutating func takeLevels() -> (rmsDBFS: Double, peakDBFS: Double)? {
        guard samples > 0 else { return nil }
        defer {
            squares = 0
            samples = 0
            peak = 0
        }
        return (max(-200, 10 * log10(squares / Double(samples))), max(-200, 20 * log10(peak)))
    }
}
