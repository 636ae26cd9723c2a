import Dispatch
import Sensors
import Synchronization

/// An input line of a GPIO chip as a sensor: counted all the time, asked at its interval, and at once when it changes.
final class LineSensor: AskedSensor {
    private struct State {
        /// Of the thread; nil while the line is not open.
        var number: UInt64?
        /// Of lines that were open before.
        var countBefore: Int64 = 0
        var missedBefore: Int64 = 0
        var count: Int64 = 0
        var missed: Int64 = 0
    }

    private let place: LinePlace
    private let kind: LineKind
    private let thread: LineThread
    private let bell = Bell()
    private let state = Mutex(State())

    init(_ kind: LineKind, at place: LinePlace, thread: LineThread) {
        self.kind = kind
        self.place = place
        self.thread = thread
    }

    var edges: (count: Int64, missed: Int64)? {
        state.withLock { ($0.countBefore + $0.count, $0.missedBefore + $0.missed) }
    }

    var identity: String? { nil }

    func pause(_ duration: Duration) async { await bell.wait(atMost: duration) }

    func read(begins: Bool) async -> Result<[Quantity], SensorError> {
        // A chip behind USB or I2C may keep its caller for seconds.
        await withCheckedContinuation { continuation in
            thread.queue.async { [self] in continuation.resume(returning: readBlocking()) }
        }
    }

    private func readBlocking() -> Result<[Quantity], SensorError> {
        do throws(LineError) {
            var number = state.withLock { $0.number }
            if number == nil {
                number = try thread.open(place, kind, onChange: { [bell] in bell.ring() })
                state.withLock { [number] in $0.number = number }
            }
            let taken = number.flatMap(thread.take)
            state.withLock { state in
                if let taken {
                    state.count = taken.count
                    state.missed = taken.missed
                } else {
                    state.number = nil
                    state.countBefore += state.count
                    state.missedBefore += state.missed
                    state.count = 0
                    state.missed = 0
                }
            }
            return taken.map { .success($0.quantities) } ?? .failure(.missing("the chip is gone"))
        } catch {
            return .failure(error.isAbsent ? .missing(error.description) : .faulty(error.description))
        }
    }

    func recalibrate(co2PPM: Int) async -> Result<Void, SensorError> {
        .failure(.badOption("a line cannot be recalibrated"))
    }
}
