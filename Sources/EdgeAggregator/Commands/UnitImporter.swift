import FieldNodes
import Foundation
import Store

/// Puts databases of PiWardrive units where uploads wait to be merged, each whole and as of one moment, and waits for that.
struct UnitImporter {
    let unit: NodeID
    let spool: UploadSpool
    let permit: DiskPermit
    let store: Store

    /// Rows that are compared with the store together.
    private static let slice = 5000

    struct Report {
        var tally = ImportTally()
        var health = 0
        var accessPoints = 0
        /// The copy that waits to be merged; nil if there is nothing to merge.
        var waiting: Waiting?
        var journalFrames = 0

        var text: String {
            "\(health) health records, \(accessPoints) access points"
                + (journalFrames > 0 ? ", with what \(journalFrames) frames of its -wal hold" : "")
        }
    }

    /// A file among the uploads.
    struct Waiting {
        let source: String
        let path: String
        let bytes: Int64
        /// The same file under a name of the importer's, to look up its rows once it is merged and gone. Nil on a file system without
        /// hard links.
        let reference: String?

        var isMerged: Bool { !FileManager.default.fileExists(atPath: path) }

        /// Memory: the path is borrowed for the call.
        func discard() {
            if let reference { unsafe unlink(reference) }
        }
    }

    /// How many rows of a merged file are in the store now.
    struct Merged {
        var health = 0
        var accessPoints = 0
        var missing = 0
    }

    /// - Throws: ``DatabaseSnapshot/Failure`` or an error of the spool; nothing waits to be merged then.
    ///
    /// Memory: the path is borrowed for the call.
    func run(_ file: String) throws -> Report {
        try permit.take(Int(2 * DatabaseSnapshot.size(of: file)), path: spool.folder)
        var copy = try SpoolFile(folder: spool.folder, prefix: ImportCopy.prefix, permit: permit)
        defer { copy.discard() }
        let snapshot = try DatabaseSnapshot.take(file, to: copy.path)
        var report = Report()
        report.journalFrames = snapshot.journalFrames
        if let problem = snapshot.problem { report.tally.problems.append(problem) }
        try count(copy.path, bytes: snapshot.bytes, of: file, &report)
        guard report.tally.new > 0 else { return report }
        try copy.sync()
        // Of root's command too: the daemon may look at it at once.
        try FileOwner(of: spool.folder).take(copy.path)
        let reference = secondName(of: copy.path)
        var isTaken = false
        defer { if !isTaken, let reference { unsafe unlink(reference) } }
        report.waiting = Waiting(
            source: file, path: try spool.take(copy.path, of: unit, as: .database), bytes: snapshot.bytes,
            reference: reference)
        isTaken = true
        return report
    }

    /// A hard link: it needs no room.
    ///
    /// Memory: the paths are borrowed for the call.
    private func secondName(of path: String) -> String? {
        let name = "\(path)-merged"
        return unsafe link(path, name) == 0 ? name : nil
    }

    /// Looks up the rows of a merged file in the store; nil where that cannot be done.
    func merged(_ waiting: Waiting) throws -> Merged? {
        guard let reference = waiting.reference else { return nil }
        let rows = UnitRows(unit: unit, slice: Self.slice)
        var merged = Merged()
        _ = try rows.read(
            try GuardedDatabase(path: reference, bytes: waiting.bytes),
            health: { batch in
                let missing = try store.newReadingsBlocking(in: [.readings(batch)])
                merged.health += batch.count - missing
                merged.missing += missing
            },
            accessPoints: { points in
                // Another upload may have changed one since: that it is there is enough.
                let known = try store.accessPointsBlocking(of: unit.key, bssids: points.map(\.bssid))
                let found = points.count { known[Array($0.bssid.utf8)] != nil }
                merged.accessPoints += found
                merged.missing += points.count - found
            })
        return merged
    }

    /// Reads the copy as the daemon will, and compares it with the store.
    private func count(_ path: String, bytes: Int64, of file: String, _ report: inout Report) throws {
        let database: GuardedDatabase
        do throws(GuardedDatabase.Failure) {
            database = try GuardedDatabase(path: path, bytes: bytes)
        } catch {
            report.tally.problems.append(
                "\(file) \(error.isOfTheMoment ? "cannot be read" : "is no database"): \(error)")
            return
        }
        let (ofHealth, ofPoints) = try UnitRows(unit: unit, slice: Self.slice).read(
            database,
            health: { batch in
                try report.tally.countBlocking([.readings(batch)], in: store)
                report.health += batch.count
            },
            accessPoints: { points in
                let known = try store.accessPointsBlocking(of: unit.key, bssids: points.map(\.bssid))
                report.tally.found += points.count
                report.tally.new += points.count { known[Array($0.bssid.utf8)] != $0 }
                report.accessPoints += points.count
            }, rejected: { report.tally.rejected += 1 })
        for case .broken(let reason) in [ofHealth, ofPoints] {
            report.tally.problems.append("\(file) is damaged: \(reason); what came before is taken")
        }
        for case .unreadable(let reason) in [ofHealth, ofPoints] {
            report.tally.problems.append("\(file) cannot be read to its end: \(reason); import it again")
        }
        if ofHealth == .missing, ofPoints == .missing {
            report.tally.problems.append("\(file) has neither a table health_records nor a table ap_cache")
        }
    }
}

/// Reads the rows of a unit's database as the merge does, some thousands at a time.
private struct UnitRows {
    let unit: NodeID
    let slice: Int

    func read(
        _ database: GuardedDatabase, health: (ReadingBatch) throws -> Void,
        accessPoints: ([AccessPointRecord]) throws -> Void, rejected: () -> Void = {}
    ) throws -> (health: GuardedDatabase.Outcome, accessPoints: GuardedDatabase.Outcome) {
        var failure: (any Error)?
        var batch = ReadingBatch(key: unit.key, layout: UnitMerger.healthLayout)
        func passOnHealth() throws {
            try health(batch)
            batch = ReadingBatch(key: unit.key, layout: UnitMerger.healthLayout)
        }
        let ofHealth = database.readHealth { row in
            guard let row else {
                rejected()
                return
            }
            guard failure == nil else { return }
            batch.add(timeNanoseconds: row.timeNanoseconds, row.values)
            guard batch.count >= slice else { return }
            do { try passOnHealth() } catch { failure = error }
        }
        if let failure { throw failure }
        try passOnHealth()
        var points: [AccessPointRecord] = []
        func passOnPoints() throws {
            try accessPoints(points)
            points = []
        }
        let ofPoints = database.readAccessPoints { point in
            guard let point else {
                rejected()
                return
            }
            guard failure == nil else { return }
            points.append(AccessPointRecord(point))
            guard points.count >= slice else { return }
            do { try passOnPoints() } catch { failure = error }
        }
        if let failure { throw failure }
        try passOnPoints()
        return (ofHealth, ofPoints)
    }
}

/// Copies that importers make of their sources, in the folder of uploads.
enum ImportCopy {
    /// Such names are not looked at there.
    static let prefix = "import"
    private static let longestSeconds = 86_400.0

    /// Removes copies that an importer left when it was killed.
    static func removeOld(in folder: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasPrefix("\(prefix)-") {
            let path = "\(folder)/\(name)"
            let modified = (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
            guard let modified, modified.timeIntervalSinceNow < -longestSeconds else { continue }
            try? FileManager.default.removeItem(atPath: path)
        }
    }
}

extension AccessPointRecord {
    init(_ point: AccessPoint) {
        self.init(
            bssid: point.bssid, ssid: point.ssid, encryption: point.encryption, latitude: point.place?.latitude,
            longitude: point.place?.longitude, seenSeconds: point.seenSeconds)
    }
}
