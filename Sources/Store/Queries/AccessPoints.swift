import GRDB

/// Places of access points, and the smallest box around them.
public struct PlaceBounds: Sendable, Equatable {
    public var latitude: ClosedRange<Double>
    public var longitude: ClosedRange<Double>
}

extension Store {
    /// What is known of these, by the bytes of the BSSID. For threads that may wait.
    public func accessPointsBlocking(
        of key: NodeKey, bssids: [String]
    ) throws(StoreError) -> [[UInt8]: AccessPointRecord] {
        try readBlocking { database in
            guard let node = try NodeWriter.find(key, database) else { return [:] }
            let statement = try database.cachedStatement(
                sql:
                    "SELECT ssid, encryption, latitude, longitude, seen_s FROM access_points WHERE node_id = ? AND bssid = ?"
            )
            var known: [[UInt8]: AccessPointRecord] = [:]
            for bssid in bssids {
                guard let row = try Row.fetchOne(statement, arguments: [node, bssid]) else { continue }
                known[Array(bssid.utf8)] = AccessPointRecord(
                    bssid: bssid, ssid: row[0], encryption: row[1], latitude: row[2], longitude: row[3],
                    seenSeconds: row[4])
            }
            return known
        }
    }

    /// Whether anything is known of a unit's access points. For threads that may wait.
    public func hasAccessPointsBlocking(of key: NodeKey) throws(StoreError) -> Bool {
        try readBlocking { database in
            guard let node = try NodeWriter.find(key, database) else { return false }
            return try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM access_points WHERE node_id = ?)", arguments: [node])
                ?? false
        }
    }

    /// The box around all places of a unit, or of all; nil when there are none.
    ///
    /// - Parameter sinceSeconds: UTC; only what was seen then or later.
    public func placeBounds(unit: String?, sinceSeconds: Int64?) async throws(StoreError) -> PlaceBounds? {
        try await read { database in
            let row = try Row.fetchOne(
                database,
                sql: """
                    SELECT min(latitude), max(latitude), min(longitude), max(longitude) FROM access_points
                    \(Self.placeCondition)
                    """, arguments: Self.placeArguments(unit, sinceSeconds))
            guard let row, let south: Double = row[0], let north: Double = row[1], let west: Double = row[2],
                let east: Double = row[3]
            else { return nil }
            return PlaceBounds(latitude: south...north, longitude: west...east)
        }
    }

    /// Hands out all places.
    public func eachPlace<Result: Sendable>(
        unit: String?, sinceSeconds: Int64?, into initial: Result,
        _ body: @Sendable (inout Result, _ latitude: Double, _ longitude: Double) -> Void
    ) async throws(StoreError) -> Result {
        try await read { database in
            var result = initial
            let statement = try database.cachedStatement(
                sql: "SELECT latitude, longitude FROM access_points \(Self.placeCondition)")
            let rows = try Row.fetchCursor(statement, arguments: Self.placeArguments(unit, sinceSeconds))
            while let row = try rows.next() { body(&result, row[0], row[1]) }
            return result
        }
    }

    private static let placeCondition = """
        WHERE latitude IS NOT NULL AND (?1 IS NULL OR node_id = (SELECT id FROM nodes WHERE kind = 'piwardrive' AND name = ?1))
            AND (?2 IS NULL OR seen_s >= ?2)
        """

    private static func placeArguments(_ unit: String?, _ since: Int64?) -> StatementArguments { [unit, since] }

    /// How many access points are known, and how many of them have a place.
    public func accessPointCounts() async throws(StoreError) -> (all: Int, placed: Int) {
        try await read { database in
            let row = try Row.fetchOne(database, sql: "SELECT count(*), count(latitude) FROM access_points")
            return (row?[0] ?? 0, row?[1] ?? 0)
        }
    }
}
