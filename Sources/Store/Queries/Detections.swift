import GRDB

/// Which detections are asked for. Nil means any.
public struct DetectionFilter: Sendable {
    public var listener: String?
    /// Scientific or common name, in any case.
    public var species: String?
    public var recording: String?
    /// 0...1
    public var leastConfidence: Double?
    /// UTC, inclusive.
    public var fromNanoseconds: Int64?
    /// UTC, exclusive.
    public var toNanoseconds: Int64?
    /// Rows with a smaller id than this.
    public var beforeID: Int64?
    /// 1...1000.
    public var limit = 100

    public init() {}
}

extension Store {
    /// Newest first.
    public func detections(_ filter: DetectionFilter) async throws(StoreError) -> [DetectionRecord] {
        try await read { database in
            var clauses = Clauses()
            clauses.add("listener_id = ?", filter.listener)
            clauses.add("(lower(scientific_name) = lower(?) OR lower(common_name) = lower(?))", filter.species)
            clauses.add("recording_name = ?", filter.recording)
            clauses.add("confidence >= ?", filter.leastConfidence)
            clauses.add("start_ns >= ?", filter.fromNanoseconds)
            clauses.add("start_ns < ?", filter.toNanoseconds)
            clauses.add("id < ?", filter.beforeID)
            return try DetectionRecord.fetchAll(
                database,
                sql: "SELECT \(DetectionRecord.columns) FROM detections\(clauses.sql) ORDER BY id DESC LIMIT ?",
                arguments: clauses.arguments + [filter.limit])
        }
    }

    public func detectionCount() async throws(StoreError) -> Int {
        try await read { try Int.fetchOne($0, sql: "SELECT count(*) FROM detections") ?? 0 }
    }

    /// How many detections there have ever been: the last number that was given. Unlike counting, this costs nothing after
    /// years, and it does not go back when old ones are forgotten.
    public func detectionTotal() async throws(StoreError) -> Int64 {
        try await read {
            try Int64.fetchOne($0, sql: "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'detections'")
                ?? 0
        }
    }

    /// The newest detection that no held delivery covers: the times of the others may still be moved. Nil when there is none.
    public func newestSettledDetection() async throws(StoreError) -> Int64? {
        try await read { database in
            let before = try database.cachedStatement(sql: "SELECT max(id) FROM detections WHERE id < ?")
            var newest = try Int64.fetchOne(before, arguments: [Int64.max])
            let held = try Row.fetchCursor(
                database,
                sql: """
                    SELECT first_id, last_id FROM deliveries
                    WHERE hold IS NOT NULL AND state = 'held' AND kind = 'detections' ORDER BY last_id DESC
                    """)
            while let id = newest, let row = try held.next() {
                let (first, last): (Int64, Int64) = (row[0], row[1])
                guard last >= id else { break }
                if first <= id { newest = try Int64.fetchOne(before, arguments: [first]) }
            }
            return newest
        }
    }

    public func models() async throws(StoreError) -> [ModelRecord] {
        try await read { try ModelRecord.fetchAll($0, sql: "SELECT * FROM models ORDER BY id") }
    }

    /// The number of a model and library, which is made when they are new. Called at the start only.
    public func modelID(
        name: String, modelSHA256: String, libraryVersion: String, librarySHA256: String
    ) throws(StoreError) -> Int64 {
        do {
            return try pool.write { database in
                let arguments: StatementArguments = [name, modelSHA256, libraryVersion, librarySHA256]
                try database.execute(
                    sql: """
                        INSERT OR IGNORE INTO models (name, model_sha256, library_version, library_sha256)
                        VALUES (?, ?, ?, ?)
                        """, arguments: arguments)
                return try Int64.fetchOne(
                    database,
                    sql: """
                        SELECT id FROM models
                        WHERE name = ? AND model_sha256 = ? AND library_version = ? AND library_sha256 = ?
                        """, arguments: arguments) ?? 0
            }
        } catch {
            throw StoreError(error)
        }
    }
}
