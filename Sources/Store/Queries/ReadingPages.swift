import GRDB

extension Store {
    /// A node's readings of a layout after a time, oldest first, at most `limit`. The time of the last is where the next page begins.
    ///
    /// - Parameter afterNanoseconds: UTC, exclusive.
    public func readingPage(
        of key: NodeKey, layout: ReadingLayout, afterNanoseconds: Int64, limit: Int
    ) async throws(StoreError) -> [ReadingRecord] {
        try await read { database in
            try ReadingRecord.all(
                database,
                sql: """
                     WHERE node_id = (SELECT id FROM nodes WHERE kind = ? AND name = ?)
                        AND layout_id = (SELECT id FROM layouts WHERE columns = ?) AND time_ns > ?
                    ORDER BY time_ns LIMIT ?
                    """, [key.kind, key.name, layout.text, afterNanoseconds, limit])
        }
    }
}
