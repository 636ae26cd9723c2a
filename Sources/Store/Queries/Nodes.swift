import Foundation
import GRDB

/// Which readings are asked for. Nil means any.
public struct ReadingFilter: Sendable {
    public var key: NodeKey
    public var layout: ReadingLayout?
    /// UTC, inclusive.
    public var fromNanoseconds: Int64?
    /// UTC, exclusive.
    public var toNanoseconds: Int64?
    public var limit = 100

    public init(key: NodeKey) {
        self.key = key
    }
}

/// Differs when a node has come or changed.
public struct NodeMark: Sendable, Hashable {
    var count: Int64
    var versions: Double
}

/// Count and sum of a quantity over all readings of a node.
public struct ReadingSum: Sendable, Hashable {
    public var count: Int64
    public var sum: Double
}

extension ReadingRecord {
    static let selection = """
        SELECT readings.id, kind, name, columns, time_ns, numbers, text, time_quality, layout_id
        FROM readings JOIN nodes ON nodes.id = node_id JOIN layouts ON layouts.id = layout_id
        """

    /// Hands out the rows of a query of ``selection``, one at a time.
    static func each(
        _ statement: Statement, _ arguments: StatementArguments, _ body: (ReadingRecord) -> Void
    ) throws {
        var layouts: [Int64: ReadingLayout] = [:]
        let rows = try Row.fetchCursor(statement, arguments: arguments)
        while let row = try rows.next() {
            let layoutID: Int64 = row[8]
            let layout = layouts[layoutID] ?? ReadingLayout(text: row[3])
            layouts[layoutID] = layout
            let numbers = try row.withUnsafeData(atIndex: 5) { data in
                Self.numbers(data.map { Array($0) } ?? [], count: layout.names.count)
            }
            body(
                ReadingRecord(
                    id: row[0], key: NodeKey(kind: row[1], name: row[2]), layout: layout, timeNanoseconds: row[4],
                    numbers: numbers, text: row[6], timeQuality: row[7]))
        }
    }

    /// Memory: the caller's array owns the bytes until the return; each load is checked to lie within them.
    private static func numbers(_ bytes: [UInt8], count: Int) -> [Double] {
        unsafe bytes.withUnsafeBytes { bytes in
            (0..<count).map { place in
                unsafe place * 8 + 8 <= bytes.count
                    ? Double(
                        bitPattern: UInt64(
                            littleEndian: bytes.loadUnaligned(fromByteOffset: place * 8, as: UInt64.self)))
                    : .nan
            }
        }
    }

    static func all(_ database: Database, sql: String, _ arguments: StatementArguments) throws -> [ReadingRecord] {
        var all: [ReadingRecord] = []
        try each(database.cachedStatement(sql: selection + sql), arguments) { all.append($0) }
        return all
    }
}

extension Store {
    /// By kind and name. All, or those of a kind.
    public func nodes(kind: String? = nil) async throws(StoreError) -> [NodeRecord] {
        try await read { database in
            try NodeRecord.fetchAll(
                database, sql: "SELECT * FROM nodes WHERE ? IS NULL OR kind = ? ORDER BY kind, name",
                arguments: [kind, kind])
        }
    }

    /// Before the daemon serves anybody.
    public func nodesBlocking() throws(StoreError) -> [NodeRecord] {
        try readBlocking { try NodeRecord.fetchAll($0, sql: "SELECT * FROM nodes") }
    }

    public func node(_ key: NodeKey) async throws(StoreError) -> NodeRecord? {
        try await read { database in
            try NodeRecord.fetchOne(
                database, sql: "SELECT * FROM nodes WHERE kind = ? AND name = ?", arguments: [key.kind, key.name])
        }
    }

    /// Whether anything of the nodes of a kind has changed, cheaply.
    public func nodeMark(kind: String) async throws(StoreError) -> NodeMark {
        try await read { database in
            let row = try Row.fetchOne(
                database.cachedStatement(sql: "SELECT count(*), total(version) FROM nodes WHERE kind = ?"),
                arguments: [kind])
            return NodeMark(count: row?[0] ?? 0, versions: row?[1] ?? 0)
        }
    }

    /// Numbers of nodes of a kind, and how often each has changed.
    public func nodeVersions(kind: String) async throws(StoreError) -> [(id: Int64, version: Int64)] {
        try await read { database in
            try Row.fetchAll(
                database.cachedStatement(sql: "SELECT id, version FROM nodes WHERE kind = ?"), arguments: [kind]
            ).map { ($0[0], $0[1]) }
        }
    }

    /// Newest first.
    public func readings(_ filter: ReadingFilter) async throws(StoreError) -> [ReadingRecord] {
        try await read { database in
            guard let node = try NodeWriter.find(filter.key, database) else { return [] }
            var clauses = Clauses()
            clauses.add("node_id = ?", node)
            if let layout = filter.layout {
                clauses.add("layout_id = ifnull((SELECT id FROM layouts WHERE columns = ?), 0)", layout.text)
            }
            clauses.add("time_ns >= ?", filter.fromNanoseconds)
            clauses.add("time_ns < ?", filter.toNanoseconds)
            return try ReadingRecord.all(
                database, sql: "\(clauses.sql) ORDER BY time_ns DESC LIMIT ?", clauses.arguments + [filter.limit])
        }
    }

    /// The newest reading of a layout for each of these nodes.
    public func newestReadings(
        of nodes: [Int64], layout: ReadingLayout
    ) async throws(StoreError) -> [Int64: ReadingRecord] {
        try await read { database in
            guard
                let layoutID = try Int64.fetchOne(
                    database, sql: "SELECT id FROM layouts WHERE columns = ?", arguments: [layout.text])
            else { return [:] }
            let statement = try database.cachedStatement(
                sql: ReadingRecord.selection + " WHERE node_id = ? AND layout_id = ? ORDER BY time_ns DESC LIMIT 1")
            var newest: [Int64: ReadingRecord] = [:]
            for node in nodes {
                try ReadingRecord.each(statement, [node, layoutID]) { newest[node] = $0 }
            }
            return newest
        }
    }

    /// The newest reading of each layout of each node, the nodes heard of last first.
    public func latestReadings(limit: Int = 500) async throws(StoreError) -> [ReadingRecord] {
        try await read { database in
            try ReadingRecord.all(
                database,
                sql: """
                     WHERE readings.id IN (
                        SELECT (SELECT id FROM readings WHERE node_id = one.id AND layout_id = layouts.id
                            ORDER BY time_ns DESC LIMIT 1)
                        FROM (SELECT id FROM nodes ORDER BY last_seen_ns DESC LIMIT ?) AS one, layouts)
                    ORDER BY kind, name
                    """, [limit])
        }
    }

    /// How far a node's file has been read; below zero for a file that was begun anew.
    public func parsedBytes(_ key: NodeKey, path: String) async throws(StoreError) -> Int64 {
        try await read { database in
            try Int64.fetchOne(
                database.cachedStatement(
                    sql: """
                        SELECT parsed_bytes FROM node_files
                        WHERE node_id = (SELECT id FROM nodes WHERE kind = ? AND name = ?) AND path = ?
                        """), arguments: [key.kind, key.name, path]) ?? 0
        }
    }

    /// How far each file of a fleet has been read, by `<node>/<path>`.
    public func parsedFiles(kind: String) async throws(StoreError) -> [String: Int64] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT name, path, parsed_bytes FROM node_files JOIN nodes ON id = node_id WHERE kind = ?",
                arguments: [kind])
            return Dictionary(rows.map { ("\($0[0] as String)/\($0[1] as String)", $0[2]) }, uniquingKeysWith: { $1 })
        }
    }

    /// Newest first.
    public func nodeErrors(_ key: NodeKey, limit: Int) async throws(StoreError) -> [NodeErrorRecord] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM node_errors WHERE node_id = (SELECT id FROM nodes WHERE kind = ? AND name = ?)
                    ORDER BY path DESC, position DESC LIMIT ?
                    """, arguments: [key.kind, key.name, limit]
            ).map { row in
                var error = NodeErrorRecord(
                    position: row["position"], timeNanoseconds: row["time_ns"], level: row["level"], type: row["type"],
                    message: row["message"])
                error.path = row["path"]
                return error
            }
        }
    }

    /// Newest first.
    public func rejectedLines(kind: String?, limit: Int) async throws(StoreError) -> [RejectedLineRecord] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: "SELECT * FROM rejected_lines WHERE ? IS NULL OR kind = ? ORDER BY id DESC LIMIT ?",
                arguments: [kind, kind, limit]
            ).map { row in
                var line = RejectedLineRecord(
                    key: NodeKey(kind: row["kind"], name: row["node"]), line: row["line"], reason: row["reason"],
                    lastNanoseconds: row["last_ns"])
                line.count = row["count"]
                return line
            }
        }
    }

    /// Counts and sums of the numbers of a layout, over all readings there ever were: of a node, or of all.
    public func readingSums(
        kind: String, name: String?, layout: ReadingLayout
    ) async throws(StoreError) -> [ReadingSum] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT place, sum(count), sum(sum) FROM reading_sums
                    WHERE layout_id = (SELECT id FROM layouts WHERE columns = ?) AND node_id IN (
                        SELECT id FROM nodes WHERE kind = ? AND (? IS NULL OR name = ?))
                    GROUP BY place
                    """, arguments: [layout.text, kind, name, name])
            var sums = Array(repeating: ReadingSum(count: 0, sum: 0), count: layout.names.count)
            for row in rows where sums.indices.contains(row[0]) {
                sums[row[0]] = ReadingSum(count: row[1], sum: row[2])
            }
            return sums
        }
    }

    /// The same, of readings since a time.
    public func readingSums(
        kind: String, name: String?, layout: ReadingLayout, fromNanoseconds: Int64
    ) async throws(StoreError) -> [ReadingSum] {
        try await read { database in
            var sums = Array(repeating: ReadingSum(count: 0, sum: 0), count: layout.names.count)
            let statement = try database.cachedStatement(
                sql: ReadingRecord.selection + """
                     WHERE kind = ? AND (? IS NULL OR name = ?) AND columns = ? AND time_ns >= ?
                    """)
            try ReadingRecord.each(statement, [kind, name, name, layout.text, fromNanoseconds]) { reading in
                for (place, value) in reading.numbers.enumerated() where value.isFinite {
                    sums[place].count += 1
                    sums[place].sum += value
                }
            }
            return sums
        }
    }
}

extension Store {
    /// The newest readings of a layout, of all nodes of a kind; newest first.
    public func recentReadings(
        kind: String, layout: ReadingLayout, limit: Int
    ) async throws(StoreError) -> [ReadingRecord] {
        try await read { database in
            let nodes = try Row.fetchAll(
                database, sql: "SELECT id, last_seen_ns FROM nodes WHERE kind = ? ORDER BY last_seen_ns DESC",
                arguments: [kind])
            let statement = try database.cachedStatement(
                sql: ReadingRecord.selection + """
                     WHERE node_id = ? AND layout_id = (SELECT id FROM layouts WHERE columns = ?)
                    ORDER BY time_ns DESC LIMIT ?
                    """)
            var newest: [ReadingRecord] = []
            for node in nodes {
                // Of a node that was silent since, nothing can be newer.
                if newest.count == limit, let last = newest.last, last.timeNanoseconds > (node[1] as Int64) { break }
                try ReadingRecord.each(statement, [node[0] as Int64, layout.text, limit]) { newest.append($0) }
                newest.sort { $0.timeNanoseconds > $1.timeNanoseconds }
                newest.removeLast(max(0, newest.count - limit))
            }
            return newest
        }
    }

    /// Hands out a node's readings of a layout since a time, oldest first.
    public func eachReading<Result: Sendable>(
        _ key: NodeKey, layout: ReadingLayout, fromNanoseconds: Int64, into initial: Result,
        _ body: @Sendable (inout Result, ReadingRecord) -> Void
    ) async throws(StoreError) -> Result {
        try await read { database in
            var result = initial
            let statement = try database.cachedStatement(
                sql: ReadingRecord.selection + """
                     WHERE node_id = (SELECT id FROM nodes WHERE kind = ? AND name = ?)
                        AND layout_id = (SELECT id FROM layouts WHERE columns = ?) AND time_ns >= ?
                    ORDER BY time_ns
                    """)
            try ReadingRecord.each(statement, [key.kind, key.name, layout.text, fromNanoseconds]) { body(&result, $0) }
            return result
        }
    }
}
