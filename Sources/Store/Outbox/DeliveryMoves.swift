import GRDB

extension OutboxWriter {
    /// Hands deliveries over to another sink, as they are: their states, attempts and reasons stay. Of one that waits for both, one is
    /// left.
    func move(_ kinds: [DeliveryKind], from: String, to: String) throws {
        for kind in kinds {
            try moveRefused(kind, from: from, to: to)
            // `state` is named so that the counts of what waits follow (trigger `deliveries_moved`).
            try database.execute(
                sql: "UPDATE OR IGNORE deliveries SET sink = ?, state = state WHERE sink = ? AND kind = ?",
                arguments: [to, from, kind.rawValue])
            try database.execute(
                sql: "DELETE FROM deliveries WHERE sink = ? AND kind = ?", arguments: [from, kind.rawValue])
        }
    }

    /// Facts that were refused are in the totals of the sink that would get them if they were queued again.
    private func moveRefused(_ kind: DeliveryKind, from: String, to: String) throws {
        let refused = try Int64.fetchOne(
            database,
            sql: """
                SELECT sum(last_id - first_id + 1) FROM deliveries WHERE sink = ? AND kind = ? AND state = 'refused'
                """, arguments: [from, kind.rawValue])
        guard let refused, refused > 0 else { return }
        for (sink, change) in [(from, -refused), (to, refused)] {
            try database.execute(
                sql: """
                    INSERT INTO delivery_totals (sink, kind, done, refused, shed) VALUES (?, ?, 0, ?, 0)
                    ON CONFLICT (sink, kind) DO UPDATE SET refused = refused + excluded.refused
                    """, arguments: [sink, kind.rawValue, change])
        }
    }
}

extension Store {
    /// Whether anything of these kinds waits for a sink.
    public func hasDeliveriesBlocking(_ kinds: [DeliveryKind], for sink: String) throws(StoreError) -> Bool {
        try readBlocking { database in
            try kinds.contains { kind in
                try Bool.fetchOne(
                    database, sql: "SELECT EXISTS (SELECT 1 FROM deliveries WHERE sink = ? AND kind = ?)",
                    arguments: [sink, kind.rawValue]) ?? false
            }
        }
    }
}
