import FieldNodes
import Foundation
import Store

/// Puts databases of PiWardrive units where uploads wait to be merged, each whole and as of one moment.
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
        /// Of the copy that waits to be merged; nil if there is nothing to merge.
        var waitingBytes: Int64?
        var journalFrames = 0

        var text: String {
            "\(health) health records, \(accessPoints) access points"
                + (journalFrames > 0 ? ", with what \(journalFrames) frames of its -wal hold" : "")
        }
    }

    /// - Throws: ``DatabaseSnapshot/Failure`` or an error of the spool; nothing waits to be merged then.
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
        try spool.take(copy.path, of: unit, as: .database)
        report.waitingBytes = snapshot.bytes
        return report
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
        var failure: (any Error)?
        var batch = ReadingBatch(key: unit.key, layout: UnitMerger.healthLayout)
        func countHealth() throws {
            try report.tally.countBlocking([.readings(batch)], in: store)
            report.health += batch.count
            batch = ReadingBatch(key: unit.key, layout: UnitMerger.healthLayout)
        }
        let ofHealth = database.readHealth { row in
            guard let row else {
                report.tally.rejected += 1
                return
            }
            batch.add(timeNanoseconds: row.timeNanoseconds, row.values)
            guard batch.count >= Self.slice, failure == nil else { return }
            do { try countHealth() } catch { failure = error }
        }
        if let failure { throw failure }
        try countHealth()
        var points: [AccessPointRecord] = []
        func countPoints() throws {
            let known = try store.accessPointsBlocking(of: unit.key, bssids: points.map(\.bssid))
            report.tally.found += points.count
            report.tally.new += points.count { known[Array($0.bssid.utf8)] != $0 }
            report.accessPoints += points.count
            points = []
        }
        let ofPoints = database.readAccessPoints { point in
            guard let point else {
                report.tally.rejected += 1
                return
            }
            points.append(AccessPointRecord(point))
            guard points.count >= Self.slice, failure == nil else { return }
            do { try countPoints() } catch { failure = error }
        }
        if let failure { throw failure }
        try countPoints()
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
