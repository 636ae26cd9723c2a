import EdgeTesting
import Foundation
import Testing

@testable import Store

/// Sizes of tables, compared with what Python's SQLite says of the same file.
struct TableSizesTests {
    private func fields(_ count: Int) -> [StoreChange] {
        (0..<count).map { number in
            .dataset(
                DatasetRecord(
                    id: "wind-2026112100-f\(number)", kind: "wind", source: "NOAA GFS", runSeconds: 1_795_219_200,
                    validFromSeconds: 1_795_230_000, validToSeconds: 1_795_230_000,
                    path: "wind/20261121/00/wind-2026112100-f\(number).nc", bytes: 1000, isForecast: true,
                    createdSeconds: 1_795_240_000, state: .ready))
        }
    }

    @Test func sizesAreThoseOfTheFile() async throws {
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        let path = "\(folder)/edge.db"
        let store = try Store(path: path)
        try await store.commit(fields(2000))
        var sizes: [String: Int64] = [:]
        for table in Store.tables { sizes[table] = try await store.bytes(ofTable: table, atMost: .seconds(60)) }
        let pages = try await store.pageBytes()
        // A table for which there is no time has no size, rather than a wrong one.
        let unmeasured = try await store.bytes(ofTable: "aggregator_datasets", atMost: .zero)
        #expect(unmeasured == nil)
        store.close()
        let told = try TestProgram(
            "/usr/bin/env",
            [
                "python3", "-c",
                """
                import json, os, sqlite3, sys
                db = sqlite3.connect(sys.argv[1])
                tables = {}
                for name, table in db.execute("SELECT name, tbl_name FROM sqlite_schema WHERE rootpage > 0").fetchall():
                    if table.startswith(('sqlite_', 'grdb_')): continue
                    size = db.execute('SELECT sum(pgsize) FROM dbstat WHERE name = ?', (name,)).fetchone()[0]
                    tables[table] = tables.get(table, 0) + size
                json.dump({'tables': tables, 'file': os.path.getsize(sys.argv[1])}, open(sys.argv[2], 'w'))
                """, path, "\(folder)/told.json",
            ])
        #expect(told.wait() == 0)
        struct Told: Decodable {
            let tables: [String: Int64]
            let file: Int64
        }
        let expected = try JSONDecoder().decode(
            Told.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/told.json")))
        #expect(sizes == expected.tables)
        #expect(Store.tables == expected.tables.keys.sorted())
        #expect(pages == expected.file)
        #expect((sizes["aggregator_datasets"] ?? 0) > 2000 * 100)
    }
}
