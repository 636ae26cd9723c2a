import GRDB

/// Which observations are asked for. Nil means any.
public struct ObservationFilter: Sendable {
    public var source: String?
    public var quantity: String?
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

/// An observation that is to be delivered.
public struct ObservationFact: Sendable, Hashable {
    public let deliveryID: Int64
    public let observation: ObservationRecord
}

extension Sequence where Element == ObservationFact {
    /// What one source said at one moment, together; in their order.
    public var byMoment: [[ObservationRecord]] {
        reduce(into: []) { groups, fact in
            if let last = groups.last?.last, last.source == fact.observation.source,
                last.timeNanoseconds == fact.observation.timeNanoseconds
            {
                groups[groups.count - 1].append(fact.observation)
            } else {
                groups.append([fact.observation])
            }
        }
    }
}

extension Store {
    /// Newest first.
    public func observations(_ filter: ObservationFilter) async throws(StoreError) -> [ObservationRecord] {
        try await read { database in
            var clauses = Clauses()
            clauses.add("source = ?", filter.source)
            clauses.add("quantity = ?", filter.quantity)
            clauses.add("time_ns >= ?", filter.fromNanoseconds)
            clauses.add("time_ns < ?", filter.toNanoseconds)
            clauses.add("observations.id < ?", filter.beforeID)
            return try ObservationRecord.fetchAll(
                database, sql: "\(ObservationRecord.selection)\(clauses.sql) ORDER BY observations.id DESC LIMIT ?",
                arguments: clauses.arguments + [filter.limit])
        }
    }

    /// The last of each series, by source and quantity.
    public func latestObservations(limit: Int = 1000) async throws(StoreError) -> [ObservationRecord] {
        try await read { database in
            try ObservationRecord.fetchAll(
                database,
                sql: """
                    \(ObservationRecord.selection)
                    WHERE observations.id IN (
                        SELECT (SELECT id FROM observations WHERE series_id = one.id ORDER BY time_ns DESC LIMIT 1)
                        FROM series AS one ORDER BY one.id DESC LIMIT ?)
                    ORDER BY source, quantity
                    """, arguments: [limit])
        }
    }

    /// The observations of those deliveries that carry any, by their numbers.
    public func observationFacts(of deliveries: [DeliveryRecord]) async throws(StoreError) -> [ObservationFact] {
        let owners = deliveries.filter { $0.kind == .observations }.sorted { $0.firstID < $1.firstID }
        guard !owners.isEmpty else { return [] }
        return try await read { database in
            var facts: [ObservationFact] = []
            let statement = try database.cachedStatement(
                sql: "\(ObservationRecord.selection) WHERE observations.id BETWEEN ? AND ? ORDER BY observations.id")
            var owner = 0
            for (first, last) in Self.merged(owners.map { ($0.firstID, $0.lastID) }) {
                let rows = try ObservationRecord.fetchCursor(statement, arguments: [first, last])
                while let observation = try rows.next() {
                    let id = observation.id ?? 0
                    while owners[owner].lastID < id, owner + 1 < owners.count { owner += 1 }
                    facts.append(ObservationFact(deliveryID: owners[owner].id, observation: observation))
                }
            }
            return facts
        }
    }
}
