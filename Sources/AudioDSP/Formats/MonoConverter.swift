/// Turns interleaved sound of any supported encoding into one channel of floating point.
///
/// Full scale is ±1: 16-bit samples are divided by 32,768, as the models' own tools do.
public struct MonoConverter: Sendable {
    public enum Channel: Sendable, Hashable {
        /// The mean of all channels.
        case mix
        /// One channel, from 0; the last one if there are fewer.
        case index(Int)
    }

    private let format: PCMFormat
    private let first: Int
    private let count: Int

    public init(format: PCMFormat, channel: Channel) {
        self.format = format
        switch channel {
        case .mix:
            first = 0
            count = format.channels
        case .index(let index):
            first = min(max(index, 0), format.channels - 1)
            count = 1
        }
    }

    /// Converts whole sample frames; as many as there are and fit.
    ///
    /// - Returns: how many were written.
    ///
    /// Memory: the caller owns bytes and output; their addresses are used until the return.
    @_lifetime(output: copy output)
    public func convert(_ bytes: Span<UInt8>, into output: inout MutableSpan<Float>) -> Int {
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe output.withUnsafeMutableBufferPointer { output in unsafe convert(bytes, into: output) }
        }
    }

    /// Memory: the caller owns bytes and output until the return. `frames` is bounded by the sizes of both.
    private func convert(_ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableBufferPointer<Float>) -> Int {
        let frames = min(bytes.count / format.bytesPerFrame, output.count)
        guard frames > 0, let base = bytes.baseAddress else { return 0 }
        let stride = format.bytesPerFrame
        switch format.encoding {
        case .signed16:
            if format.channels == 1 {
                for index in 0..<frames {
                    unsafe output[index] =
                        unsafe Float(
                            Int16(littleEndian: base.loadUnaligned(fromByteOffset: index &* 2, as: Int16.self)))
                        * (1 / 32_768)
                }
            } else {
                unsafe reduce(base, frames, stride, output) { offset in
                    unsafe Float(Int16(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: Int16.self)))
                        * (1 / 32_768)
                }
            }
        case .unsigned8:
            unsafe reduce(base, frames, stride, output) { offset in
                unsafe (Float(base.load(fromByteOffset: offset, as: UInt8.self)) - 128) * (1 / 128)
            }
        case .signed24:
            unsafe reduce(base, frames, stride, output) { offset in
                let low = unsafe UInt32(base.load(fromByteOffset: offset, as: UInt8.self))
                let middle = unsafe UInt32(base.load(fromByteOffset: offset &+ 1, as: UInt8.self))
                let high = unsafe UInt32(base.load(fromByteOffset: offset &+ 2, as: UInt8.self))
                let value = Int32(bitPattern: high << 24 | middle << 16 | low << 8) >> 8
                return Float(value) * (1 / 8_388_608)
            }
        case .signed32:
            unsafe reduce(base, frames, stride, output) { offset in
                unsafe Float(Int32(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: Int32.self)))
                    * (1 / 2_147_483_648)
            }
        case .float32:
            unsafe reduce(base, frames, stride, output) { offset in
                let bits = unsafe UInt32(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
                return Self.bounded(Float(bitPattern: bits))
            }
        }
        return frames
    }

    /// A sum of channels must stay finite too; nothing heard is a million times full scale.
    @inline(__always)
    static func bounded(_ value: Float) -> Float {
        value.isFinite ? min(max(value, -1e6), 1e6) : 0
    }

    /// Memory: the caller owns base and output until the return, and has checked that `frames` fit into both.
    @inline(__always)
    private func reduce(
        _ base: UnsafeRawPointer, _ frames: Int, _ stride: Int, _ output: UnsafeMutableBufferPointer<Float>,
        _ sample: (Int) -> Float
    ) {
        let width = format.bytesPerSample
        let scale = 1 / Float(count)
        for frame in 0..<frames {
            var sum: Float = 0
            for channel in first..<(first &+ count) { sum += sample(frame &* stride &+ channel &* width) }
            unsafe output[frame] = sum * scale
        }
    }
}
