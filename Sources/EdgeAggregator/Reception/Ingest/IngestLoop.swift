import Foundation
import ServiceLifecycle
import Synchronization

/// Takes the sound of all streams from their sockets to their files, on threads of its own.
///
/// A stream's socket is read here, by the thread that also decodes and writes what it read: no copy, no hop and no
/// buffer between the kernel's socket and the kernel's file (docs/decisions/0006). When the disk stalls, these threads
/// stall, then the sockets fill: nothing is dropped, and no event loop ever waits for a disk.
final class IngestLoop: Service {
    /// Names a connection before and while it is here.
    struct Ticket: Hashable, Sendable {
        fileprivate let thread: Int
        let number: UInt64
    }

    private struct State {
        var next: UInt64 = 0
        var perThread: [Int]
        var whenEmpty: CheckedContinuation<Void, Never>?
    }

    private let threads: [IngestThread]
    private let state: Mutex<State>

    /// - Parameters:
    ///   - threads: 1...64.
    ///   - quotaBytesPerSecond: of one connection; 0 for no limit.
    init(house: ReceptionHouse, threads count: Int, quotaBytesPerSecond: Int) throws {
        threads = try (0..<max(1, count)).map { number in
            try IngestThread(house: house, quotaBytesPerSecond: quotaBytesPerSecond, name: "stream-\(number)")
        }
        state = Mutex(State(perThread: Array(repeating: 0, count: threads.count)))
        for (number, thread) in threads.enumerated() {
            thread.start { [weak self] in self?.released(thread: number) }
        }
    }

    /// Reserves a place on the thread with the fewest connections. It must be given to ``adopt(_:as:)`` or
    /// ``release(_:)``.
    func reserve() -> Ticket {
        state.withLock { state in
            let thread = state.perThread.indices.min { state.perThread[$0] < state.perThread[$1] } ?? 0
            state.perThread[thread] += 1
            state.next += 1
            return Ticket(thread: thread, number: state.next)
        }
    }

    func release(_ ticket: Ticket) {
        released(thread: ticket.thread)
    }

    /// Takes over a connection, and its socket with it.
    func adopt(_ connection: AdoptedConnection, as ticket: Ticket) {
        threads[ticket.thread].post(.adopt(connection, number: ticket.number))
    }

    /// Ends a connection, if it is here still.
    func close(_ ticket: Ticket) {
        threads[ticket.thread].post(.close(number: ticket.number))
    }

    /// Returns when every thread has come round since the call.
    func answer() async {
        for thread in threads {
            await withCheckedContinuation { continuation in thread.post(.answer { continuation.resume() }) }
        }
    }

    var connectionCount: Int { state.withLock { $0.perThread.reduce(0, +) } }

    private func released(thread: Int) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.perThread[thread] -= 1
            guard state.perThread.allSatisfy({ $0 == 0 }) else { return nil }
            defer { state.whenEmpty = nil }
            return state.whenEmpty
        }
        waiter?.resume()
    }

    /// Returns at shutdown, when every connection has ended and is written down.
    func run() async throws {
        try? await gracefulShutdown()
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if state.perThread.allSatisfy({ $0 == 0 }) { return true }
                state.whenEmpty = continuation
                return false
            }
            if isEmpty { continuation.resume() }
        }
    }

    /// Ends the threads.
    func stop() {
        for thread in threads { thread.post(.stop) }
    }
}

/// A connection whose request has been read and admitted.
struct AdoptedConnection: Sendable {
    let stream: AdmittedStream
    /// A non-blocking socket; whoever has this owns it.
    let descriptor: Int32
    /// What of the body was read together with the head.
    let firstBytes: [UInt8]
    let expectsContinue: Bool
}
