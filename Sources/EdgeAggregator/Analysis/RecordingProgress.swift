import Synchronization

/// Windows of a recording that found no room while it was received.
struct SpilledWindows: Equatable, Sendable {
    /// Where they start in the run, at 48 kHz.
    let startFrames48k: [Int64]
    /// How many others were analysed.
    let analysed: Int
}

/// Follows which windows of one recording have been analysed.
///
/// A recording is done when all windows that start in it have been emitted and each of them was analysed; windows
/// that found no room are then read from its file.
final class RecordingProgress: Sendable {
    enum Step: Equatable, Sendable {
        /// More is to come.
        case waiting
        /// Every window is analysed.
        case done(windows: Int)
        /// Some windows must be read from the file.
        case spilled(SpilledWindows)
        /// The recording was not kept, and takes its windows with it.
        case dropped
    }

    let recording: AnalysedRecording
    /// Position of its first sample in the run, at 48 kHz.
    let startFrame48k: Int64

    private struct State {
        var outstanding = 0
        var analysed = 0
        var spilled: [Int64] = []
        var isComplete = false
        var isDropped = false
        var isReported = false
    }

    private let state = Mutex(State())

    /// - Parameter analysed: how many of its windows were analysed before.
    init(recording: AnalysedRecording, startFrame48k: Int64, analysed: Int = 0) {
        self.recording = recording
        self.startFrame48k = startFrame48k
        state.withLock { $0.analysed = analysed }
    }

    var isDropped: Bool { state.withLock { $0.isDropped } }
    /// How many windows were analysed, those before this pass included.
    var analysed: Int { state.withLock { $0.analysed } }

    /// Says that the recording will not be kept; windows that start in it are not analysed.
    func drop() {
        state.withLock { $0.isDropped = true }
    }

    func windowQueued() {
        state.withLock { $0.outstanding += 1 }
    }

    /// Takes back ``windowQueued()``.
    func windowWithdrawn() {
        state.withLock { $0.outstanding -= 1 }
    }

    func windowSpilled(_ startFrame48k: Int64) {
        state.withLock { $0.spilled.append(startFrame48k) }
    }

    func windowAnalysed() -> Step {
        state.withLock { state in
            state.outstanding -= 1
            state.analysed += 1
            return Self.step(&state)
        }
    }

    /// Says that no further window starts in the recording.
    func complete() -> Step {
        state.withLock { state in
            state.isComplete = true
            return Self.step(&state)
        }
    }

    private static func step(_ state: inout State) -> Step {
        guard state.isComplete, state.outstanding == 0, !state.isReported else { return .waiting }
        state.isReported = true
        if state.isDropped { return .dropped }
        guard !state.spilled.isEmpty else { return .done(windows: state.analysed) }
        return .spilled(SpilledWindows(startFrames48k: state.spilled, analysed: state.analysed))
    }
}
