import ArgumentParser
import Foundation
import Synchronization

/// Whether the benchmark is to end early. It is asked between two steps of a measurement.
final class BenchmarkStop: Sendable {
    struct Stopped: Error {
        /// As a shell tells of a program that a signal ended: 128 and the signal's number.
        let exitCode: ExitCode
    }

    /// 0 while there was none.
    private let signal = Atomic<Int32>(0)

    func request(bySignal number: Int32) { signal.store(number, ordering: .relaxed) }

    func check() throws(Stopped) {
        let number = signal.load(ordering: .relaxed)
        if number != 0 { throw Stopped(exitCode: ExitCode(128 + number)) }
    }
}

/// The benchmark cannot begin, or not go on: what failed, and what to do.
struct BenchmarkProblem: Error, CustomStringConvertible {
    let description: String
    let exitCode: ExitCode
}

/// Runs work that blocks on a thread of its own, so that it does not hold up tasks, the one that waits for signals among them.
enum BenchmarkThread {
    static func run<Value: Sendable>(
        _ name: String, _ work: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Thread { continuation.resume(with: Result { try work() }) }
            thread.name = name
            thread.stackSize = 4 << 20
            thread.start()
        }
    }
}
