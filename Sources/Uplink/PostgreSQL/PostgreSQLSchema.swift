import Synchronization

/// Makes the tables, and brings those that are there to the form that is written. Each table is prepared by itself, so that one that
/// cannot be prepared holds up only what is written to it. Boxes of a fleet may all try at the same time.
final class PostgreSQLSchema: Sendable {
    private typealias Failure = PostgreSQLConnection.Failure

    /// Tables that were prepared since the start.
    private let prepared = Mutex<Set<String>>([])
    /// Versions until 0.1 looked here for what they have to make. They are told that all of it is there, so that a box can return
    /// to one of them.
    private static let formerVersions = "edge_aggregator_schema"
    private static let formerVersionNumbers = 1...3

    /// Rows whose keys are computed at a time when a table of the catalogue is changed to its present form.
    private static let rowsAtATime = 5000

    /// Prepares a table once. Call it on the connection's queue.
    func prepare(
        _ table: PostgreSQLTables.Table, _ connection: PostgreSQLConnection
    ) throws(PostgreSQLConnection.Failure) {
        guard !prepared.withLock({ $0.contains(table.name) }) else { return }
        var columns: [PostgreSQLConnection.Column]
        do throws(PostgreSQLConnection.Failure) {
            columns = try connection.columns(of: table.name)
        } catch {
            guard error.isMissingTable else { throw error }
            try create(table, connection)
            columns = try connection.columns(of: table.name)
        }
        switch table.name {
        case PostgreSQLTables.datasets.name:
            try adopt(table, PostgreSQLTables.formerDatasets, columns, connection)
        case PostgreSQLTables.collections.name:
            try adopt(table, PostgreSQLTables.formerCollections, columns, connection)
        default: break
        }
        prepared.withLock { _ = $0.insert(table.name) }
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
        // Whoever may make tables may make this one too. Where that fails, only a return to a version until 0.1 suffers.
        try? connection.run("CREATE TABLE IF NOT EXISTS \(Self.formerVersions) (version integer PRIMARY KEY)")
        for version in Self.formerVersionNumbers {
            try? connection.run("INSERT INTO \(Self.formerVersions) (version) VALUES (\(version)) ON CONFLICT DO NOTHING")
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
            let isFormer = names.contains("aggregator_uuid") && !names.contains("natural_id") && hasTextKey
            for column in ["aggregator_uuid", "natural_id"] where !names.contains(column) {
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
