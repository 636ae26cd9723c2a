import CSoxr

/// Sound of one rate cannot be turned into another.
public struct ResamplerError: Error, CustomStringConvertible {
    public let reason: String
    public let sampleRate: Int

    public var description: String { "sound of \(sampleRate) Hz could not be resampled: \(reason)" }
}

/// Resamples one channel with soxr, in one thread. Not to be used on two threads at a time.
///
/// The first sample out belongs to the first one in: soxr takes its filter's delay off by itself.
///
/// Memory: `state` is created in `init` and deleted in `deinit`; it does not leave the class. soxr's error texts are constants of
/// the library.
@safe public final class Resampler {
    public enum Quality: Sendable {
        /// 20 bit: what the classifier needs.
        case high
        /// 28 bit.
        case veryHigh
    }

    private let rateIn: Int
    private let state: soxr_t?
    private var output: [Float]
    private let blockIn: Int

    /// Equal rates pass through untouched.
    ///
    /// - Parameters:
    ///   - from: hertz, 8,000...384,000.
    ///   - to: hertz.
    public init(from: Int, to: Int = BirdNET.sampleRate, quality: Quality = .high) throws(ResamplerError) {
        rateIn = from
        blockIn = 4096
        guard from != to else {
            unsafe state = nil
            output = []
            return
        }
        guard PCMFormat.sampleRateRange.contains(from) else {
            throw ResamplerError(reason: "8000 to 384000 Hz are supported", sampleRate: from)
        }
        var error: soxr_error_t?
        var specification = unsafe soxr_quality_spec(UInt(quality == .high ? SOXR_HQ : SOXR_VHQ), 0)
        var format = unsafe soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I)
        var runtime = unsafe soxr_runtime_spec(1)
        // Memory: soxr copies the three specifications during the call.
        guard let made = unsafe soxr_create(Double(from), Double(to), 1, &error, &format, &specification, &runtime)
        else {
            throw unsafe ResamplerError(
                reason: error.map { unsafe String(cString: $0) } ?? "out of memory", sampleRate: from)
        }
        unsafe state = made
        output = [Float](repeating: 0, count: blockIn * to / from + 1024)
    }

    deinit {
        if let state = unsafe state { unsafe soxr_delete(state) }
    }

    /// Takes samples and hands on what is ready, in one or more pieces.
    public func process(
        _ input: Span<Float>, _ body: (Span<Float>) -> Void
    ) throws(ResamplerError) {
        guard unsafe state != nil else {
            body(input)
            return
        }
        var offset = 0
        while offset < input.count {
            let count = min(blockIn, input.count - offset)
            let used = try step(input.extracting(offset..<(offset + count)), body)
            offset += used
        }
    }

    /// Hands on what the filter still holds. Nothing may be processed after.
    public func flush(_ body: (Span<Float>) -> Void) throws(ResamplerError) {
        guard let state = unsafe state else { return }
        while true {
            var made = 0
            // Memory: soxr writes into `output` during the call only.
            let error = unsafe output.withUnsafeMutableBufferPointer { output in
                unsafe soxr_process(state, nil, 0, nil, output.baseAddress, output.count, &made)
            }
            if let error = unsafe error {
                throw unsafe ResamplerError(reason: String(cString: error), sampleRate: rateIn)
            }
            if made == 0 { return }
            let ready = output
            body(ready.span.extracting(first: made))
        }
    }

    private func step(_ input: Span<Float>, _ body: (Span<Float>) -> Void) throws(ResamplerError) -> Int {
        var used = 0
        var made = 0
        // Memory: soxr reads `input` and writes into `output` during the call only.
        let error = unsafe input.withUnsafeBufferPointer { input in
            unsafe output.withUnsafeMutableBufferPointer { output in
                unsafe soxr_process(
                    state, input.baseAddress, input.count, &used, output.baseAddress, output.count, &made)
            }
        }
        if let error = unsafe error { throw unsafe ResamplerError(reason: String(cString: error), sampleRate: rateIn) }
        if used == 0, made == 0 { throw ResamplerError(reason: "the resampler takes nothing", sampleRate: rateIn) }
        if made > 0 {
            let ready = output
            body(ready.span.extracting(first: made))
        }
        return used
    }
}
