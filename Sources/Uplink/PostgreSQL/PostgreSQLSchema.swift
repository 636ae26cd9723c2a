import Synchronization

/// Makes the tables, and brings those that are there to the form that is written. Each table is prepared by itself, so that one that
/// cannot be prepared holds up only what is written to it. Boxes of a fleet may all try at the same time.
final class PostgreSQLSchema: Sendable {
    private typealias Failure = PostgreSQLConnection.Failure

    /// Tables that were prepared since the start.
    private let prepared = Mutex<Set<String>>([])
    private let begun = Atomic<Bool>(false)
    /// What was made is written here. A table that was made and is missing is not made again: somebody has renamed it, or looks at
    /// another schema.
    private static let made = "edge_aggregator_schema"
    /// The number of each table there, and the one that versions until 0.1 looked for before they made the table and others. A box can return
    /// to one of these versions.
    private static let numbers: [String: (own: Int, former: Int)] = [
        PostgreSQLTables.detections.name: (11, 1), PostgreSQLTables.recordings.name: (12, 1),
        PostgreSQLTables.coverage.name: (13, 1), PostgreSQLTables.observations.name: (14, 2),
        PostgreSQLTables.datasets.name: (15, 3), PostgreSQLTables.collections.name: (16, 3),
    ]

    /// Rows whose keys are computed at a time when a table of the catalogue is changed to its present form.
    private static let rowsAtATime = 5000

    /// Whether it was tried to make the tables of all facts.
    var isBegun: Bool { begun.load(ordering: .relaxed) }

    func begin() { begun.store(true, ordering: .relaxed) }

    /// Prepares a table once. Call it on the connection's queue.
    func prepare(
        _ table: PostgreSQLTables.Table, _ connection: PostgreSQLConnection
    ) throws(PostgreSQLConnection.Failure) {
        guard !prepared.withLock({ $0.contains(table.name) }) else { return }
        var columns: [PostgreSQLConnection.Column]
        var isNew = false
        do throws(PostgreSQLConnection.Failure) {
            columns = try connection.columns(of: table.name)
        } catch {
            guard error.isMissingTable, try !wasMade(table, connection) else { throw error }
            try create(table, connection)
            isNew = true
            columns = try connection.columns(of: table.name)
        }
        switch table.name {
        case PostgreSQLTables.datasets.name:
            try adopt(table, PostgreSQLTables.formerDatasets, columns, connection)
        case PostgreSQLTables.collections.name:
            try adopt(table, PostgreSQLTables.formerCollections, columns, connection)
        default: break
        }
        let all = prepared.withLock { tables in
            tables.insert(table.name)
            return tables
        }
        if isNew { note(table, all, connection) }
    }

    /// Looks at a table again before it is used the next time, because it may have been changed.
    func forget(_ table: PostgreSQLTables.Table) {
        prepared.withLock { _ = $0.remove(table.name) }
    }

    private func create(
        _ table: PostgreSQLTables.Table, _ connection: PostgreSQLConnection
    ) throws(PostgreSQLConnection.Failure) {
        do throws(PostgreSQLConnection.Failure) {
            try connection.run(table.create)
        } catch {
            // Two that make the same table at the same moment: one of them is told of a duplicate in the server's own tables.
            guard error.code == "23505" || error.code == "42P07" else { throw error }
        }
    }

    private func wasMade(
        _ table: PostgreSQLTables.Table, _ connection: PostgreSQLConnection
    ) throws(PostgreSQLConnection.Failure) -> Bool {
        guard let numbers = Self.numbers[table.name] else { return false }
        do throws(PostgreSQLConnection.Failure) {
            let found = Set(
                try connection.rows("SELECT version FROM \(Self.made)").compactMap { $0.first ?? nil }.compactMap {
                    Int($0)
                })
            if found.contains(numbers.own) { return true }
            // Made by a version until 0.1, which has no numbers of single tables.
            let group = Self.numbers.values.filter { $0.former == numbers.former }.map(\.own)
            return found.contains(numbers.former) && found.isDisjoint(with: group)
        } catch {
            guard error.isMissingTable else { throw error }
            return false
        }
    }

    /// Notes that a table was made. Where that is not allowed, a table that is renamed later is made again.
    private func note(
        _ table: PostgreSQLTables.Table, _ prepared: Set<String>, _ connection: PostgreSQLConnection
    ) {
        guard let numbers = Self.numbers[table.name] else { return }
        var versions = [numbers.own]
        let group = Self.numbers.filter { $0.value.former == numbers.former }.keys
        if prepared.isSuperset(of: group) { versions.append(numbers.former) }
        try? connection.run("CREATE TABLE IF NOT EXISTS \(Self.made) (version integer PRIMARY KEY)")
        for version in versions {
            try? connection.run("INSERT INTO \(Self.made) (version) VALUES (\(version)) ON CONFLICT DO NOTHING")
        }
    }

    /// Gives a table of the replaced aggregator the columns that it lacks, and one of this program until version 0.1 its present form.
    /// Rows stay.
    private func adopt(
        _ table: PostgreSQLTables.Table, _ former: PostgreSQLTables.FormerForm,
        _ columns: [PostgreSQLConnection.Column], _ connection: PostgreSQLConnection
    ) throws(PostgreSQLConnection.Failure) {
        let names = Set(columns.map(\.name))
        guard !names.isSuperset(of: ["aggregator_uuid", "natural_id"]) else { return }
        try connection.transaction { () throws(PostgreSQLConnection.Failure) in
            try connection.run("LOCK TABLE \(table.name) IN ACCESS EXCLUSIVE MODE")
            // Another box may have done it meanwhile.
            let columns = try connection.columns(of: table.name)
            let names = Set(columns.map(\.name))
            let hasTextKey = columns.contains { $0.name == former.key && $0.type == PostgreSQLConnection.Column.text }
            let lacking = ["aggregator_uuid", "natural_id"].filter { !names.contains($0) }
            let isFormer = lacking == ["natural_id"] && hasTextKey
            for column in lacking {
                try connection.run("ALTER TABLE \(table.name) ADD COLUMN IF NOT EXISTS \(column) text")
            }
            if isFormer { try change(table, former, connection) }
        }
    }

    private func change(
        _ table: PostgreSQLTables.Table, _ former: PostgreSQLTables.FormerForm, _ connection: PostgreSQLConnection
    ) throws(PostgreSQLConnection.Failure) {
        try connection.run("ALTER TABLE \(table.name) DROP CONSTRAINT \(table.name)_pkey")
        while true {
            let rows = try connection.rows(
                """
                SELECT aggregator_uuid, \(former.key) FROM \(table.name) WHERE natural_id IS NULL \
                LIMIT \(Self.rowsAtATime)
                """)
            guard !rows.isEmpty else { break }
            for row in rows {
                guard let aggregator = row[0], let id = row[1] else { continue }
                try connection.run(
                    """
                    UPDATE \(table.name) SET natural_id = \(former.key), \(former.key) = $3 \
                    WHERE aggregator_uuid = $1 AND \(former.key) = $2 AND natural_id IS NULL
                    """, [aggregator, id, PostgreSQLTables.key(id, aggregator: aggregator)])
            }
        }
        try connection.run("ALTER TABLE \(table.name) \(former.changes.joined(separator: ", "))")
    }
}
