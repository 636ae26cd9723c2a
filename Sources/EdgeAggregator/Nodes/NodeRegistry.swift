import FieldNodes
import Store
import Synchronization
import TextParts

/// Which nodes may send, by the settings and by what the operator says, and which have been heard of.
///
/// Whoever has not shown the right token is not remembered: a stranger takes no room and changes nothing.
final class NodeRegistry: Sendable {
    enum Verdict: Sendable, Equatable {
        case admitted
        /// Nobody has said that it may.
        case waiting
        /// Somebody has said that it may not.
        case refused
        /// The token is missing or wrong.
        case unauthorised
        /// Too many nodes are known.
        case full
        /// Its address has added too many nodes.
        case addressIsFull
    }

    private let admission: NodeAdmission
    private let store: Store
    private let table: Mutex<NodeTable>

    /// How often at most it is written down that a node was heard of.
    private static let interval: Duration = .seconds(5)

    /// - Parameter unitsWithFiles: Names of CO2 units of which files are kept.
    init(
        _ admission: NodeAdmission, limits: NodeTable.Limits, store: Store, unitsWithFiles: Set<String> = []
    ) throws {
        self.admission = admission
        self.store = store
        var table = NodeTable(limits: limits)
        for record in try store.nodesBlocking() {
            guard let kind = NodeKind(rawValue: record.key.kind), let node = NodeID(kind, record.key.name) else {
                continue
            }
            let entry = NodeTable.Entry(
                admission: record.admission, label: record.label, address: Self.address(recorded: record.remoteAddress),
                seenNanoseconds: record.lastSeenNanoseconds,
                keepsFiles: kind == .co2 && unitsWithFiles.contains(node.text))
            table.restore(node, entry, isNamed: admission.isNamed(node, as: record.admission))
        }
        self.table = Mutex(table)
    }

    /// The address of `address:port`, as it stands in a node's record; nil where it came from no network.
    static func address(recorded text: String) -> String? {
        guard !text.isEmpty else { return nil }
        if AddressRange(text) != nil { return ClientAddress(text).text }
        let host = text.halves(atLast: ":").map { String($0.before) } ?? text
        // A broker, or the address of a log.
        return AddressRange(host) == nil ? nil : ClientAddress(host).text
    }

    /// - Parameter client: The address that it comes from, without a port.
    func judge(_ node: NodeID, token: String?, client: String, nowNanoseconds now: Int64) async -> Verdict {
        // Before anything that is known of the node: whoever has not shown the token changes nothing of it.
        guard admission.isRight(token, for: node) else { return .unauthorised }
        switch table.withLock({ $0[node]?.admission }) {
        case .refused: return .refused
        case .admitted: return .admitted
        case .waiting, nil: break
        }
        let address = ClientAddress(client).text
        if admission.isAllowed(node) {
            return remember(node, .admitted, address: address, isNamed: admission.isNamed(node), now)
        }
        // Another process may have admitted it.
        if let record = try? await store.node(node.key), record.admission != .waiting {
            return remember(node, record.admission, address: nil, isNamed: true, now)
        }
        return remember(node, .waiting, address: address, isNamed: false, now)
    }

    /// Of a node whose source the operator has named: it may send, unless the operator has said that it may not.
    func judgeTrusted(_ node: NodeID, nowNanoseconds now: Int64) -> Verdict {
        if table.withLock({ $0[node]?.admission }) == .refused { return .refused }
        return remember(node, .admitted, address: nil, isNamed: admission.isNamed(node), now)
    }

    private func remember(
        _ node: NodeID, _ admission: NodeRecord.Admission, address: String?, isNamed: Bool, _ now: Int64
    ) -> Verdict {
        switch table.withLock({
            $0.add(node, admission, address: address, isNamed: isNamed, nowNanoseconds: now)
        }) {
        case .full: return .full
        case .addressIsFull: return .addressIsFull
        case .added(let replaced):
            if let replaced { store.enqueue([.forgetWaitingNode(replaced.key)]) }
        case .known: break
        }
        switch admission {
        case .admitted: return .admitted
        case .refused: return .refused
        case .waiting: return .waiting
        }
    }

    /// The operator has decided.
    func set(_ node: NodeID, _ admission: NodeRecord.Admission) {
        table.withLock { table in
            var entry = table[node] ?? NodeTable.Entry(admission: admission, seenNanoseconds: 0)
            entry.admission = admission
            table.restore(node, entry, isNamed: self.admission.isNamed(node, as: admission))
        }
    }

    /// Files of a unit are kept: it keeps its room, however long it is silent.
    func noteFiles(of node: NodeID) {
        table.withLock { table in
            guard table[node]?.keepsFiles == false else { return }
            table.change(node) { $0.keepsFiles = true }
        }
    }

    /// Nodes of the same fleet that the same address has added, the node itself among them; empty for a node that the operator
    /// has named.
    func fellows(of node: NodeID) -> [NodeID] {
        table.withLock { $0.fellows(of: node) }.filter { $0.kind == node.kind }
    }

    /// What is to be written down of a node that was heard of; nil when that was done a moment ago.
    func sighting(
        _ node: NodeID, at nanoseconds: Int64, label: String? = nil, remoteAddress: String = "", isUrgent: Bool = false
    ) -> StoreChange? {
        let now = ContinuousClock.now
        return table.withLock { table in
            guard let known = table[node] else { return nil }
            let isNamed = label.map { $0 != known.label } ?? false
            let isDue = known.storedAt.map { now - $0 >= Self.interval } ?? true
            let isStored = isUrgent || isNamed || isDue
            table.change(node) { entry in
                entry.seenNanoseconds = nanoseconds
                entry.messages = isStored ? 0 : entry.messages + 1
                if isStored { entry.storedAt = now }
                if isStored, let label { entry.label = label }
            }
            guard isStored else { return nil }
            return .node(
                NodeSighting(
                    key: node.key, seenNanoseconds: nanoseconds, label: label, remoteAddress: remoteAddress,
                    admission: known.admission, messages: known.messages + 1))
        }
    }

    var counts: [NodeKind: (admitted: Int, waiting: Int, refused: Int)] {
        table.withLock { table in
            table.entries.reduce(into: [:]) { counts, entry in
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

extension NodeRegistry.Verdict {
    /// For a node that may not send: what happened, and what the operator can do.
    func reason(_ node: NodeID) -> String {
        switch self {
        case .admitted: "\(node.text) is admitted"
        case .waiting:
            "\(node.text) is not admitted: edge-aggregator nodes admit \(node.kind.rawValue) \(node.text), or node_allow"
        case .refused: "\(node.text) was refused by the operator"
        case .unauthorised: "The token is missing or wrong (node_tokens)"
        case .full: "too many nodes are known (max_nodes)"
        case .addressIsFull: "this address has sent under too many names (max_nodes_per_address)"
        }
    }
}
