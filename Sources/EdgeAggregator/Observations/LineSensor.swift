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

    func pause(_ duration: Duration) async { await bell.wait(atMost: duration) }

    func read(begins: Bool) async -> Result<[Quantity], SensorError> {
        do throws(LineError) {
            let number = try state.withLock { (state) throws(LineError) -> UInt64 in
                if let number = state.number { return number }
                let number = try thread.open(place, kind, onChange: { [bell] in bell.ring() })
                state.number = number
                return number
            }
            guard let taken = thread.take(number) else {
                state.withLock { state in
                    state.number = nil
                    state.countBefore += state.count
                    state.missedBefore += state.missed
                    state.count = 0
                    state.missed = 0
                }
                return .failure(.bus(.absent))
            }
            state.withLock { state in
                state.count = taken.count
                state.missed = taken.missed
            }
            return .success(taken.quantities)
        } catch {
            return .failure(error.isAbsent ? .bus(.absent) : .faulty(error.description))
        }
    }

    func recalibrate(co2PPM: Int) async -> Result<Void, SensorError> {
        .failure(.badOption("a line cannot be recalibrated"))
    }
}
