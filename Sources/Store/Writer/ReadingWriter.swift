import CSQLite
import GRDB

/// Writes readings of nodes and their deliveries.
///
/// Tens of thousands a second may come when a fleet comes back or an old database is imported, so the row itself is bound by
/// SQLite's own functions: boxing each number would cost more than SQLite does.
struct ReadingWriter {
    let database: Database
    let outbox: OutboxWriter

    /// The numbers of rows come from the table of observations.
    private static let counter = "observations"

    func add(_ batch: ReadingBatch) throws {
        guard !batch.isEmpty else { return }
        let node = try NodeWriter(database: database).id(batch.key, seenNanoseconds: batch.times[0])
        let layout = try layoutID(batch.layout)
        let boot = try batch.bootID.map { try Boots.id($0, database) }
        let before = try Int64.fetchOne(
            database.cachedStatement(sql: "SELECT seq FROM sqlite_sequence WHERE name = ?"), arguments: [Self.counter])
        let first = (before ?? 0) + 1
        var sums = Sums(columns: batch.layout.names.count)
        let newest = try insert(batch, node: node, layout: layout, boot: boot, first: first, &sums)
        guard let newest else { return }
        let last = first + Int64(sums.rows) - 1
        let sql =
            before == nil
            ? "INSERT INTO sqlite_sequence (seq, name) VALUES (?, ?)"
            : "UPDATE sqlite_sequence SET seq = ? WHERE name = ?"
        try database.cachedStatement(sql: sql).execute(arguments: [last, Self.counter])
        try note(newest, of: batch, node: node)
        if batch.keepsSums { try add(sums, node: node, layout: layout) }
        try addDeliveries(batch, first...last)
    }

    private struct Sums {
        var rows = 0
        var counts: [Int64]
        var sums: [Double]

        init(columns: Int) {
            counts = Array(repeating: 0, count: columns)
            sums = Array(repeating: 0, count: columns)
        }
    }

    /// Returns the place of the newest of the new ones; nil when none is new.
    private func insert(
        _ batch: ReadingBatch, node: Int64, layout: Int64, boot: Int64?, first: Int64, _ sums: inout Sums
    ) throws -> Int? {
        let statement = try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO readings (id, node_id, layout_id, time_ns, numbers, text, time_quality, boot,
                    monotonic_ns)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        let handle = statement.sqliteStatement
        let columns = batch.layout.names.count
        var newest: Int?
        defer {
            sqlite3_reset(handle)
            sqlite3_clear_bindings(handle)
        }
        let quality = Array(batch.timeQuality.utf8)
        try batch.numbers.withUnsafeBytes { numbers in
            for place in batch.times.indices {
                sqlite3_reset(handle)
                sqlite3_bind_int64(handle, 1, first + Int64(sums.rows))
                sqlite3_bind_int64(handle, 2, node)
                sqlite3_bind_int64(handle, 3, layout)
                sqlite3_bind_int64(handle, 4, batch.times[place])
                // Both live until the step is done. The machines that this runs on have the lowest byte first.
                let bytes = columns * MemoryLayout<Double>.size
                sqlite3_bind_blob(handle, 5, numbers.baseAddress.map { $0 + place * bytes }, Int32(bytes), nil)
                bind(batch.texts[place], 6, handle)
                quality.withUnsafeBytes { text in
                    _ = sqlite3_bind_text(
                        handle, 7, text.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(text.count),
                        Self.transient)
                }
                bind(boot, 8, handle)
                bind(batch.monotonicNanoseconds, 9, handle)
                let result = sqlite3_step(handle)
                guard result == SQLITE_DONE else {
                    throw DatabaseError(
                        resultCode: ResultCode(rawValue: result),
                        message: sqlite3_errmsg(sqlite3_db_handle(handle)).map { String(cString: $0) })
                }
                guard sqlite3_changes(sqlite3_db_handle(handle)) > 0 else { continue }
                sums.rows += 1
                if newest.map({ batch.times[$0] < batch.times[place] }) ?? true { newest = place }
                guard batch.keepsSums else { continue }
                for column in 0..<columns {
                    let value = batch.numbers[place * columns + column]
                    guard value.isFinite else { continue }
                    sums.counts[column] += 1
                    sums.sums[column] += value
                }
            }
        }
        return newest
    }

    private static var transient: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

    private func bind(_ value: Int64?, _ place: Int32, _ handle: OpaquePointer) {
        if let value { sqlite3_bind_int64(handle, place, value) } else { sqlite3_bind_null(handle, place) }
    }

    private func bind(_ text: String?, _ place: Int32, _ handle: OpaquePointer) {
        guard var text else {
            sqlite3_bind_null(handle, place)
            return
        }
        text.withUTF8 { utf8 in
            _ = utf8.withMemoryRebound(to: CChar.self) {
                sqlite3_bind_text(handle, place, $0.baseAddress, Int32($0.count), Self.transient)
            }
        }
    }

    private func layoutID(_ layout: ReadingLayout) throws -> Int64 {
        let find = try database.cachedStatement(sql: "SELECT id FROM layouts WHERE columns = ?")
        if let id = try Int64.fetchOne(find, arguments: [layout.text]) { return id }
        try database.cachedStatement(sql: "INSERT INTO layouts (columns) VALUES (?)").execute(arguments: [layout.text])
        return database.lastInsertedRowID
    }

    /// What the newest reading tells of the node itself.
    private func note(_ place: Int, of batch: ReadingBatch, node: Int64) throws {
        let columns = batch.layout.names.count
        func value(_ name: String) -> Double? {
            guard let column = batch.layout.names.firstIndex(of: name) else { return nil }
            let value = batch.numbers[place * columns + column]
            return value.isFinite ? value : nil
        }
        try database.cachedStatement(
            sql: """
                UPDATE nodes SET version = version + 1,
                    latitude = iif(?1 >= ifnull(reading_ns, ?1), ifnull(?2, latitude), latitude),
                    longitude = iif(?1 >= ifnull(reading_ns, ?1), ifnull(?3, longitude), longitude),
                    battery = iif(?1 >= ifnull(reading_ns, ?1), ifnull(?4, battery), battery),
                    signal = iif(?1 >= ifnull(reading_ns, ?1), ifnull(?5, signal), signal),
                    reading_ns = max(?1, ifnull(reading_ns, ?1))
                WHERE id = ?6
                """
        ).execute(arguments: [
            batch.times[place], value("latitude"), value("longitude"), value("battery"), value("signal"), node,
        ])
    }

    private func add(_ sums: Sums, node: Int64, layout: Int64) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT INTO reading_sums (node_id, layout_id, place, count, sum) VALUES (?, ?, ?, ?4, ?5)
                ON CONFLICT (node_id, layout_id, place) DO UPDATE SET count = count + ?4, sum = sum + ?5
                """)
        for place in sums.counts.indices where sums.counts[place] > 0 {
            try statement.execute(arguments: [node, layout, place, sums.counts[place], sums.sums[place]])
        }
    }

    private func addDeliveries(_ batch: ReadingBatch, _ ids: ClosedRange<Int64>) throws {
        let isHeld = batch.timeQuality == "unsynchronised" && outbox.plan.holdsUnsynchronised
        let most = OutboxWriter.mostReadingsTogether
        for first in stride(from: ids.lowerBound, through: ids.upperBound, by: Int(most)) {
            try outbox.add(
                .observations, first: first, last: min(first + most - 1, ids.upperBound),
                hold: isHeld ? OutboxWriter.clockHold : nil,
                createdNanoseconds: batch.times.last ?? 0, together: most)
        }
    }
}
