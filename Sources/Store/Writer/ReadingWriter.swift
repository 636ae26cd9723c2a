import GRDB

/// Writes readings of nodes and their deliveries.
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
        if let computed = batch.completesApartFrom {
            try removeParts(of: batch, node: node, layout: layout, computed)
        }
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

    /// Removes readings that were made of a part of their line: the whole ones follow under new numbers, and so they are delivered.
    private func removeParts(of batch: ReadingBatch, node: Int64, layout: Int64, _ computed: Set<Int>) throws {
        let columns = batch.layout.names.count
        let find = try database.cachedStatement(
            sql: ReadingRecord.selection + " WHERE node_id = ? AND layout_id = ? AND time_ns = ?")
        let remove = try database.cachedStatement(sql: "DELETE FROM readings WHERE id = ?")
        for place in batch.times.indices {
            let numbers = batch.numbers[(place * columns)..<((place + 1) * columns)]
            var part: ReadingRecord?
            try ReadingRecord.each(find, [node, layout, batch.times[place]]) { part = $0 }
            guard let part, Self.is(part.numbers, aPartOf: numbers, computed) else { continue }
            try remove.execute(arguments: [part.id])
        }
    }

    private static func `is`(_ part: [Double], aPartOf whole: ArraySlice<Double>, _ computed: Set<Int>) -> Bool {
        let pairs = zip(part, whole)
        return part.count == whole.count && pairs.contains { !$0.isFinite && $1.isFinite }
            && pairs.enumerated().allSatisfy { place, pair in
                !pair.0.isFinite || pair.0 == pair.1 || computed.contains(place) && pair.1.isFinite
            }
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
        let sql = """
            INSERT OR IGNORE INTO readings (id, node_id, layout_id, time_ns, numbers, text, time_quality, boot,
                monotonic_ns)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """
        let columns = batch.layout.names.count
        var newest: Int?
        try FastRows.use(sql, database) { rows in
            rows.bind(2, node)
            rows.bind(3, layout)
            rows.bind(7, batch.timeQuality)
            rows.bind(8, boot)
            rows.bind(9, batch.monotonicNanoseconds)
            // Memory: the batch owns the numbers until the closure returns; SQLite copies each row of them.
            // The machines that this runs on have the lowest byte first.
            try unsafe batch.numbers.withUnsafeBytes { numbers in
                let bytes = columns * MemoryLayout<Double>.size
                for place in batch.times.indices {
                    rows.bind(1, first + Int64(sums.rows))
                    rows.bind(4, batch.times[place])
                    unsafe rows.bind(
                        5, bytes: UnsafeRawBufferPointer(rebasing: numbers[(place * bytes)..<((place + 1) * bytes)]))
                    rows.bind(6, batch.texts[place])
                    guard try rows.write() else { continue }
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
        }
        return newest
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
