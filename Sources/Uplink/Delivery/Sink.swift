public import Store

/// An endpoint: turns deliveries into what it understands, and tells what became of them.
public protocol Sink: Sendable {
    /// As it stands in the outbox.
    var name: String { get }
    var limits: SinkLimits { get }
    /// Sends what deliveries refer to. Called by several tasks at once; cancelled at shutdown.
    func deliver(_ deliveries: [DeliveryRecord]) async -> SinkReport
    /// Why nothing may be sent now, although the endpoint may be well; nil when all may. Asked before each fetch.
    func pauseReason() -> String?
    /// What may be wrong although deliveries get through; nil when nothing is known of.
    func warning() -> String?
}

extension Sink {
    public func pauseReason() -> String? { nil }
    public func warning() -> String? { nil }
}

public struct SinkLimits: Sendable {
    /// Of the outbox, read at once for one call of ``Sink/deliver(_:)``.
    public var deliveries: Int
    /// Facts that they refer to.
    public var facts: Int
    /// Calls at a time.
    public var concurrency: Int
    public var kinds: [DeliveryKind]
    /// Whether the endpoint takes facts in their order only: what is sent late is rejected for good.
    public var isInOrder: Bool

    public init(deliveries: Int, facts: Int, concurrency: Int, kinds: [DeliveryKind], isInOrder: Bool = false) {
        self.deliveries = deliveries
        self.facts = facts
        self.concurrency = concurrency
        self.kinds = kinds
        self.isInOrder = isInOrder
    }
}

/// What one call of a sink came to.
public struct SinkReport: Sendable {
    public enum FarEnd: Sendable, Equatable {
        case well
        /// Nothing of this call got through, for a reason that will go away: wait.
        case unavailable(reason: String, retryAfterSeconds: Int?)
        /// It does not let us in. Somebody must fix the settings or the endpoint; nothing is dropped.
        case unauthorised(reason: String)
        /// It understood the request, and rejected as a whole what has no outcome. Its content may be at fault, but so may the settings:
        /// ``SinkSchedule`` finds out.
        case rejected(reason: String)
    }

    /// What a report that is not ``FarEnd/well`` is about.
    public enum Scope: Sendable, Equatable {
        /// The endpoint as a whole.
        case endpoint
        /// The bucket, table or prefix of the deliveries that have no outcome. Other kinds may be sent.
        case kinds
    }

    /// Deliveries that are not mentioned stay as they are.
    public var outcomes: [Int64: SinkOutcome]
    public var farEnd: FarEnd
    public var scope: Scope
    public var bytes: Int64
    /// What the sink does differently from now on, and which setting says so for good. Logged once by the worker.
    public var notices: [String] = []

    public init(
        outcomes: [Int64: SinkOutcome] = [:], farEnd: FarEnd = .well, scope: Scope = .endpoint, bytes: Int64 = 0
    ) {
        self.outcomes = outcomes
        self.farEnd = farEnd
        self.scope = scope
        self.bytes = bytes
    }
}

public enum SinkOutcome: Sendable, Equatable {
    case done
    /// The endpoint has its facts up to this one, and not yet the rest.
    case sent(throughID: Int64)
    /// This one could not be sent now.
    case failed(reason: String)
    /// The endpoint rejects these facts for good, each for its reason, and has the others.
    case refused([Int64: String])
    /// There is nothing to send any more.
    case void(reason: String)
}
