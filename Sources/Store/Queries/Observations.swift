import GRDB
import TextParts

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
            if let last = groups.last?.last, last.source.utf8.elementsEqual(fact.observation.source.utf8),
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
    /// Newest first. What a node said at one moment stays together, so there may be a few more than the limit.
    public func observations(_ filter: ObservationFilter) async throws(StoreError) -> [ObservationRecord] {
        try await read { database in
            let own = try Self.ownObservations(filter, database)
            let nodes = try Self.nodeObservations(filter, database)
            guard !nodes.isEmpty else { return own }
            var both: [ObservationRecord] = []
            for observation in (own + nodes).sorted(by: { ($0.id ?? 0) > ($1.id ?? 0) }) {
                if both.count >= filter.limit, both.last?.id != observation.id { break }
                both.append(observation)
            }
            return both
        }
    }

    private static func ownObservations(
        _ filter: ObservationFilter, _ database: Database
    ) throws -> [ObservationRecord] {
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

    private static func nodeObservations(
        _ filter: ObservationFilter, _ database: Database
    ) throws -> [ObservationRecord] {
        var clauses = Clauses()
        if let source = filter.source {
            let parts = source.parts(at: "/", maximumSplits: 1).map(String.init)
            guard parts.count == 2, let node = try NodeWriter.find(NodeKey(kind: parts[0], name: parts[1]), database)
            else { return [] }
            clauses.add("node_id = ?", node)
        }
        if let quantity = filter.quantity {
            let layouts = try Row.fetchAll(database, sql: "SELECT id, columns FROM layouts")
                .filter { ReadingLayout(text: $0[1]).names.contains(quantity) }.map { $0[0] as Int64 }
            guard !layouts.isEmpty else { return [] }
            // Numbers only.
            clauses.add("layout_id IN (\(layouts.map(String.init).joined(separator: ","))) AND ?", true)
        }
        clauses.add("time_ns >= ?", filter.fromNanoseconds)
        clauses.add("time_ns < ?", filter.toNanoseconds)
        clauses.add("readings.id < ?", filter.beforeID)
        let readings = try ReadingRecord.all(
            database, sql: "\(clauses.sql) ORDER BY readings.id DESC LIMIT ?", clauses.arguments + [filter.limit])
        return readings.flatMap { reading in
            reading.observations.filter { filter.quantity == nil || $0.quantity == filter.quantity }
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
            let ofNodes = try database.cachedStatement(
                sql: "\(ReadingRecord.selection) WHERE readings.id BETWEEN ? AND ? ORDER BY readings.id")
            var owner = 0
            for (first, last) in Self.merged(owners.map { ($0.firstID, $0.lastID) }) {
                var nodes: [ObservationRecord] = []
                try ReadingRecord.each(ofNodes, [first, last]) { nodes += $0.observations }
                var rest = nodes[...]
                func add(_ observation: ObservationRecord) {
                    let id = observation.id ?? 0
                    while owners[owner].lastID < id, owner + 1 < owners.count { owner += 1 }
                    facts.append(ObservationFact(deliveryID: owners[owner].id, observation: observation))
                }
                let rows = try ObservationRecord.fetchCursor(statement, arguments: [first, last])
                while let observation = try rows.next() {
                    while let node = rest.first, (node.id ?? 0) < (observation.id ?? 0) { add(rest.removeFirst()) }
                    add(observation)
                }
                rest.forEach(add)
            }
            return facts
        }
    }
}
