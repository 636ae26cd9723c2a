import FieldNodes
import Foundation
import Store
import Uplink

/// Reads old data of ISEMS nodes into the store.
struct ISEMSImporter {
    let house: NodeHouse
    let file: String

    struct Report {
        var tally = ImportTally()

        var readings: Int { tally.found }
        var rejected: Int { tally.rejected }
    }

    /// Readings of one transaction.
    private static let slice = 2000

    /// - Parameter progress: is told 0...1.
    func log(_ progress: (Double) -> Void) throws -> Report {
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe))
        if bytes.starts(with: [0x1F, 0x8B]) {
            guard let expanded = Gzip.expand(bytes, most: 1 << 30) else {
                var report = Report()
                report.tally.problems.append("\(file) is a damaged gzip file, or holds more than a gigabyte")
                return report
            }
            bytes = expanded
        }
        let intake = ISEMSIntake(house: house, mustMatch: false)
        var report = Report()
        var start = 0
        while start < bytes.count {
            // Some thousand lines, to the end of the last.
            var end = min(start + Self.slice * 120, bytes.count)
            while end < bytes.count, bytes[end - 1] != 0x0A { end += 1 }
            let result = intake.lines(Array(bytes[start..<end]), expected: nil, from: "import")
            try report.tally.countBlocking(result.changes, in: house.store)
            try house.store.commitBlocking(result.changes)
            report.tally.rejected += result.rejected
            start = end
            progress(Double(start) / Double(bytes.count))
        }
        return report
    }

    /// - Parameter folder: Where a copy of the database is made while it is read.
    func database(
        copyIn folder: String, _ permit: DiskPermit, _ progress: (Double) -> Void
    ) throws -> Report {
        ImportCopy.removeOld(in: folder)
        try permit.take(Int(2 * DatabaseSnapshot.size(of: file)), path: folder)
        var copy = try SpoolFile(folder: folder, prefix: ImportCopy.prefix, permit: permit)
        defer { copy.discard() }
        let snapshot = try DatabaseSnapshot.take(file, to: copy.path)
        let bytes = snapshot.bytes
        var report = Report()
        if let problem = snapshot.problem { report.tally.problems.append(problem) }
        let database: GuardedDatabase
        do throws(GuardedDatabase.Failure) {
            database = try GuardedDatabase(path: copy.path, bytes: bytes)
        } catch {
            report.tally.problems.append(
                "\(file) \(error.isOfTheMoment ? "cannot be read" : "is no database"): \(error)")
            return report
        }
        var batches: [NodeKey: ReadingBatch] = [:]
        var read = 0
        var waiting = 0
        var failure: (any Error)?
        func commit() throws {
            let changes = batches.values.map { StoreChange.readings($0) }
            try report.tally.countBlocking(changes, in: house.store)
            try house.store.commitBlocking(changes)
            batches = [:]
            waiting = 0
        }
        let outcome = database.readMeasurements { reading in
            guard failure == nil else { return }
            guard let reading else {
                report.tally.rejected += 1
                return
            }
            let key = NodeKey(kind: NodeKind.isems.rawValue, name: reading.nodeID)
            batches[key, default: ReadingBatch(key: key, layout: ISEMSIntake.layout)].add(
                timeNanoseconds: reading.timeSeconds * 1_000_000_000, reading.values,
                text: reading.storedTexts)
            read += 1
            waiting += 1
            guard waiting >= Self.slice else { return }
            do { try commit() } catch { failure = error }
            // A row takes some 150 bytes there.
            progress(min(Double(read) * 150 / Double(max(bytes, 1)), 0.99))
        }
        if let failure { throw failure }
        try commit()
        switch outcome {
        case .whole: break
        case .missing: report.tally.problems.append("\(file) has no table measurement")
        case .unreadable(let reason):
            report.tally.problems.append("\(file) cannot be read to its end: \(reason); import it again")
        case .broken(let reason):
            report.tally.problems.append("\(file) is damaged: \(reason); what came before is taken")
        }
        return report
    }
}
