import CEdgeSystem
import Foundation
import Synchronization

/// Decodes uploads on threads of its own, which are nicer than those that store sound.
///
/// Fair over network addresses, and over the uploads of one address: each is decoded for ``slice``, then the next one has its
/// turn. A short upload has its answer after a turn or two, however long the others are. An upload whose sender goes away is
/// decoded and stored nevertheless: some senders wait for no answer.
final class DecodingService: Sendable {
    private typealias Outcome = Result<AudioFacts, any Error>

    private struct Work: Sendable {
        let inspection: UploadInspection
        let address: String
        let end: @Sendable (Outcome) -> Void
    }

    private struct State: ~Copyable {
        var waiting = FairQueue<Work>()
        /// Those that threads are at included.
        var countByAddress: [String: Int] = [:]
        var count = 0
        var isStopping = false
    }

    let limits: UploadInspection.Limits
    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)
    private let threadCount: Int
    private let slice: Duration

    static let usualSlice = Duration.milliseconds(100)
    private static let niceness: Int32 = 10
    /// Uploads that may wait; beyond them more are rejected. Each has a file in the spool folder and a connection.
    static let maximumWaiting = 256
    static let maximumWaitingPerAddress = 64

    /// - Parameters:
    ///   - threads: 1...64; half of the processors, two at most, leaves the others to streams.
    ///   - slice: how long one upload is decoded before the next one has its turn.
    init(
        limits: UploadInspection.Limits,
        threads: Int = min(2, max(1, ProcessInfo.processInfo.activeProcessorCount / 2)),
        slice: Duration = usualSlice
    ) {
        self.limits = limits
        self.slice = slice
        threadCount = threads
        for number in 0..<threadCount {
            let thread = Thread { [self] in work(number) }
            thread.name = "decoding-\(number)"
            thread.stackSize = 1 << 20
            thread.start()
        }
    }

    /// Uploads that wait or are being decoded.
    var count: Int { state.withLock { $0.count } }

    /// Decodes a file to its end.
    ///
    /// - Parameter address: whose upload it is.
    /// - Throws: ``UploadRefusal``, also `tooBusy` and `stopping`; another error when the system does not let the file be read now.
    func inspect(_ path: String, expected: RecordingContainer, address: String) async throws -> AudioFacts {
        let isAbandoned = CancellationFlag()
        let inspection = UploadInspection(path: path, expected: expected, limits: limits) { [self] in
            isAbandoned.isSet || state.withLock { $0.isStopping }
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                add(Work(inspection: inspection, address: address) { continuation.resume(with: $0) })
            }
        } onCancel: {
            isAbandoned.set()
        }
    }

    private func add(_ work: Work) {
        let refusal = state.withLock { state -> UploadRefusal? in
            if state.isStopping { return .stopping }
            let ofAddress = state.countByAddress[work.address, default: 0]
            guard state.count < Self.maximumWaiting, ofAddress < Self.maximumWaitingPerAddress else { return .tooBusy }
            state.countByAddress[work.address] = ofAddress + 1
            state.count += 1
            state.waiting.append(work, key: work.address)
            return nil
        }
        if let refusal { work.end(.failure(refusal)) } else { wakeUp.signal() }
    }

    /// Rejects what waits, and ends what is being decoded at its next block.
    func stop() {
        let waiting = state.withLock { state in
            state.isStopping = true
            var waiting: [Work] = []
            while let work = state.waiting.popFirst() { waiting.append(work) }
            return waiting
        }
        for work in waiting { end(work, .failure(UploadRefusal.stopping)) }
        for _ in 0..<threadCount { wakeUp.signal() }
    }

    /// Memory: the thread's name is borrowed for the call; the kernel keeps a copy.
    private func work(_ number: Int) {
        unsafe edge_name_thread("decoding-\(number)")
        edge_be_nice(Self.niceness)
        while true {
            wakeUp.wait()
            guard let work = state.withLock({ $0.waiting.popFirst() }) else {
                if state.withLock({ $0.isStopping }) { return }
                continue
            }
            if let outcome = decode(work) {
                end(work, outcome)
            } else if state.withLock({ state in
                if !state.isStopping { state.waiting.append(work, key: work.address) }
                return state.isStopping
            }) {
                end(work, .failure(UploadRefusal.stopping))
            } else {
                wakeUp.signal()
            }
        }
    }

    /// Nil when there is more of it after its turn.
    private func decode(_ work: Work) -> Outcome? {
        let pause = ContinuousClock.now + slice
        do {
            return try work.inspection.goOn(isPaused: { .now >= pause }).map { .success($0) }
        } catch {
            return .failure(error)
        }
    }

    private func end(_ work: Work, _ outcome: Outcome) {
        state.withLock { state in
            state.count -= 1
            let left = state.countByAddress[work.address, default: 1] - 1
            state.countByAddress[work.address] = left > 0 ? left : nil
        }
        work.end(outcome)
    }
}

/// Set once, from any thread.
final class CancellationFlag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    func set() { value.store(true, ordering: .relaxed) }
}
