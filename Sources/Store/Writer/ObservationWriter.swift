import GRDB

/// Writes observations and their deliveries.
struct ObservationWriter {
    let database: Database
    let outbox: OutboxWriter

    func add(_ observations: [ObservationRecord]) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO observations (series_id, time_ns, value, raw, time_quality, boot, monotonic_ns)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """)
        // Those taken together go together, as long as the same holds them.
        var together: [(hold: String?, ids: ClosedRange<Int64>)] = []
        var created: Int64 = 0
        var lastBoot: (text: String, id: Int64)?
        for observation in observations where observation.value.isFinite {
            let series = try seriesID(observation)
            if lastBoot?.text != observation.bootID {
                lastBoot = (observation.bootID, try Boots.id(observation.bootID, database))
            }
            try statement.execute(arguments: [
                series, observation.timeNanoseconds, observation.value, observation.raw, observation.timeQuality,
                lastBoot?.id, observation.monotonicNanoseconds,
            ])
            guard database.changesCount > 0 else { continue }
            let id = database.lastInsertedRowID
            created = observation.timeNanoseconds
            let isHeld = observation.timeQuality == "unsynchronised" && outbox.plan.holdsUnsynchronised
            let hold = isHeld ? OutboxWriter.clockHold : nil
            if let last = together.last, last.hold == hold, last.ids.upperBound + 1 == id {
                together[together.count - 1].ids = last.ids.lowerBound...id
            } else {
                together.append((hold, id...id))
            }
        }
        for (hold, ids) in together {
            try outbox.add(
                .observations, first: ids.lowerBound, last: ids.upperBound, hold: hold, createdNanoseconds: created)
        }
    }

    private func seriesID(_ observation: ObservationRecord) throws -> Int64 {
        let find = try database.cachedStatement(sql: "SELECT id FROM series WHERE source = ? AND quantity = ?")
        let key: StatementArguments = [observation.source, observation.quantity]
        if let id = try Int64.fetchOne(find, arguments: key) { return id }
        try database.cachedStatement(sql: "INSERT INTO series (source, quantity, unit) VALUES (?, ?, ?)")
            .execute(arguments: [observation.source, observation.quantity, observation.unit])
        return database.lastInsertedRowID
    }
}

/// Numbers of boots, which are made when they are new.
enum Boots {
    static func id(_ text: String, _ database: Database) throws -> Int64 {
        let find = try database.cachedStatement(sql: "SELECT id FROM boots WHERE boot_id = ?")
        if let id = try Int64.fetchOne(find, arguments: [text]) { return id }
        try database.cachedStatement(sql: "INSERT INTO boots (boot_id) VALUES (?)").execute(arguments: [text])
        return database.lastInsertedRowID
    }
}
