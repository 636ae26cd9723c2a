public import Store
import Synchronization
import TextParts

/// How a sink is doing, for people and metrics.
public final class SinkStatus: Sendable {
    /// A kind of deliveries that is not sent with the others.
    public struct Kind: Sendable, Hashable {
        public let kind: DeliveryKind
        public let state: SinkPace.State
        public internal(set) var reason: String
        /// When it is tried again, by the steady clock; 0 for now.
        public let nextNanoseconds: Int64
        /// Whether rejected batches are halved to find the fact that is at fault.
        public let isHalving: Bool
    }

    public struct Snapshot: Sendable {
        public var state = SinkPace.State.flowing
        /// Why nothing is sent, in words, without passwords.
        public var reason: String?
        /// Attempts in a row that failed.
        public var failures = 0
        /// When it is tried again, by the steady clock; 0 for now.
        public var nextNanoseconds: Int64 = 0
        /// Those with a state of their own; empty when all are sent alike.
        public var kinds: [Kind] = []
        /// UTC.
        public var lastSuccessNanoseconds: Int64?
        public var inFlight = 0
        public var requests: Int64 = 0
        public var failedRequests: Int64 = 0
        public var factsDone: Int64 = 0
        public var factsRefused: Int64 = 0
        public var bytes: Int64 = 0
    }

    public let name: String
    /// What the sink carries. Deliveries of other kinds that still wait for it are not sent.
    public let carriedKinds: [DeliveryKind]
    private let state = Mutex(Snapshot())

    public init(name: String, carriedKinds: [DeliveryKind] = DeliveryKind.allCases) {
        self.name = name
        self.carriedKinds = carriedKinds
    }

    public var snapshot: Snapshot { state.withLock { $0 } }

    func update(_ body: (inout Snapshot) -> Void) {
        state.withLock {
            body(&$0)
            $0.reason = $0.reason?.hidingPasswords
            for index in $0.kinds.indices { $0.kinds[index].reason = $0.kinds[index].reason.hidingPasswords }
        }
    }
}
