import TextParts

/// Where a node's message came from: topics end in `<nodeid>/csvlog` or `<nodeid>/data.json`, whatever is before.
public struct ISEMSTopic: Sendable, Equatable {
    public enum Form: Sendable { case csv, json }

    public let nodeID: String
    public let form: Form

    /// Nil when a topic is none of these.
    public init?(_ topic: some StringProtocol) {
        let parts = Substring(topic).parts(at: "/", omittingEmpty: false)
        guard parts.count >= 2, let node = NodeID(.isems, parts[parts.count - 2]) else { return nil }
        switch parts[parts.count - 1] {
        case "csvlog": form = .csv
        case "data.json": form = .json
        default: return nil
        }
        nodeID = node.text
    }

    /// Of the address `…/<nodeid>/data`, to which nodes POST the JSON form.
    public init?(path: some StringProtocol) {
        let parts = Substring(path).parts(at: "/")
        guard parts.count >= 2, parts.last == "data", let node = NodeID(.isems, parts[parts.count - 2]) else {
            return nil
        }
        nodeID = node.text
        form = .json
    }
}
