import FieldNodes
import Store

/// The nodes that are known, and how many of them each network address has added.
///
/// A value type: it does no I/O, and the caller tells the time. A node that the operator has named is counted for no address and
/// always has room, so nobody can lock it out by sending under other names.
struct NodeTable {
    struct Limits: Sendable {
        /// Nodes that are known, apart from those that the operator has named.
        var nodes: Int
        /// Nodes that one address may add.
        var nodesPerAddress: Int

        /// Nodes that wait to be admitted.
        var waiting: Int { max(1, nodes / 10) }
        /// Nodes of one address that wait to be admitted.
        var waitingPerAddress: Int { max(1, waiting / 10) }
    }

    struct Entry {
        var admission: NodeRecord.Admission
        var label = ""
        /// The address that the node is counted for; nil for a node that the operator has named, or whose source is trusted.
        var address: String?
        /// UTC.
        var seenNanoseconds: Int64
        /// When a sighting was last stored.
        var storedAt: ContinuousClock.Instant?
        /// Messages since then.
        var messages: Int64 = 0
        /// Whether files of it are kept, which count for its address.
        var keepsFiles = false
    }

    enum Addition: Equatable {
        case known
        case added(replaced: NodeID?)
        /// `max_nodes` are known.
        case full
        /// The address has added `max_nodes_per_address`, or too many that wait.
        case addressIsFull
    }

    /// A node that waits and was not heard of for so long gives its room to another one.
    static let waitingLifetimeNanoseconds: Int64 = 86_400 * 1_000_000_000
    /// A node that the operator has not named, that keeps no files and that was not heard of for so long gives its room to another
    /// one. What it sent stays, and so does its row.
    static let silentLifetimeNanoseconds: Int64 = 30 * 86_400 * 1_000_000_000
    /// How often at most all nodes are looked through for such.
    private static let lookIntervalNanoseconds: Int64 = 60 * 1_000_000_000

    let limits: Limits
    private(set) var entries: [NodeID: Entry] = [:]
    private var members: [String: Set<NodeID>] = [:]
    private var waiting: Set<NodeID> = []
    /// Nodes that are not counted for an address because the operator has named them.
    private var named: Set<NodeID> = []
    private var lookedAtNanoseconds: Int64?

    init(limits: Limits) { self.limits = limits }

    subscript(_ node: NodeID) -> Entry? { entries[node] }

    /// Nodes that the same address has added; empty for a node that is counted for none.
    func fellows(of node: NodeID) -> Set<NodeID> { entries[node]?.address.flatMap { members[$0] } ?? [] }

    /// Adds a node without looking at the limits: it was known before, or the operator says so.
    mutating func restore(_ node: NodeID, _ entry: Entry, isNamed: Bool) {
        remove(node)
        var entry = entry
        if isNamed { entry.address = nil }
        entries[node] = entry
        if isNamed { named.insert(node) }
        if entry.admission == .waiting { waiting.insert(node) }
        if let address = entry.address { members[address, default: []].insert(node) }
    }

    mutating func remove(_ node: NodeID) {
        guard let entry = entries.removeValue(forKey: node) else { return }
        waiting.remove(node)
        named.remove(node)
        guard let address = entry.address else { return }
        members[address]?.remove(node)
        if members[address]?.isEmpty == true { members[address] = nil }
    }

    mutating func change(_ node: NodeID, _ body: (inout Entry) -> Void) {
        guard var entry = entries[node] else { return }
        body(&entry)
        restore(node, entry, isNamed: named.contains(node))
    }

    /// Adds a node that has come by itself, or changes what is said of a known one.
    ///
    /// - Parameters:
    ///   - address: The address that it is counted for; nil for a trusted source.
    ///   - isNamed: Whether the operator has named this very node.
    ///   - nowNanoseconds: UTC.
    mutating func add(
        _ node: NodeID, _ admission: NodeRecord.Admission, address: String?, isNamed: Bool, nowNanoseconds now: Int64
    ) -> Addition {
        if var entry = entries[node] {
            guard entry.admission != admission || isNamed != named.contains(node) else { return .known }
            entry.admission = admission
            restore(node, entry, isNamed: isNamed || named.contains(node))
            return .known
        }
        var replaced: NodeID?
        if !isNamed {
            if isFull || isFull(address) { forgetSilent(now) }
            guard !isFull else { return .full }
            guard !isFull(address) else { return .addressIsFull }
            let own = address.flatMap { members[$0] } ?? []
            if admission == .waiting {
                let ownWaiting = own.intersection(waiting)
                let isAddressFull = ownWaiting.count >= limits.waitingPerAddress
                if isAddressFull || waiting.count >= limits.waiting {
                    replaced = silent(among: isAddressFull ? ownWaiting : waiting, now)
                    guard replaced != nil else { return isAddressFull ? .addressIsFull : .full }
                }
            }
        }
        if let replaced { remove(replaced) }
        restore(node, Entry(admission: admission, address: address, seenNanoseconds: now), isNamed: isNamed)
        return .added(replaced: replaced)
    }

    private var isFull: Bool { entries.count - named.count >= limits.nodes }

    private func isFull(_ address: String?) -> Bool {
        guard let address else { return false }
        return members[address]?.count ?? 0 >= limits.nodesPerAddress
    }

    private mutating func forgetSilent(_ now: Int64) {
        if let last = lookedAtNanoseconds, (0..<Self.lookIntervalNanoseconds).contains(now - last) { return }
        lookedAtNanoseconds = now
        let silent = entries.filter { node, entry in
            entry.admission == .admitted && !entry.keepsFiles && !named.contains(node)
                && entry.seenNanoseconds <= now - Self.silentLifetimeNanoseconds
        }
        for node in silent.keys { remove(node) }
    }

    /// The node that was not heard of for the longest time, if that is long enough.
    private func silent(among nodes: Set<NodeID>, _ now: Int64) -> NodeID? {
        let oldest = nodes.min { seen($0) < seen($1) }
        guard let oldest, seen(oldest) <= now - Self.waitingLifetimeNanoseconds else { return nil }
        return oldest
    }

    private func seen(_ node: NodeID) -> Int64 { entries[node]?.seenNanoseconds ?? 0 }
}
