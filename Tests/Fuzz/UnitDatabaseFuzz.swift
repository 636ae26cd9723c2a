import Foundation

/// SQLite files of units with bytes changed at will: opened and read without a crash, in bounded time, and nothing but plain
/// values comes out. The input is a list of changes to a good file, since most random bytes are no database at all.
private let good: [UInt8] = (try? Data(contentsOf: URL(fileURLWithPath: ".build-fuzz/unit.db"))).map { Array($0) } ?? []
private let path = "/dev/shm/edge-fuzz-\(getpid()).db"

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    precondition(!good.isEmpty, ".build-fuzz/unit.db is missing: run Tests/Fuzz/run.sh")
    var file = good
    var place = 0
    while place + 3 <= count {
        // The first pages matter most.
        let offset = (Int(start[place]) << 8 | Int(start[place + 1])) % file.count
        file[start[place + 2] & 1 == 0 ? offset : offset % 200] = start[place + 2]
        place += 3
    }
    if count % 5 == 4, count > 0 { file.removeLast(file.count * Int(start[0]) / 300) }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(descriptor >= 0 && write(descriptor, file, file.count) == file.count)
    close(descriptor)
    guard let database = try? GuardedDatabase(path: path, bytes: Int64(file.count)) else { return 0 }
    var rows = 0
    _ = database.readHealth { row in
        rows += 1
        precondition(row?.values.allSatisfy { !$0.isInfinite } ?? true)
    }
    _ = database.readAccessPoints { point in
        rows += 1
        if let place = point?.place { precondition((-90...90).contains(place.latitude)) }
    }
    _ = database.readMeasurements { _ in rows += 1 }
    precondition(rows < 100_000)
    return 0
}
