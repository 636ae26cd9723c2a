import EdgeTesting
import FieldNodes
import Store
import Testing

@testable import EdgeAggregator

/// What the registry says of a node, and what it remembers.
struct NodeRegistryTests {
    private static let limits = NodeTable.Limits(nodes: 100, nodesPerAddress: 50)

    private func withStore(_ body: (Store) async throws -> Void) async throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let store = try Store(path: "\(folder)/edge.db", options: Store.Options())
        defer { store.close() }
        try await body(store)
    }

    /// RFC 9110 §15.5.2: who has not shown what it must is told so, whatever is known of the node.
    @Test func aWrongTokenChangesNothingOfAKnownNode() async throws {
        try await withStore { store in
            let admission = NodeAdmission(
                isOpen: false, allowed: [], tokens: [.init(kind: .piwardrive, id: nil): "right"])
            let registry = try NodeRegistry(admission, limits: Self.limits, store: store)
            let van = try #require(NodeID(.piwardrive, "van7"))
            func judge(_ token: String?) async -> NodeRegistry.Verdict {
                await registry.judge(van, token: token, client: "192.0.2.1", nowNanoseconds: 1)
            }
            let strange = await judge("wrong")
            #expect(strange == .unauthorised && registry.counts[.piwardrive] == nil)
            let waiting = await judge("right")
            #expect(waiting == .waiting)
            for decision in [nil, NodeRecord.Admission.refused, .admitted] {
                if let decision { registry.set(van, decision) }
                for token in ["wrong", nil] {
                    let verdict = await judge(token)
                    #expect(verdict == .unauthorised, "\(String(describing: decision))")
                }
            }
            let right = await judge("right")
            #expect(right == .admitted)
        }
    }

    /// Where every unit is let in, `nodes admit` does not take one out of the limit of its address: neither now nor after a restart.
    @Test(arguments: [true, false])
    func aDecisionMeansTheSameAfterARestart(isOpen: Bool) async throws {
        try await withStore { store in
            let unit = try #require(NodeID(.co2, "co2unit-1"))
            let admission = NodeAdmission(isOpen: isOpen, allowed: [], tokens: [:])
            try await store.commit([
                .node(
                    NodeSighting(
                        key: unit.key, seenNanoseconds: 1, remoteAddress: "192.0.2.1:40000",
                        admission: isOpen ? .admitted : .waiting))
            ])
            let registry = try NodeRegistry(admission, limits: Self.limits, store: store)
            try await store.commit([.admitNode(unit.key, .admitted, atNanoseconds: 2)])
            registry.set(unit, .admitted)
            let restarted = try NodeRegistry(admission, limits: Self.limits, store: store)
            for one in [registry, restarted] {
                #expect(one.fellows(of: unit) == (isOpen ? [unit] : []))
                #expect(one.counts[.co2]?.admitted == 1)
            }
        }
    }
}
