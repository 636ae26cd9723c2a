import GRDB

extension Store {
    /// How many of these changes' readings are not in the store yet. Readings of the same node, layout and moment count once.
    ///
    /// For importers, which say what they added. Another process may add the same in the meantime.
    public func newReadings(in changes: [StoreChange]) async throws(StoreError) -> Int {
        try await read { try Self.newReadings(in: changes, $0) }
    }

    /// The same, for threads that may wait.
    public func newReadingsBlocking(in changes: [StoreChange]) throws(StoreError) -> Int {
        try readBlocking { try Self.newReadings(in: changes, $0) }
    }

    private struct Identity: Hashable {
        let key: NodeKey
        let layout: String
        let time: Int64
    }

    private static func newReadings(in changes: [StoreChange], _ database: Database) throws -> Int {
        let statement = try database.cachedStatement(
            sql: "SELECT EXISTS (SELECT 1 FROM readings WHERE node_id = ? AND layout_id = ? AND time_ns = ?)")
        var new: Set<Identity> = []
        for case .readings(let batch) in changes {
            let node = try NodeWriter.find(batch.key, database)
            let layout = try Int64.fetchOne(
                database.cachedStatement(sql: "SELECT id FROM layouts WHERE columns = ?"),
                arguments: [batch.layout.text])
            for time in batch.times {
                if let node, let layout, try Bool.fetchOne(statement, arguments: [node, layout, time]) ?? false {
                    continue
                }
                new.insert(Identity(key: batch.key, layout: batch.layout.text, time: time))
            }
        }
        return new.count
    }
}
