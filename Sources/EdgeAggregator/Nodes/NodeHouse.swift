import FieldNodes
import Logging
import Sensors
import Store

/// What everything that deals with nodes needs.
struct NodeHouse: Sendable {
    let store: Store
    let time: any TimeSource
    let registry: NodeRegistry
    let metrics: NodeMetrics
    let events: EventHub
    /// For file work, which waits for the disk.
    let executor: IngestExecutor
    let logger: Logger
    /// Where each contact of a node is written.
    let contacts: ContactLog

    init(
        store: Store, time: any TimeSource, registry: NodeRegistry, metrics: NodeMetrics, events: EventHub,
        executor: IngestExecutor, logger: Logger
    ) {
        self.store = store
        self.time = time
        self.registry = registry
        self.metrics = metrics
        self.events = events
        self.executor = executor
        self.logger = logger
        contacts = ContactLog(logger: logger)
    }
}

/// What came from nodes, by kind.
final class NodeMetrics: Sendable {
    struct OfKind: Sendable {
        let messages = Counter()
        let readings = Counter()
        let rejected = Counter()
        let refused = Counter()
        let bytes = Counter()
    }

    let co2 = OfKind()
    let isems = OfKind()
    let piwardrive = OfKind()
    let pollFailures = Counter()
    let uploadsWaiting = Gauge()
    let uploadsMerged = Counter()
    let uploadsBroken = Counter()
    let filesReplaced = Counter()

    subscript(_ kind: NodeKind) -> OfKind {
        switch kind {
        case .co2: co2
        case .isems: isems
        case .piwardrive: piwardrive
        }
    }
}

extension NodeID {
    var key: NodeKey { NodeKey(kind: kind.rawValue, name: text) }
}

extension NodeHouse {
    /// Judges a node that has come by itself: the token first, so that a stranger changes nothing. One that has shown what it must and may
    /// not send is written down as waiting.
    ///
    /// - Parameter token: Nil when it has sent none, or can send none.
    func judge(_ node: NodeID, token: String?, _ context: EdgeContext) async -> NodeRegistry.Verdict {
        let now = time.now().utcNanoseconds
        let verdict = await registry.judge(node, token: token, client: context.client, nowNanoseconds: now)
        metrics[node.kind].messages.add(1)
        guard verdict != .admitted else { return verdict }
        metrics[node.kind].refused.add(1)
        if verdict == .waiting || verdict == .refused,
            let change = registry.sighting(node, at: now, remoteAddress: context.remoteAddress)
        {
            store.enqueue([change])
        }
        return verdict
    }
}
