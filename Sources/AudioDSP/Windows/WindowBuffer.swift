import Synchronization

/// Room for the samples of one window. Handed from one owner to the next, never shared.
public final class WindowBuffer: @unchecked Sendable {
    let storage: UnsafeMutableBufferPointer<Float>

    init() {
        storage = .allocate(capacity: BirdNET.windowSamples)
        storage.initialize(repeating: 0)
    }

    deinit {
        storage.deallocate()
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
        kept = min(limit, 8)
    }

    public var inUse: Int { state.withLock { $0.inUse } }

    /// Nil when all are in use: the window must be read from the recording later.
    public func take() -> WindowBuffer? {
        state.withLock { state in
            guard state.inUse < limit else { return nil }
            state.inUse += 1
            return state.free.popLast() ?? WindowBuffer()
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
    public var samples: UnsafeBufferPointer<Float> { UnsafeBufferPointer(buffer.storage) }
}
