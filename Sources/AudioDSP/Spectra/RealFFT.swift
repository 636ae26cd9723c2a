#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The power spectrum of real samples: radix 2, tables made once, no allocation in use.
///
/// Memory: the five tables are allocated in `init` and freed in `deinit`; they do not leave the class. All indices are below `size`.
@safe public final class RealFFT {
    /// A power of two, at least 4.
    public let size: Int
    // Plain memory: the butterflies are most of the work, and arrays would check each index.
    private let cosines: UnsafeMutablePointer<Float>
    private let sines: UnsafeMutablePointer<Float>
    private let reversed: UnsafeMutablePointer<Int>
    private let real: UnsafeMutablePointer<Float>
    private let imaginary: UnsafeMutablePointer<Float>

    /// - Parameter size: rounded up to a power of two.
    public init(size: Int) {
        var rounded = 4
        while rounded < size { rounded *= 2 }
        self.size = rounded
        let bits = rounded.trailingZeroBitCount
        unsafe cosines = .allocate(capacity: rounded / 2)
        unsafe sines = .allocate(capacity: rounded / 2)
        unsafe reversed = .allocate(capacity: rounded)
        unsafe real = .allocate(capacity: rounded)
        unsafe imaginary = .allocate(capacity: rounded)
        for index in 0..<rounded / 2 {
            let angle = 2 * Double.pi * Double(index) / Double(rounded)
            unsafe (cosines + index).initialize(to: Float(cos(angle)))
            unsafe (sines + index).initialize(to: Float(sin(angle)))
        }
        for index in 0..<rounded {
            var value = 0
            for bit in 0..<bits where index & (1 << bit) != 0 { value |= 1 << (bits - 1 - bit) }
            unsafe (reversed + index).initialize(to: value)
        }
        unsafe real.initialize(repeating: 0, count: rounded)
        unsafe imaginary.initialize(repeating: 0, count: rounded)
    }

    deinit {
        unsafe cosines.deallocate()
        unsafe sines.deallocate()
        unsafe reversed.deallocate()
        unsafe real.deallocate()
        unsafe imaginary.deallocate()
    }

    /// Adds |X(k)|² for k in 0...size/2 to `power`, which must have room for size/2 + 1 values.
    ///
    /// - Parameters:
    ///   - samples: `size` values.
    ///   - window: `size` factors.
    @_lifetime(power: copy power)
    public func addPower(
        of samples: Span<Float>, window: Span<Float>, to power: inout MutableSpan<Float>
    ) {
        guard samples.count >= size, window.count >= size, power.count > size / 2 else { return }
        let size = size
        let (re, im, cosines, sines) = unsafe (real, imaginary, cosines, sines)
        for index in 0..<size {
            unsafe re[reversed[index]] = samples[index] * window[index]
            unsafe im[index] = 0
        }
        var length = 2
        while length <= size {
            let half = length / 2
            let stride = size / length
            var start = 0
            while start < size {
                for offset in 0..<half {
                    let c = unsafe cosines[offset &* stride]
                    let s = unsafe sines[offset &* stride]
                    let upper = start &+ offset
                    let lower = upper &+ half
                    let r = unsafe re[lower] * c + im[lower] * s
                    let i = unsafe im[lower] * c - re[lower] * s
                    unsafe re[lower] = unsafe re[upper] - r
                    unsafe im[lower] = unsafe im[upper] - i
                    unsafe re[upper] += r
                    unsafe im[upper] += i
                }
                start &+= length
            }
            length *= 2
        }
        for index in 0...(size / 2) { unsafe power[index] += re[index] * re[index] + im[index] * im[index] }
    }
}
