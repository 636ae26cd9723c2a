/// What is made of a sensor's answers: whether it is well, which values count, and when it is asked again. A value without
/// I/O; times are the steady clock's nanoseconds.
public struct SensorWatch: Sendable {
    public enum State: String, Sendable {
        /// Not asked yet, or just powered up: its values mean nothing so far.
        case warming
        case ok
        /// It was well, and has had nothing new for three intervals, or for as long as it is waited for.
        case stale
        /// Nobody answers.
        case absent
        /// It answers nonsense, or what it measures is out of its range.
        case faulty

        /// Each, in the order in which they are listed to people and metrics.
        public static let all: [State] = [.warming, .ok, .stale, .absent, .faulty]
    }

    /// What a value is made of what was measured: raw × scale + offset.
    public struct Correction: Sendable, Hashable {
        public var scale = 1.0
        public var offset = 0.0

        public init() {}
    }

    public private(set) var state = State.warming
    /// Why it is not well, in words.
    public private(set) var reason: String?
    /// In a row.
    public private(set) var failures = 0
    public private(set) var failuresTotal: Int64 = 0
    /// Whether it must be begun again before the next reading.
    public private(set) var needsBegin = true
    private let ranges: [String: ClosedRange<Double>]
    private let warmUp: Int64
    private let interval: Int64
    private let corrections: [String: Correction]
    private var begun: Int64?
    private var lastGood: Int64?
    /// Since when it has had nothing new each time that it was asked.
    private var unreadySince: Int64?
    /// Since when it has answered as after power-on each time that it was asked.
    private var startingSince: Int64?

    /// So many failures in a row until its bus or its power is reset; then twice as many, and so on.
    static let failuresBeforeReset = 5

    /// Whether this failure is one at which a reset is tried.
    public var wantsReset: Bool {
        failures >= Self.failuresBeforeReset && failures.isMultiple(of: Self.failuresBeforeReset)
            && (failures / Self.failuresBeforeReset).nonzeroBitCount == 1
    }

    /// How long a sensor that answers is waited for until it has something new: three intervals, but no less than the slowest
    /// sensor needs for three measurements (SCD4x, 5 s each), and at most three minutes.
    private var patience: Int64 { min(max(3 * min(interval, 60 * Self.second), 15 * Self.second), 180 * Self.second) }

    /// At most so long until a sensor that failed is tried again.
    static let longestPause: Int64 = 600_000_000_000
    private static let second: Int64 = 1_000_000_000

    /// - Parameters:
    ///   - ranges: what can be, by quantity; anything else is a fault.
    ///   - warmUpSeconds: after power-up its values mean nothing for so long.
    public init(
        ranges: [String: ClosedRange<Double>], warmUpSeconds: Double, intervalNanoseconds: Int64,
        corrections: [String: Correction] = [:]
    ) {
        self.ranges = ranges
        warmUp = Int64(warmUpSeconds * 1e9)
        interval = intervalNanoseconds
        self.corrections = corrections
    }

    /// Takes what came of an attempt.
    ///
    /// - Returns: the values that count, corrected; none while it warms up.
    public mutating func take(_ result: Result<[Quantity], SensorError>, now: Int64) -> [Quantity] {
        switch result {
        case .success(let quantities):
            if let wrong = quantities.first(where: { !(ranges[$0.name]?.contains($0.value) ?? $0.value.isFinite) }) {
                fail(
                    .faulty, "\(wrong.name) is \(wrong.value) \(wrong.unit), which cannot be", needsBegin: failures > 0)
                return []
            }
            needsBegin = false
            unreadySince = nil
            startingSince = nil
            let start = begun ?? now
            begun = start
            failures = 0
            reason = nil
            guard now - start >= warmUp else {
                state = .warming
                return []
            }
            state = .ok
            lastGood = now
            return quantities.map(corrected)
        case .failure(.notReady):
            needsBegin = false
            if begun == nil { begun = now }
            let since = unreadySince ?? now
            unreadySince = since
            if now - since > patience {
                fail(lastGood == nil ? .faulty : .stale, "it answers, and has had nothing new", needsBegin: true)
            }
            return []
        case .failure(.warming(let why)):
            takeStart(why, now: now)
            return []
        case .failure(let error):
            switch error {
            case .bus(.heldLow): fail(.faulty, error.description, needsBegin: true)
            case .bus(.absent), .missing: fail(.absent, error.description, needsBegin: true)
            case .bus: fail(lastGood == nil ? .absent : .stale, error.description, needsBegin: true)
            case .garbled: fail(.faulty, error.description, needsBegin: failures > 0)
            case .saturated: takeSaturation(error.description)
            case .faulty, .badOption, .notReady, .warming: fail(.faulty, error.description, needsBegin: true)
            }
            return []
        }
    }

    /// Takes that it answers as after power-on: its time to warm up begins with the first such answer. One that answers so for
    /// much longer than it needs is faulty.
    private mutating func takeStart(_ why: String, now: Int64) {
        needsBegin = false
        unreadySince = nil
        let since = startingSince ?? now
        if startingSince == nil { begun = now }
        startingSince = since
        guard now - since <= warmUp + patience else {
            fail(.faulty, "it does not get ready: \(why)", needsBegin: false)
            return
        }
        failures = 0
        state = .warming
        reason = why
    }

    /// Takes that it measures at an end of its range. It works, so it is not begun again, its power stays on, and it is asked at its
    /// interval: the value may come back into the range at any time.
    private mutating func takeSaturation(_ why: String) {
        needsBegin = false
        unreadySince = nil
        startingSince = nil
        failures = 0
        failuresTotal += 1
        state = .faulty
        reason = why
    }

    private mutating func fail(_ state: State, _ reason: String, needsBegin: Bool) {
        self.state = state
        self.reason = reason
        failures += 1
        failuresTotal += 1
        if needsBegin {
            self.needsBegin = true
            begun = nil
            unreadySince = nil
            startingSince = nil
        }
    }

    private func corrected(_ quantity: Quantity) -> Quantity {
        guard let correction = corrections[quantity.name] else { return quantity }
        var quantity = quantity
        quantity.raw = quantity.value
        quantity.value = quantity.value * correction.scale + correction.offset
        return quantity
    }

    /// Until it is asked again: its interval, or, after failures, a second, doubled with each. One that was not ready is asked
    /// soon.
    ///
    /// - Parameter spread: 0...1, made up anew each time, so that the sensors of a bus do not come all at once.
    public func pauseNanoseconds(after result: Result<[Quantity], SensorError>, spread: Double) -> Int64 {
        if case .failure(.notReady) = result, failures == 0 { return min(interval, Self.second) }
        guard failures > 0 else { return interval - Int64(Double(interval / 10) * spread) }
        // A garbled byte happens: it is asked once more soon, however seldom it is asked.
        let pause = min(min(interval, Self.second) << min(Int64(failures) - 1, 20), Self.longestPause)
        return pause - Int64(Double(pause / 10) * spread)
    }
}
