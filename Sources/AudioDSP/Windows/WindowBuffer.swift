import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Room for the samples of one window. Handed from one owner to the next, never shared.
///
/// Mapped, not allocated: pages that no sample has reached yet take no memory, and all of them go back when it is given
/// up. Many listeners fill their windows at the same time, so both count.
///
/// Memory: `storage` is mapped in `init` and unmapped in `deinit`. It leaves the methods only as a `Span`, which ends with the
/// closure that borrows it.
@safe public final class WindowBuffer: @unchecked Sendable {
    private let storage: UnsafeMutableBufferPointer<Float>
    private static let bytes = BirdNET.windowSamples * MemoryLayout<Float>.stride

    /// Nil when there is no memory.
    init?() {
        let mapped = unsafe mmap(nil, Self.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else { return nil }
        // Fresh pages are zero, which is 0.0 too.
        let samples = unsafe mapped.bindMemory(to: Float.self, capacity: BirdNET.windowSamples)
        unsafe storage = UnsafeMutableBufferPointer(start: samples, count: BirdNET.windowSamples)
    }

    deinit {
        unsafe munmap(storage.baseAddress, Self.bytes)
    }

    /// Copies samples to a place; all of them must fit.
    func put(_ samples: Span<Float>, at offset: Int) {
        unsafe precondition(offset >= 0 && samples.count <= storage.count - offset)
        unsafe samples.withUnsafeBufferPointer { samples in
            guard let source = samples.baseAddress, let target = unsafe storage.baseAddress else { return }
            unsafe (target + offset).update(from: source, count: samples.count)
        }
    }

    func putSilence(from offset: Int) {
        unsafe precondition(offset >= 0 && offset <= storage.count)
        guard let target = unsafe storage.baseAddress else { return }
        unsafe (target + offset).update(repeating: 0, count: storage.count - offset)
    }

    func withSamples<Result, Failure: Error>(
        _ body: (Span<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe body(Span(_unsafeElements: UnsafeBufferPointer(storage)))
    }
}

/// A bounded number of window buffers, used again and again.
public final class WindowBufferPool: Sendable {
    private struct State {
        var free: [WindowBuffer] = []
        var inUse = 0
    }

    /// How many may be in use at a time (576 KB each).
    public let limit: Int
    /// How many are kept when they are not in use.
    private let kept: Int
    private let state = Mutex(State())

    public init(limit: Int) {
        self.limit = limit
        kept = min(limit, 2)
    }

    public var inUse: Int { state.withLock { $0.inUse } }

    /// Nil when all are in use: the window must be read from the recording later.
    public func take() -> WindowBuffer? {
        state.withLock { state in
            guard state.inUse < limit, let buffer = state.free.popLast() ?? WindowBuffer() else { return nil }
            state.inUse += 1
            return buffer
        }
    }

    public func give(_ buffer: WindowBuffer) {
        state.withLock { state in
            state.inUse -= 1
            if state.free.count < kept { state.free.append(buffer) }
        }
    }
}

/// 3 s of sound to be analysed.
public struct AnalysisWindow: Sendable {
    public let buffer: WindowBuffer
    /// Its first sample's place in the run, at 48 kHz.
    public let startFrame48k: Int64
    /// Samples that were heard; the rest is padding.
    public let validSamples: Int

    /// 144,000 samples, full scale ±1.
    public func withSamples<Result, Failure: Error>(
        _ body: (Span<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try buffer.withSamples(body)
    }
}
