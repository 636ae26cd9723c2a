#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Tells windows that say nothing from those that may.
///
/// The model scales each window to its own loudest sample, so silence, clipping and plain noise score like song: white
/// noise alone reaches 0.5 for a woodpecker. Three measures catch them:
/// - level: the root of the mean square, in dB of full scale;
/// - clipping: the share of samples at full scale;
/// - spectral flatness between 300 Hz and 15 kHz (geometric over arithmetic mean of the power of 16 averaged spectra of
///   1,024 samples): near 1 for white noise, whatever its level, and far below for anything heard outdoors.
public struct SignalGate: Sendable {
    public enum Verdict: String, Sendable, CaseIterable {
        case pass, silent, clipped, noise
    }

    public struct Measures: Sendable, Equatable {
        /// dB of full scale; -200 for digital silence.
        public var levelDBFS: Float
        /// 0...1
        public var clippedFraction: Float
        /// 0...1
        public var flatness: Float
    }

    public var leastLevelDBFS: Float
    public var mostClippedFraction: Float
    public var mostFlatness: Float

    public init(leastLevelDBFS: Float = -90, mostClippedFraction: Float = 0.1, mostFlatness: Float = 0.9) {
        self.leastLevelDBFS = leastLevelDBFS
        self.mostClippedFraction = mostClippedFraction
        self.mostFlatness = mostFlatness
    }

    static let fftSize = 1024
    static let spectra = 16

    /// - Parameter meter: scratch room, one a thread.
    public func measure(_ samples: Span<Float>, meter: Meter) -> Measures {
        var sum: Float = 0
        var clipped = 0
        // Eight sums side by side, since one waits for itself.
        var sums = SIMD8<Float>(repeating: 0)
        var counts = SIMD8<Int32>(repeating: 0)
        let whole = samples.count / 8 * 8
        var index = 0
        // Memory: the caller's span owns the bytes until the return; each load is checked to lie within it, and any bits are a
        // value.
        let bytes = unsafe samples.bytes
        while index < whole {
            let values = unsafe bytes.unsafeLoadUnaligned(
                fromByteOffset: index * MemoryLayout<Float>.stride, as: SIMD8<Float>.self)
            sums += values * values
            counts &-= SIMD8<Int32>(repeating: 0).replacing(
                with: -1, where: values .>= 0.9999 .| values .<= -0.9999)
            index += 8
        }
        sum = sums.sum()
        clipped = Int(counts.wrappedSum())
        for index in whole..<samples.count {
            let sample = samples[index]
            sum += sample * sample
            clipped &+= abs(sample) >= 0.9999 ? 1 : 0
        }
        let count = max(Float(samples.count), 1)
        let level = sum > 0 ? 10 * log10f(sum / count) : -200
        return Measures(
            levelDBFS: level, clippedFraction: Float(clipped) / count,
            flatness: level > leastLevelDBFS ? meter.flatness(samples) : 0)
    }

    public func verdict(_ measures: Measures) -> Verdict {
        if measures.levelDBFS <= leastLevelDBFS { return .silent }
        if measures.clippedFraction > mostClippedFraction { return .clipped }
        if measures.flatness > mostFlatness { return .noise }
        return .pass
    }

    /// The tables and scratch room of one thread.
    public final class Meter {
        private let fft = RealFFT(size: SignalGate.fftSize)
        private let hann: [Float]

        public init() {
            let size = SignalGate.fftSize
            hann = (0..<size).map { Float(0.5 - 0.5 * cos(2 * Double.pi * Double($0) / Double(size))) }
        }

        func flatness(_ samples: Span<Float>) -> Float {
            let size = SignalGate.fftSize
            guard samples.count >= size else { return 0 }
            var power = [Float](repeating: 0, count: size / 2 + 1)
            let hann = hann
            let stride = max(1, (samples.count - size) / max(1, SignalGate.spectra - 1))
            var start = 0
            var sums = power.mutableSpan
            while start + size <= samples.count {
                fft.addPower(of: samples.extracting(start..<(start + size)), window: hann.span, to: &sums)
                start += stride
            }
            // 300 Hz to 15 kHz: below lie wind and the microphone's own roll-off, above the listener's filter.
            let binHertz = Float(BirdNET.sampleRate) / Float(size)
            let bins = Int(300 / binHertz)...Int(15_000 / binHertz)
            var logarithms: Float = 0
            var total: Float = 0
            for bin in bins {
                let value = max(power[bin], 1e-20)
                logarithms += logf(value)
                total += value
            }
            let count = Float(bins.count)
            return expf(logarithms / count) / (total / count)
        }
    }
}
