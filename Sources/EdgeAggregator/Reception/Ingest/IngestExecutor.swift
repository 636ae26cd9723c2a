import Foundation
import Synchronization

/// The threads on which received sound is decoded and written.
///
/// A stream's task prefers this executor, so that a body part is decoded and handed to the kernel on the thread that
/// picked it up: one hop from the event loop, and no event loop or cooperative thread ever waits for a disk. When
/// the disk stalls, these threads stall, then the bodies are not read, then the sockets: nothing is dropped.
final class IngestExecutor: TaskExecutor, Sendable {
    private struct State: ~Copyable {
        var jobs: [UnownedJob] = []
        var next = 0
        var isStopping = false
    }

    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)
    private let threadCount: Int

    /// - Parameters:
    ///   - threads: 1...64.
    ///   - name: of the threads.
    init(threads: Int, name: String = "ingest") {
        threadCount = max(1, threads)
        for number in 0..<threadCount {
            let thread = Thread { [self] in self.work() }
            thread.name = "\(name)-\(number)"
            thread.stackSize = 512 << 10
            thread.start()
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        state.withLock { $0.jobs.append(unowned) }
        wakeUp.signal()
    }

    /// Ends the threads once their queue is empty.
    func stop() {
        state.withLock { $0.isStopping = true }
        for _ in 0..<threadCount { wakeUp.signal() }
    }

    /// Memory: the reference is unowned; the thread that runs this retains the executor. A job is the runtime's until it runs. Each
    /// is taken from the queue once, under the lock, and runs once.
    private func work() {
        let executor = unsafe asUnownedTaskExecutor()
        while true {
            wakeUp.wait()
            let job = state.withLock { state -> UnownedJob? in
                guard state.next < state.jobs.count else { return nil }
                let job = state.jobs[state.next]
                state.next += 1
                if state.next == state.jobs.count {
                    state.jobs.removeAll(keepingCapacity: true)
                    state.next = 0
                } else if state.next > 1024 {
                    state.jobs.removeFirst(state.next)
                    state.next = 0
                }
                return job
            }
            if let job {
                unsafe job.runSynchronously(on: executor)
            } else if state.withLock({ $0.isStopping }) {
                return
            }
        }
    }
}
