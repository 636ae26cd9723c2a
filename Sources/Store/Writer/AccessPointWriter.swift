import CSQLite
import GRDB

/// Writes access points; see ``ReadingWriter`` for why rows are bound by SQLite's own functions.
struct AccessPointWriter {
    let database: Database

    func put(_ points: [AccessPointRecord], of key: NodeKey) throws {
        guard !points.isEmpty else { return }
        let node = try NodeWriter(database: database).id(key)
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO access_points (node_id, bssid, ssid, encryption, latitude, longitude, seen_s)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (node_id, bssid) DO UPDATE SET ssid = excluded.ssid, encryption = excluded.encryption,
                    latitude = excluded.latitude, longitude = excluded.longitude, seen_s = excluded.seen_s
                """)
        let handle = statement.sqliteStatement
        defer {
            sqlite3_reset(handle)
            sqlite3_clear_bindings(handle)
        }
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        for point in points {
            sqlite3_reset(handle)
            sqlite3_bind_int64(handle, 1, node)
            for (place, text) in [(2, point.bssid), (3, point.ssid), (4, point.encryption)] as [(Int32, String)] {
                var text = text
                text.withUTF8 { utf8 in
                    _ = utf8.withMemoryRebound(to: CChar.self) {
                        sqlite3_bind_text(handle, place, $0.baseAddress, Int32($0.count), transient)
                    }
                }
            }
            for (place, number) in [(5, point.latitude), (6, point.longitude)] as [(Int32, Double?)] {
                if let number { sqlite3_bind_double(handle, place, number) } else { sqlite3_bind_null(handle, place) }
            }
            if let seen = point.seenSeconds {
                sqlite3_bind_int64(handle, 7, seen)
            } else {
                sqlite3_bind_null(handle, 7)
            }
            let result = sqlite3_step(handle)
            guard result == SQLITE_DONE else {
                throw DatabaseError(
                    resultCode: ResultCode(rawValue: result),
                    message: sqlite3_errmsg(sqlite3_db_handle(handle)).map { String(cString: $0) })
            }
        }
        try database.cachedStatement(sql: "UPDATE nodes SET version = version + 1 WHERE id = ?")
            .execute(arguments: [node])
    }
}
