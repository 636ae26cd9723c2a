import FieldNodes
import Store

/// Which nodes may send without being admitted one by one, and with which token.
struct NodeAdmission: Sendable {
    struct Name: Hashable, Sendable {
        let kind: NodeKind
        /// Nil for all of the kind.
        let id: NodeID?
    }

    var isOpen: Bool
    var allowed: Set<Name>
    /// Empty: no token is asked for.
    var tokens: [Name: String]

    func isAllowed(_ node: NodeID) -> Bool {
        isOpen || allowed.contains(Name(kind: node.kind, id: node)) || allowed.contains(Name(kind: node.kind, id: nil))
    }

    /// Whether the operator has named this very node in the settings, not only its kind.
    func isNamed(_ node: NodeID) -> Bool {
        let name = Name(kind: node.kind, id: node)
        return allowed.contains(name) || tokens[name] != nil
    }

    /// Whether the operator has named this very node, in the settings or by a decision. The settings let every node in that
    /// `node_admission: open` or `kind:*` lets in, so of such a node nobody knows whether the operator has admitted it too.
    func isNamed(_ node: NodeID, as decision: NodeRecord.Admission) -> Bool {
        switch decision {
        case .refused: true
        case .admitted: isNamed(node) || !isAllowed(node)
        case .waiting: isNamed(node)
        }
    }

    /// Whether the token is right, or none is needed.
    func isRight(_ token: String?, for node: NodeID) -> Bool {
        let ofKind = tokens.filter { $0.key.kind == node.kind }
        guard !ofKind.isEmpty else { return true }
        let wanted = [ofKind[Name(kind: node.kind, id: node)], ofKind[Name(kind: node.kind, id: nil)]]
            .compactMap { $0 }
        guard let token else { return false }
        return wanted.contains { Tokens.areEqual($0, token) }
    }
}
