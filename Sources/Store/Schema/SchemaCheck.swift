import Foundation
import GRDB

/// Finds out whether a database has everything that this program works with.
///
/// `quick_check` reads what is there. It says `ok` of a database whose tables another program has dropped, and it does not compare
/// indexes with their tables.
struct SchemaCheck {
    /// What the steps of ``Schema`` make.
    private struct Expected: Sendable {
        struct Part: Sendable {
            let name: String
            let sql: String
        }

        /// Columns by table.
        var tables: [String: Set<String>]
        var indexes: [Part]
        var triggers: [Part]
    }

    /// Read from a database in memory that went through all steps.
    private static let expected = Result { () throws -> Expected in
        let database = try DatabaseQueue()
        try Schema.migrator.migrate(database)
        return try database.read { database in
            Expected(
                tables: try columns(database), indexes: try parts("index", database),
                triggers: try parts("trigger", database))
        }
    }

    private static func columns(_ database: Database) throws -> [String: Set<String>] {
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT s.name AS t, c.name AS c FROM sqlite_master s JOIN pragma_table_info(s.name) c
                WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                """)
        return rows.reduce(into: [:]) { $0[$1["t"], default: []].insert($1["c"]) }
    }

    private static func parts(_ type: String, _ database: Database) throws -> [Expected.Part] {
        try Row.fetchAll(
            database, sql: "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL ORDER BY rowid",
            arguments: [type]
        ).map { Expected.Part(name: $0["name"], sql: $0["sql"]) }
    }

    /// What is missing and cannot be made again without its content: tables and columns.
    static func lost(in database: Database) throws -> [String] {
        let (expected, found) = (try expected.get().tables, try columns(database))
        return expected.keys.sorted().flatMap { table -> [String] in
            guard let columns = found[table] else { return ["the table \(table) is missing"] }
            return (expected[table] ?? []).subtracting(columns).sorted().map {
                "the column \($0) of \(table) is missing"
            }
        }
    }

    /// Reads one row of each table, so that what cannot be read is found before somebody needs it.
    static func touch(_ database: Database) throws {
        for table in try expected.get().tables.keys.sorted() {
            _ = try Row.fetchOne(database, sql: "SELECT * FROM \(table) LIMIT 1")
        }
    }

    /// Whether all pages and all indexes are as they must be; nil if so, else what is wrong.
    static func damage(in database: Database) throws -> String? {
        for check in ["quick_check", "integrity_check"] {
            let found = try String.fetchOne(database, sql: "PRAGMA \(check)(1)")
            if found != "ok" { return found ?? "\(check) says nothing" }
        }
        return nil
    }

    // MARK: - At the start

    let path: String

    /// For the start, after all steps: makes missing indexes and triggers again, and looks more closely when the last run ended for
    /// damage.
    ///
    /// - Throws: `SQLITE_CORRUPT` when the database cannot be worked with and must be put aside.
    func settle(_ database: any DatabaseWriter, _ notices: inout [String]) throws {
        if let suspicion = Suspicion(path: path).standing {
            try lookClosely(database, suspicion, &notices)
        }
        if let lost = try database.read(Self.lost).first {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: lost)
        }
        let hasCounts = try database.read { try Bool.fetchOne($0, sql: "SELECT count(*) = 1 FROM runs") ?? false }
        // A newer version may do with other indexes.
        let isNewer = try database.read(Schema.migrator.hasBeenSuperseded)
        let missing = isNewer ? (indexes: [], triggers: []) : try database.read(Self.missing)
        guard !hasCounts || !missing.indexes.isEmpty || !missing.triggers.isEmpty else { return }
        do {
            try database.write { database in
                if !hasCounts { try database.execute(sql: Schema.firstRuns) }
                for part in missing.indexes + missing.triggers { try database.execute(sql: part.sql) }
                // What the triggers count was not counted while they were missing.
                if !missing.triggers.isEmpty { try database.execute(sql: Schema.countDeliveries) }
            }
        } catch let error as DatabaseError where [.SQLITE_CONSTRAINT, .SQLITE_ERROR].contains(error.resultCode) {
            throw DatabaseError(
                resultCode: .SQLITE_CORRUPT, message: "what is missing cannot be made again: \(error)")
        }
        let names = (missing.indexes + missing.triggers).map(\.name) + (hasCounts ? [] : ["the row of runs"])
        notices.append("made again, since another program had removed it: \(names.joined(separator: ", "))")
    }

    private static func missing(
        _ database: Database
    ) throws -> (indexes: [Expected.Part], triggers: [Expected.Part]) {
        let found = Set(try String.fetchAll(database, sql: "SELECT name FROM sqlite_master"))
        let expected = try expected.get()
        return (
            expected.indexes.filter { !found.contains($0.name) }, expected.triggers.filter { !found.contains($0.name) }
        )
    }

    private func lookClosely(
        _ database: any DatabaseWriter, _ suspicion: Suspicion.Standing, _ notices: inout [String]
    ) throws {
        if let damage = try database.read(Self.damage) {
            // Indexes can be made again from their tables.
            try? database.writeWithoutTransaction { try $0.execute(sql: "REINDEX") }
            guard try database.read(Self.damage) == nil else {
                throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: damage)
            }
            notices.append("indexes were damaged and were made again from their tables: \(damage)")
        } else if suspicion.times >= Suspicion.mostTimes {
            throw DatabaseError(
                resultCode: .SQLITE_CORRUPT,
                message: "\(suspicion.times) runs in a row ended for damage that no check finds: \(suspicion.reason)")
        }
    }
}
