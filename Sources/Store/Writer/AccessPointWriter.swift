import GRDB

/// Writes access points.
struct AccessPointWriter {
    let database: Database

    func put(_ points: [AccessPointRecord], of key: NodeKey) throws {
        guard !points.isEmpty else { return }
        let node = try NodeWriter(database: database).id(key)
        let sql = """
            INSERT INTO access_points (node_id, bssid, ssid, encryption, latitude, longitude, seen_s)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (node_id, bssid) DO UPDATE SET ssid = excluded.ssid, encryption = excluded.encryption,
                latitude = excluded.latitude, longitude = excluded.longitude, seen_s = excluded.seen_s
            """
        try FastRows.use(sql, database) { rows in
            rows.bind(1, node)
            for point in points {
                rows.bind(2, point.bssid)
                rows.bind(3, point.ssid)
                rows.bind(4, point.encryption)
                rows.bind(5, point.latitude)
                rows.bind(6, point.longitude)
                rows.bind(7, point.seenSeconds)
                _ = try rows.write()
            }
        }
        try database.cachedStatement(sql: "UPDATE nodes SET version = version + 1 WHERE id = ?")
            .execute(arguments: [node])
    }
}
