import FieldNodes
import Logging
import Sensors
import Store
import Synchronization

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

/// Who may send, as the settings and the operator say; and who was heard of.
final class NodeRegistry: Sendable {
    enum Verdict: Sendable, Equatable {
        case admitted
        /// Nobody has said that it may.
        case waiting
        /// Somebody has said that it may not.
        case refused
        /// Too many nodes are known.
        case full
    }

    private struct Known {
        var admission: NodeRecord.Admission
        var label = ""
        /// Steady time.
        var noted: ContinuousClock.Instant?
        var messages: Int64 = 0
    }

    private let admission: NodeAdmission
    private let most: Int
    private let mostWaiting: Int
    private let store: Store
    private let known: Mutex<[NodeID: Known]>

    /// How often at most it is written down that a node was heard of.
    private static let interval: Duration = .seconds(5)

    init(_ admission: NodeAdmission, most: Int, store: Store) throws {
        self.admission = admission
        self.most = most
        mostWaiting = max(1, most / 10)
        self.store = store
        var all: [NodeID: Known] = [:]
        for record in try store.nodesBlocking() {
            guard let kind = NodeKind(rawValue: record.key.kind), let node = NodeID(kind, record.key.name) else {
                continue
            }
            all[node] = Known(admission: record.admission, label: record.label)
        }
        known = Mutex(all)
    }

    func isRight(_ token: String?, for node: NodeID) -> Bool { admission.isRight(token, for: node) }

    func judge(_ node: NodeID) async -> Verdict {
        let known = known.withLock { $0[node]?.admission }
        switch known {
        case .refused: return .refused
        case .admitted: return .admitted
        case .waiting, nil: break
        }
        if admission.isAllowed(node) { return remember(node, .admitted) }
        // Another process may have admitted it.
        if let record = try? await store.node(node.key), record.admission != .waiting {
            return remember(node, record.admission)
        }
        return remember(node, .waiting)
    }

    /// Of a node whose source the operator has named: it may send, unless the operator has said that it may not.
    func judgeTrusted(_ node: NodeID) -> Verdict {
        if known.withLock({ $0[node]?.admission }) == .refused { return .refused }
        return remember(node, .admitted)
    }

    private func remember(_ node: NodeID, _ admission: NodeRecord.Admission) -> Verdict {
        known.withLock { known in
            if known[node] == nil {
                guard known.count < most else { return .full }
                // Strangers must not take the room of those that will be admitted.
                let isCrowded = known.values.count { $0.admission == .waiting } >= mostWaiting
                if admission == .waiting, isCrowded { return .full }
            }
            known[node, default: Known(admission: admission)].admission = admission
            switch admission {
            case .admitted: return .admitted
            case .refused: return .refused
            case .waiting: return .waiting
            }
        }
    }

    func set(_ node: NodeID, _ admission: NodeRecord.Admission) {
        known.withLock { $0[node, default: Known(admission: admission)].admission = admission }
    }

    /// What is to be written down of a node that was heard of; nil when that was done a moment ago.
    func sighting(
        _ node: NodeID, at nanoseconds: Int64, label: String? = nil, remoteAddress: String = "", isUrgent: Bool = false
    ) -> StoreChange? {
        let now = ContinuousClock.now
        return known.withLock { known in
            guard var entry = known[node] else { return nil }
            entry.messages += 1
            let isNamed = label.map { $0 != entry.label } ?? false
            let isDue = entry.noted.map { now - $0 >= Self.interval } ?? true
            defer { known[node] = entry }
            guard isUrgent || isNamed || isDue else { return nil }
            let sighting = NodeSighting(
                key: node.key, seenNanoseconds: nanoseconds, label: label, remoteAddress: remoteAddress,
                admission: entry.admission, messages: entry.messages)
            entry.messages = 0
            entry.noted = now
            if let label { entry.label = label }
            return .node(sighting)
        }
    }

    var counts: [NodeKind: (admitted: Int, waiting: Int, refused: Int)] {
        known.withLock { known in
            known.reduce(into: [:]) { counts, entry in
                var count = counts[entry.key.kind] ?? (0, 0, 0)
                switch entry.value.admission {
                case .admitted: count.0 += 1
                case .waiting: count.1 += 1
                case .refused: count.2 += 1
                }
                counts[entry.key.kind] = count
            }
        }
    }
}

extension NodeHouse {
    /// Judges a node that has come by itself; one that may not send is written down as waiting.
    func judge(_ node: NodeID, remoteAddress: String) async -> NodeRegistry.Verdict {
        let verdict = await registry.judge(node)
        metrics[node.kind].messages.add(1)
        if verdict != .admitted {
            metrics[node.kind].refused.add(1)
            if let change = registry.sighting(node, at: time.now().utcNanoseconds, remoteAddress: remoteAddress) {
                store.enqueue([change])
            }
        }
        return verdict
    }
}

extension NodeRegistry.Verdict {
    /// For a node that may not send: what happened, and what the operator can do.
    func reason(_ node: NodeID) -> String {
        switch self {
        case .admitted: "\(node.text) is admitted"
        case .waiting:
            "\(node.text) is not admitted: edge-aggregator nodes admit \(node.kind.rawValue) \(node.text), or node_allow"
        case .refused: "\(node.text) was refused by the operator"
        case .full: "too many nodes are known (max_nodes)"
        }
    }
}
