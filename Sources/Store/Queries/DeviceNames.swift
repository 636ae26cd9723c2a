import GRDB

/// The names of all sensors, nodes and listeners of which the store has anything.
public struct DeviceNames: Sendable {
    /// Sources of observations that are not of nodes.
    public var sources: [String] = []
    public var nodes: [NodeKey] = []
    public var listeners: [String] = []
}

extension Store {
    /// All of them, as they were at one moment.
    public func deviceNames() async throws(StoreError) -> DeviceNames {
        try await read { database in
            DeviceNames(
                sources: try String.fetchAll(database, sql: "SELECT DISTINCT source FROM series"),
                nodes: try Row.fetchAll(database, sql: "SELECT kind, name FROM nodes").map {
                    NodeKey(kind: $0[0], name: $0[1])
                },
                listeners: try String.fetchAll(database, sql: "SELECT id FROM listeners"))
        }
    }
}
