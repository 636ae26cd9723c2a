import EdgeTesting
import Foundation
import Testing

@testable import FieldNodes

/// Small databases whose rows take hours to read.
struct DatabaseBudgetTests {
    /// Half a million rows, all of them the same one of a megabyte: every entry of a leaf page points at one cell, and every entry of
    /// an interior page at one leaf (SQLite, "Database File Format", §1.6).
    private static let manyRowsInOnePlace = """
        import struct
        db = sqlite3.connect(path)
        db.executescript('''CREATE TABLE health_records (timestamp TEXT, cpu_temp REAL, cpu_percent REAL, memory_percent REAL, disk_percent REAL);
            CREATE TABLE ap_cache (bssid TEXT, ssid TEXT, encryption TEXT, lat REAL, lon REAL, last_time INTEGER);''')
        db.execute("INSERT INTO ap_cache VALUES ('AA:BB', ?, ?, 1, 2, 3)", ['x' * 450000, 'y' * 450000])
        # Rows that make the table two pages deep.
        db.executemany("INSERT INTO ap_cache VALUES ('AA:CC', ?, 'e', 1, 2, 3)", [('z' * 3000,)] * 4)
        db.commit()
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ap_cache'").fetchone()[0]
        db.close()
        data = bytearray(open(path, 'rb').read())
        page = lambda number: (number - 1) * 4096
        assert data[page(root)] == 5
        first = struct.unpack('>H', data[page(root) + 12:page(root) + 14])[0]
        leaf = struct.unpack('>I', data[page(root) + first:page(root) + first + 4])[0]
        assert data[page(leaf)] == 13
        cell = struct.unpack('>H', data[page(leaf) + 8:page(leaf) + 10])[0]
        def repeat(number, head, place, count):
            start = page(number)
            data[start + 3:start + 5] = struct.pack('>H', count)
            data[start + 5:start + 7] = struct.pack('>H', head + 2 * count)
            for entry in range(count):
                data[start + head + 2 * entry:start + head + 2 * entry + 2] = struct.pack('>H', place)
        # No page has more cells than its size leaves room for, at six bytes each.
        repeat(leaf, 8, cell, min(681, (cell - 8) // 2))
        # An interior cell in the last bytes of the page: the leaf, and a key.
        data[page(root) + 4080:page(root) + 4085] = struct.pack('>IB', leaf, 1)
        repeat(root, 12, 4080, 681)
        data[page(root) + 8:page(root) + 12] = struct.pack('>I', leaf)
        open(path, 'wb').write(data)
        """

    /// Four hundred thousand rows of the schema, each a text of 35 kB that is parsed and changes nothing: every entry of a leaf page
    /// points at one cell, and every entry of page 1, whose header begins after 100 bytes, at one leaf.
    private static let longSchema = """
        import struct
        db = sqlite3.connect(path, isolation_level=None)
        db.executescript('''\(UnitDatabaseTests.tables)''')
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ap_cache'").fetchone()[0]
        db.execute('PRAGMA writable_schema = ON')
        text = 'CREATE TABLE IF NOT EXISTS ap_cache (' + ', '.join(f'column{n:011}' for n in range(1900)) + ')'
        assert 30000 < len(text) < 40000
        for _ in range(40):
            db.execute("INSERT INTO sqlite_master VALUES ('table', 'ap_cache', 'ap_cache', ?, ?)", (root, text))
        db.close()
        data = bytearray(open(path, 'rb').read())
        page = lambda number: (number - 1) * 4096
        assert data[100] == 5
        leaf = struct.unpack('>I', data[108:112])[0]
        assert data[page(leaf)] == 13
        cell = struct.unpack('>H', data[page(leaf) + 8:page(leaf) + 10])[0]
        def repeat(start, head, place, count):
            data[start + 3:start + 5] = struct.pack('>H', count)
            data[start + 5:start + 7] = struct.pack('>H', place)
            for entry in range(count):
                data[start + head + 2 * entry:start + head + 2 * entry + 2] = struct.pack('>H', place)
        repeat(page(leaf), 8, cell, min(681, (cell - 8) // 2))
        data[4080:4085] = struct.pack('>IB', leaf, 1)
        repeat(100, 12, 4080, 681)
        open(path, 'wb').write(data)
        """

    /// Whatever reads the schema first is counted too.
    @Test func theSchemaIsReadWithinTheBudget() throws {
        let (path, folder) = try UnitDatabaseTests.make(Self.longSchema)
        defer { TestFolders.remove(folder) }
        let bytes = (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.int64Value ?? 0
        #expect((1_000_000..<2_000_000).contains(bytes))
        let opened = Result { () throws(GuardedDatabase.Failure) in
            try GuardedDatabase(path: path, budget: DatabaseBudget(bytes: bytes, maximumProcessorSeconds: 0.5))
        }
        guard case .failure(let failure) = opened else {
            Issue.record("it was opened")
            return
        }
        #expect(failure.description == "it takes too much processor time" && !failure.isOfTheMoment)
    }

    private func read(_ python: String, budget: (Int64) -> DatabaseBudget) throws -> (GuardedDatabase.Outcome, Int) {
        let (path, folder) = try UnitDatabaseTests.make(python)
        defer { TestFolders.remove(folder) }
        let bytes = (try FileManager.default.attributesOfItem(atPath: path)[.size] as? NSNumber)?.int64Value ?? 0
        #expect(bytes < 2_000_000)
        let database = try GuardedDatabase(path: path, budget: budget(bytes))
        var rows = 0
        let outcome = database.readAccessPoints { _ in rows += 1 }
        return (outcome, rows)
    }

    @Test func endsWhenItsProcessorTimeIsUsedUp() throws {
        let (outcome, rows) = try read(Self.manyRowsInOnePlace) {
            DatabaseBudget(bytes: $0, maximumProcessorSeconds: 0.5)
        }
        #expect(outcome == .broken(reason: "it takes too much processor time"))
        // What was read before counts. All of them would be 400 gigabytes.
        #expect((10..<400_000).contains(rows))
    }

    /// The daemon stops: nothing is said of the file, which is read again later.
    @Test func endsAtTheCheckThatCancelsIt() throws {
        var checks = 0
        let (outcome, rows) = try read(Self.manyRowsInOnePlace) { bytes in
            DatabaseBudget(
                bytes: bytes,
                isCancelled: {
                    checks += 1
                    return checks >= 20
                })
        }
        #expect(outcome == .unreadable(reason: "reading was ended"))
        #expect(checks == 20)
        // A check is a thousand steps, and a row some twenty.
        #expect(rows < 20 * DatabaseBudget.stepsPerCheck)
    }

    @Test func countsSteps() throws {
        let budget = DatabaseBudget(bytes: 0)
        var checks = 0
        while budget.mayGoOn() { checks += 1 }
        #expect(checks == 1000 && budget.end == .steps)
        #expect(!budget.mayGoOn())
    }

    /// The tables of real units are read whole: 20,000 rows take a small part of what they may.
    @Test func readsARealTableWhole() throws {
        let (outcome, rows) = try read(
            """
            db = sqlite3.connect(path)
            db.executescript('''\(UnitDatabaseTests.tables)''')
            db.executemany("INSERT INTO ap_cache VALUES (?, 'net', 'WPA2', 1, 2, 3)", [(f'{n:012x}',) for n in range(20000)])
            db.commit()
            """
        ) { DatabaseBudget(bytes: $0) }
        #expect(outcome == .whole && rows == 20_000)
    }
}
