import Synchronization

/// How a sink is doing, for people and metrics.
public final class SinkStatus: Sendable {
    public struct Snapshot: Sendable {
        public var state = SinkPace.State.flowing
        /// Why nothing is sent, in words.
        public var reason: String?
        /// Attempts in a row that failed.
        public var failures = 0
        /// When it is tried again, by the steady clock; 0 for now.
        public var nextNanoseconds: Int64 = 0
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
    private let state = Mutex(Snapshot())

    public init(name: String) {
        self.name = name
    }

    public var snapshot: Snapshot { state.withLock { $0 } }

    func update(_ body: (inout Snapshot) -> Void) {
        state.withLock { body(&$0) }
    }
}
