/// Decides where a sample begins after a frame that ended in the middle of one.
///
/// Two kinds of sender do this. One cuts a byte stream into pages whose length is no multiple of the sample (24-bit
/// audio in 32 KiB pages): there the sample goes on in the next frame. The other lost a byte: there the next frame
/// starts with a whole sample, and going on would turn all that follows into noise.
enum SampleAligner {
    /// How many bytes of a frame are looked at.
    static let inspectedBytes = 2048

    /// Whether the sample goes on, judged by which of the two readings is the smoother sound; nil when the sound does not
    /// tell (silence, noise, too little of it).
    ///
    /// - Parameter skip: bytes at the start of `payload` that end the sample begun before (1 ..< bytes of a sample frame).
    static func continues(
        _ payload: Span<UInt8>, skip: Int, format: PCMFormat
    ) -> Bool? {
        let usable = payload.count - format.bytesPerFrame
        guard usable >= 16 * format.bytesPerFrame else { return nil }
        let fresh = roughness(payload, offset: 0, format: format)
        let continued = roughness(payload, offset: skip, format: format)
        if continued < fresh / 4 * 3 { return true }
        if fresh < continued / 4 * 3 { return false }
        return nil
    }

    /// The sum of the steps between successive samples of one channel, by their most significant 16 bits.
    private static func roughness(_ payload: Span<UInt8>, offset: Int, format: PCMFormat) -> Int64 {
        let stride = format.bytesPerFrame
        let high = format.bytesPerSample - 1
        var position = offset
        var previous: Int64?
        var sum: Int64 = 0
        var steps = 0
        let end = min(payload.count, inspectedBytes)
        while position + format.bytesPerSample <= end, steps < 256 {
            let value: Int64
            if format.bytesPerSample == 1 {
                value = Int64(payload[position]) &* 256
            } else {
                value = Int64(Int8(bitPattern: payload[position + high])) &* 256 &+ Int64(payload[position + high - 1])
            }
            if let previous { sum &+= abs(value - previous) }
            previous = value
            position += stride
            steps += 1
        }
        return steps > 1 ? sum &* 1024 / Int64(steps - 1) : 0
    }
}
