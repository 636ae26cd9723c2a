import FieldNodes
import HTTPTypes

/// One contact of a node with the box, for its line in the log.
struct NodeContact: Sendable {
    let kind: NodeKind
    /// As it stands in its ``NodeID``; empty where a log of several nodes was fetched and had no line.
    let node: String
    /// Where it came from: an address with its port, a broker, or the address of a log.
    let from: String
    /// `alive`, `push data/readings/readings-0000.tsv`, `mqtt csvlog`
    var what: String
    /// Of content that the node sent or got; 0 for none.
    var bytes: Int64 = 0
    /// Status of the answer with what it means, or how many readings were taken.
    private(set) var result = ""
    /// Whether the box did not take it, or did not answer what was asked for.
    private(set) var isRejected = false
    /// Why.
    var reason = ""

    init(_ kind: NodeKind, _ node: String, from: String, what: String) {
        self.kind = kind
        self.node = node
        self.from = from
        self.what = what
    }

    /// - Parameter isOrdinary: Whether an answer of 400 or more is part of the protocol: "no updates", "go back".
    mutating func end(_ status: HTTPResponse.Status, isOrdinary: Bool = false) {
        result = "\(status.code)"
        isRejected = status.code >= 400 && !isOrdinary
    }

    /// Of lines that came without a question to answer.
    mutating func end(readings: Int, rejected: Int) {
        result = "\(readings) readings, \(rejected) rejected"
        isRejected = readings == 0 && rejected > 0
    }
}
