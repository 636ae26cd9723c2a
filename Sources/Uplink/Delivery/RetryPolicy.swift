/// How long to wait before the next attempt: doubled each time up to a cap, and spread, so that a fleet that lost its
/// server together does not come back together.
public struct RetryPolicy: Sendable, Hashable {
    public var firstSeconds = 2.0
    public var mostSeconds = 900.0
    /// After the endpoint did not let us in.
    public var unauthorisedSeconds = 300.0

    public init() {}

    /// - Parameters:
    ///   - failures: in a row so far, from 1.
    ///   - spread: 0...1, made up anew each time.
    public func delaySeconds(failures: Int, spread: Double) -> Double {
        let doubled = firstSeconds * Double(1 << min(max(failures - 1, 0), 20))
        return min(doubled, mostSeconds) * (0.5 + spread / 2)
    }
}

/// Whether a sink may be tried now: a value that takes reports and tells times.
public struct SinkPace: Sendable {
    public enum State: String, Sendable, Codable {
        case flowing
        /// The endpoint is not there, is not well, or rejects what it is sent.
        case waiting
        /// The endpoint does not let us in: an alarm for the operator.
        case unauthorised
    }

    public private(set) var state = State.flowing
    public private(set) var failures = 0
    public private(set) var reason: String?
    /// Not before then, by the steady clock.
    public private(set) var nextNanoseconds: Int64 = 0
    private let policy: RetryPolicy

    public init(policy: RetryPolicy) {
        self.policy = policy
    }

    public func waitNanoseconds(now: Int64) -> Int64 { max(0, nextNanoseconds - now) }

    public mutating func note(_ farEnd: SinkReport.FarEnd, now: Int64, spread: Double) {
        switch farEnd {
        case .well:
            (state, failures, reason, nextNanoseconds) = (.flowing, 0, nil, 0)
        case .unavailable(let why, let retryAfter):
            wait(why, retryAfterSeconds: retryAfter, now, spread)
        case .rejected(let why):
            wait(why, retryAfterSeconds: nil, now, spread)
        case .unauthorised(let why):
            failures += 1
            state = .unauthorised
            reason = why
            nextNanoseconds = now + Int64(policy.unauthorisedSeconds * (0.5 + spread / 2) * 1e9)
        }
    }

    private mutating func wait(_ why: String, retryAfterSeconds: Int?, _ now: Int64, _ spread: Double) {
        failures += 1
        state = .waiting
        reason = why
        let own = policy.delaySeconds(failures: failures, spread: spread)
        // What the endpoint asks for is heeded, up to a day.
        let seconds = max(own, Double(min(retryAfterSeconds ?? 0, 86_400)))
        nextNanoseconds = now + Int64(seconds * 1e9)
    }
}
