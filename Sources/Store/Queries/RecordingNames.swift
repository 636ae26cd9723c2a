import GRDB

extension Store {
    /// The rows of those of these recordings that have one, by name. One read for all, so ask for hundreds at a time, not for all.
    public func recordingsBlocking(named names: [String]) throws(StoreError) -> [String: RecordingRecord] {
        guard !names.isEmpty else { return [:] }
        return try readBlocking { database in
            let statement = try database.cachedStatement(sql: "SELECT * FROM recordings WHERE name = ?")
            var found: [String: RecordingRecord] = [:]
            for name in names {
                found[name] = try RecordingRecord.fetchOne(statement, arguments: [name])
            }
            return found
        }
    }
}
