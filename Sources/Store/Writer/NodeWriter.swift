import GRDB

/// Writes what is known of nodes themselves.
struct NodeWriter {
    let database: Database

    /// Beyond so many, lines that came long ago are forgotten.
    static let mostRejectedLines = 1000
    /// Of one node.
    static let mostErrors = 10_000

    /// The node's number; one that nobody has heard of is made, as admitted: what is written of a node was let in.
    func id(_ key: NodeKey, seenNanoseconds: Int64 = 0) throws -> Int64 {
        if let id = try Self.find(key, database) { return id }
        try database.cachedStatement(
            sql: """
                INSERT INTO nodes (kind, name, admission, first_seen_ns, last_seen_ns) VALUES (?, ?, 'admitted', ?, ?)
                """
        ).execute(arguments: [key.kind, key.name, seenNanoseconds, seenNanoseconds])
        return database.lastInsertedRowID
    }

    static func find(_ key: NodeKey, _ database: Database) throws -> Int64? {
        try Int64.fetchOne(
            database.cachedStatement(sql: "SELECT id FROM nodes WHERE kind = ? AND name = ?"),
            arguments: [key.kind, key.name])
    }

    func note(_ sighting: NodeSighting) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO nodes (kind, name, label, admission, first_seen_ns, last_seen_ns, remote_address, messages)
                VALUES (?1, ?2, ifnull(?3, ''), ?4, ?5, ?5, ?6, ?7)
                ON CONFLICT (kind, name) DO UPDATE SET label = ifnull(?3, label), messages = messages + ?7,
                    last_seen_ns = max(last_seen_ns, ?5), remote_address = ?6, version = version + 1,
                    admission = iif(admission = 'waiting', ?4, admission),
                    first_seen_ns = iif(first_seen_ns = 0, ?5, first_seen_ns)
                """
        ).execute(arguments: [
            sighting.key.kind, sighting.key.name, sighting.label, sighting.admission.rawValue,
            sighting.seenNanoseconds, sighting.remoteAddress, sighting.messages,
        ])
    }

    func admit(_ key: NodeKey, _ admission: NodeRecord.Admission, _ now: Int64) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO nodes (kind, name, admission, first_seen_ns, last_seen_ns) VALUES (?1, ?2, ?3, ?4, 0)
                ON CONFLICT (kind, name) DO UPDATE SET admission = ?3, version = version + 1
                """
        ).execute(arguments: [key.kind, key.name, admission.rawValue, now])
    }

    /// Removes a node that still waits, if nothing is stored of it.
    func forgetWaiting(_ key: NodeKey) throws {
        let tables = ["readings", "node_files", "node_errors", "access_points", "reading_sums"]
        let isBare = tables.map { "NOT EXISTS (SELECT 1 FROM \($0) WHERE node_id = nodes.id)" }
        try database.cachedStatement(
            sql: """
                DELETE FROM nodes WHERE kind = ? AND name = ? AND admission = 'waiting'
                    AND \(isBare.joined(separator: " AND "))
                """
        ).execute(arguments: [key.kind, key.name])
    }

    func noteFile(_ key: NodeKey, path: String, from: Int64, to: Int64) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO node_files (node_id, path, parsed_bytes) VALUES (?1, ?2, ?3)
                ON CONFLICT (node_id, path) DO UPDATE SET parsed_bytes = ?3 WHERE parsed_bytes = ?4
                """
        ).execute(arguments: [try id(key), path, to, from])
    }

    /// Each time to another number below zero, so that whoever has begun to read before finds it changed.
    func beginAnew(_ key: NodeKey, path: String) throws {
        try database.cachedStatement(
            sql: """
                INSERT INTO node_files (node_id, path, parsed_bytes) VALUES (?1, ?2, -1)
                ON CONFLICT (node_id, path) DO UPDATE SET parsed_bytes = min(parsed_bytes, 0) - 1
                """
        ).execute(arguments: [try id(key), path])
    }

    func add(_ errors: [NodeErrorRecord], of key: NodeKey, path: String) throws {
        let node = try id(key)
        let statement = try database.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO node_errors (node_id, path, position, time_ns, level, type, message)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """)
        for error in errors {
            try statement.execute(arguments: [
                node, path, error.position, error.timeNanoseconds, error.level, error.type, error.message,
            ])
        }
        try database.cachedStatement(
            sql: """
                DELETE FROM node_errors WHERE node_id = ?1 AND (path, position) <= (
                    SELECT path, position FROM node_errors WHERE node_id = ?1 ORDER BY path DESC, position DESC
                    LIMIT 1 OFFSET \(Self.mostErrors))
                """
        ).execute(arguments: [node])
    }

    func add(_ lines: [RejectedLineRecord]) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO rejected_lines (kind, node, line, reason, count, last_ns) VALUES (?, ?, ?, ?, 1, ?5)
                ON CONFLICT (kind, node, line) DO UPDATE SET count = count + 1, last_ns = ?5
                """)
        for line in lines {
            try statement.execute(arguments: [
                line.key.kind, line.key.name, line.line, line.reason, line.lastNanoseconds,
            ])
        }
        try database.cachedStatement(
            sql: """
                DELETE FROM rejected_lines WHERE id <= (
                    SELECT id FROM rejected_lines ORDER BY id DESC LIMIT 1 OFFSET \(Self.mostRejectedLines))
                """
        ).execute()
    }
}
