import EdgeTesting
import Foundation
import Testing

/// Sizes of the database's tables on the page of metrics.
struct TableMetricsTests {
    @Test func everyTableHasItsSize() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let name = "edge_aggregator_database_table_bytes{table=\""
        try waitFor("the sizes") { try daemon.get("/metrics").body.contains(name) }
        let page = try daemon.get("/metrics").body
        var sizes: [String: Int] = [:]
        for line in page.split(separator: "\n") where line.hasPrefix(name) {
            let parts = line.dropFirst(name.count).split(separator: "\"} ")
            try #require(parts.count == 2)
            sizes[String(parts[0])] = Int(parts[1])
        }
        #expect(daemon.stop() == 0)
        let list = "\(daemon.folder)/tables"
        let told = try TestProgram(
            "/usr/bin/env",
            [
                "python3", "-c",
                """
                import sqlite3, sys
                db = sqlite3.connect(sys.argv[1])
                names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
                open(sys.argv[2], 'w').write(' '.join(n for n in names if not n.startswith(('sqlite_', 'grdb_'))))
                """, "\(daemon.folder)/edge.db", list,
            ])
        #expect(told.wait() == 0)
        let tables = try String(contentsOfFile: list, encoding: .utf8).split(separator: " ").map(String.init)
        #expect(Set(sizes.keys) == Set(tables + ["other"]))
        // Whole pages.
        #expect(sizes.values.allSatisfy { $0 > 0 && $0 % 4096 == 0 }, "\(sizes)")
        #expect(page.contains("# TYPE edge_aggregator_database_table_bytes gauge"))
    }
}
