import AudioDSP
import CEdgeSystem
import Foundation
import Synchronization

/// Work on FLAC files with voices, on a thread of its own, which is nicer than those that store sound: encoding a file again can
/// take an hour.
///
/// Fair over listeners. Work cannot be continued in the middle: where another listener waits, it ends after its turn and begins
/// again later, with a turn that is twice as long as what it has used. So it is done at last, and never costs more than three times
/// its time.
final class SilencingQueue: Sendable {
    /// Asked by work, often, on the thread that it runs on.
    final class Turn {
        private let isOverNow: () -> Bool
        /// Whether the work has to end now.
        private(set) var isOver = false

        init(isOver: @escaping () -> Bool) { isOverNow = isOver }

        func mayGoOn() -> Bool {
            if !isOver { isOver = isOverNow() }
            return !isOver
        }
    }

    /// False when the turn was over before it was done.
    typealias Body = @Sendable (Turn) -> Bool

    private struct Work: Sendable {
        let listener: String
        var seconds: Double
        let body: Body
    }

    private struct State: ~Copyable {
        var waiting = FairQueue<Work>()
        var isStopping = false
    }

    private let firstTurnSeconds: Double
    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)

    static let usualTurnSeconds = 10.0
    private static let niceness: Int32 = 10

    /// - Parameter turnSeconds: processor time of the first turn.
    init(turnSeconds: Double = usualTurnSeconds) {
        firstTurnSeconds = turnSeconds
        let thread = Thread { [self] in work() }
        thread.name = "silencing"
        thread.stackSize = 2 << 20
        thread.start()
    }

    func add(listener: String, _ body: @escaping Body) {
        add(Work(listener: listener, seconds: firstTurnSeconds, body: body))
    }

    /// Ends the work that is being done. What waits is never done.
    func stop() {
        state.withLock { $0.isStopping = true }
        wakeUp.signal()
    }

    private func add(_ work: Work) {
        state.withLock { $0.waiting.append(work, key: work.listener) }
        wakeUp.signal()
    }

    /// Memory: the thread's name is borrowed for the call; the kernel keeps a copy.
    private func work() {
        unsafe edge_name_thread("silencing")
        edge_be_nice(Self.niceness)
        while true {
            wakeUp.wait()
            let (work, isStopping) = state.withLock { ($0.isStopping ? nil : $0.waiting.popFirst(), $0.isStopping) }
            if isStopping { return }
            guard var work else { continue }
            let start = DecodingLimit.threadProcessorSeconds()
            if !work.body(turn(of: work, from: start)) {
                work.seconds = 2 * max(work.seconds, DecodingLimit.threadProcessorSeconds() - start)
                add(work)
            }
        }
    }

    /// - Parameter start: processor time of the thread.
    private func turn(of work: Work, from start: Double) -> Turn {
        Turn { [self] in
            let isUp = DecodingLimit.threadProcessorSeconds() - start > work.seconds
            return state.withLock { state in
                state.isStopping || isUp && state.waiting.count > state.waiting.count(of: work.listener)
            }
        }
    }
}
