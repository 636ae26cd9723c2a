import FieldNodes
import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store
import Synchronization
import TextParts

/// Merges what PiWardrive units have sent into the store, one file after the other, on a thread of its own.
///
/// A merge may be repeated: a moment of a unit's health and an access point of a unit are each known by their names. So a
/// file is removed only when all of it is in, and a crash in between costs nothing.
final class UnitMerger: Service, Sendable {
    let house: NodeHouse
    private let spool: UploadSpool
    private let overlay: OverlayHouse
    private let settings: PiWardriveSettings
    private let permit: DiskPermit?
    private let executor = IngestExecutor(threads: 1, name: "merge")
    private let bell: AsyncStream<Void>
    private let ringer: AsyncStream<Void>.Continuation
    /// Uploads whose answers wait for the merge; one for each request that is under way.
    private let waiting = Mutex<[String: Bell]>([:])

    static let healthLayout = ReadingLayout(UnitHealth.layout)
    /// Rows of one transaction.
    private static let slice = 5000
    /// How often the folder is looked at when nobody rings: another process may have put something there.
    private static let longestRest: Duration = .seconds(5)

    /// - Parameter permit: For the disk of `uploadsFolder`. Without one, an upload is kept only where that needs no room: on the
    ///   disk of the spool.
    init(
        house: NodeHouse, spool: UploadSpool, overlay: OverlayHouse, settings: PiWardriveSettings,
        permit: DiskPermit? = nil
    ) {
        self.house = house
        self.spool = spool
        self.overlay = overlay
        self.settings = settings
        self.permit = permit
        (bell, ringer) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Waits until a file of the spool is merged, or could not be; no longer than so long. The merge goes on after that.
    func merged(_ path: String, atMost duration: Duration) async {
        let ended = Bell()
        waiting.withLock { $0[path] = ended }
        defer { waiting.withLock { $0[path] = nil } }
        ringer.yield()
        // It may have been merged before anybody waited for it.
        guard FileManager.default.fileExists(atPath: path) else { return }
        await ended.wait(atMost: duration)
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { [ringer] in
                    while !Task.isCancelled {
                        ringer.yield()
                        try? await Task.sleep(for: Self.longestRest)
                    }
                }
                for await _ in bell { await mergeAll() }
                group.cancelAll()
            }
        }
        executor.stop()
    }

    /// Merges files of the spool and ends, for a command where no daemon runs. Those that cannot be merged are logged, and stay.
    func mergeOnce(_ paths: Set<String>) async {
        let items = await withTaskExecutorPreference(executor) { spool.items }
        for item in items where paths.contains(item.path) {
            guard await withTaskExecutorPreference(executor, operation: { merge(item) }) else { break }
        }
        executor.stop()
    }

    private func mergeAll() async {
        let items = await withTaskExecutorPreference(executor) { spool.items }
        house.metrics.uploadsWaiting.set(Double(items.count))
        var left = items.count
        for item in items where !Task.isCancelled {
            let isMerged = await withTaskExecutorPreference(executor) { merge(item) }
            waiting.withLock { $0[item.path] }?.ring()
            // The store takes nothing: what waits is tried again later.
            guard isMerged else { return }
            // One that could not be read stays, and is tried again.
            if !FileManager.default.fileExists(atPath: item.path) { left -= 1 }
            house.metrics.uploadsWaiting.set(Double(left))
            await overlay.mend()
        }
    }

    /// False when the store takes nothing. A file that it does not take for another reason is left to be tried again, and holds
    /// up no other unit's.
    private func merge(_ item: UploadSpool.Item) -> Bool {
        do {
            let report = try item.form == .database ? mergeDatabase(item) : mergeRecords(item)
            var metadata: Logger.Metadata = [
                "unit": "\(item.unit.text)", "bytes": "\(item.bytes)", "health": "\(report.health)",
                "access_points": "\(report.accessPoints)", "rejected": "\(report.rejected)",
            ]
            if report.isWithoutLog {
                metadata["journal"] = "WAL mode, its -wal did not come with it"
                try note(item, report)
            }
            if let first = report.firstUndated {
                metadata["undated"] = "\(report.undated)"
                try noteUndated(item, report, first)
            }
            if let reason = report.reason {
                metadata["reason"] = "\(reason)"
                house.metrics.uploadsBroken.add(1)
                house.logger.warning(
                    "A unit's upload is damaged or empty; what could be read is merged", metadata: metadata)
                try reject(item, reason)
            } else {
                house.metrics.uploadsMerged.add(1)
                if report.undated > 0 {
                    house.logger.warning(
                        "A unit's upload is merged without rows whose timestamp is no date", metadata: metadata)
                } else {
                    house.logger.info("A unit's upload is merged", metadata: metadata)
                }
            }
            house.metrics.piwardrive.readings.add(Int64(report.health))
            house.metrics.piwardrive.rejected.add(Int64(report.rejected))
            keep(item)
            return true
        } catch is CancellationError {
            // The daemon stops: it is merged after the next start.
            return false
        } catch {
            house.logger.error(
                "A unit's upload could not be merged; it is tried again",
                metadata: ["unit": "\(item.unit.text)", "file": "\(item.path)", "error": "\(error)"])
            guard let code = (error as? StoreError)?.code else { return true }
            return ![.diskFull, .overloaded, .closed].contains(code)
        }
    }

    struct Report: Equatable {
        var health = 0
        var accessPoints = 0
        var rejected = 0
        /// Those among them whose timestamp is no date, and the first such timestamp.
        var undated = 0
        var firstUndated: String?
        /// What is wrong with the file.
        var reason: String?
        /// Whether what the unit wrote last may be in a log that did not come with the file.
        var isWithoutLog = false

        mutating func note(_ row: UnitHealth.Rejected) {
            undated += 1
            firstUndated = firstUndated ?? row.timestamp
        }
    }

    /// Removes an upload from the spool, and keeps it elsewhere if it is to be kept. All of it that counts is in the store by now: where
    /// there is no room for it, the one before stays, and uploads go on.
    ///
    /// Memory: the path is borrowed for the call.
    private func keep(_ item: UploadSpool.Item) {
        if settings.keepsUploads, item.form == .database {
            do {
                try moveToUploads(item)
                return
            } catch {
                house.logger.warning(
                    "A unit's upload is merged but not kept; the one before stays (piwardrive_keep_uploads)",
                    metadata: ["unit": "\(item.unit.text)", "bytes": "\(item.bytes)", "error": "\(error)"])
            }
        }
        unsafe unlink(item.path)
    }

    /// Memory: the paths are borrowed for the calls.
    private func moveToUploads(_ item: UploadSpool.Item) throws {
        // One a unit, under a name that no unit can choose.
        let folder = "\(settings.uploadsFolder)/\((item.path as NSString).lastPathComponent.parts(at: ".")[1])"
        let path = "\(folder)/app.db"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // Needs no room on the same disk.
        if unsafe rename(item.path, path) == 0 { return }
        guard errno == EXDEV, let permit else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
        try permit.take(Int(item.bytes), path: path)
        let partial = "\(path).new"
        // Of a merge that was cut off.
        unsafe unlink(partial)
        do {
            try FileManager.default.copyItem(atPath: item.path, toPath: partial)
            guard unsafe rename(partial, path) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        } catch {
            unsafe unlink(partial)
            throw error
        }
        unsafe unlink(item.path)
    }

    private func mergeRecords(_ item: UploadSpool.Item) throws -> Report {
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: item.path)))
        guard let (records, rejected) = UnitHealth.all(json: bytes) else {
            return Report(reason: "it is no JSON array")
        }
        var report = Report(health: records.count, rejected: rejected.count)
        for row in rejected { report.note(row) }
        var slice = HealthSlice(unit: item.unit)
        for record in records { slice.add(record) }
        let pending = PendingCommit()
        try commit(&slice, pending)
        try pending.wait()
        return report
    }

    private struct HealthSlice {
        var batch: ReadingBatch
        let unit: NodeID

        init(unit: NodeID) {
            self.unit = unit
            batch = ReadingBatch(key: unit.key, layout: UnitMerger.healthLayout)
            batch.timeQuality = "local"
            batch.keepsSums = true
        }

        mutating func add(_ health: UnitHealth) {
            batch.add(timeNanoseconds: health.timeNanoseconds, health.values)
        }
    }

    /// Hands the slice to the store; what was handed over before must be in by then.
    private func commit(_ slice: inout HealthSlice, _ pending: PendingCommit) throws {
        try pending.wait()
        guard !slice.batch.isEmpty else { return }
        pending.begin([.readings(slice.batch)], house.store)
        slice = HealthSlice(unit: slice.unit)
    }

    private func mergeDatabase(_ item: UploadSpool.Item) throws -> Report {
        let database: GuardedDatabase
        do throws(GuardedDatabase.Failure) {
            database = try GuardedDatabase(path: item.path, bytes: item.bytes, isCancelled: { Task.isCancelled })
        } catch {
            if Task.isCancelled { throw CancellationError() }
            if error.isOfTheMoment { throw error }
            return Report(reason: "it is no database: \(error)")
        }
        var report = Report()
        var failure: (any Error)?
        let pending = PendingCommit()
        // Whatever happens, nothing is under way when this returns.
        defer { try? pending.wait() }
        var health = HealthSlice(unit: item.unit)
        let ofHealth = database.readHealth(onRejected: { report.note($0) }) { row in
            guard failure == nil else { return }
            guard let row else {
                report.rejected += 1
                return
            }
            health.add(row)
            report.health += 1
            if health.batch.count >= Self.slice {
                do { try commit(&health, pending) } catch { failure = error }
            }
        }
        if failure == nil { try commit(&health, pending) }
        var points: [AccessPoint] = []
        let isFirst = try !house.store.hasAccessPointsBlocking(of: item.unit.key)
        let ofPoints =
            failure != nil
            ? GuardedDatabase.Outcome.whole
            : database.readAccessPoints { point in
                guard failure == nil else { return }
                guard let point else {
                    report.rejected += 1
                    return
                }
                points.append(point)
                report.accessPoints += 1
                if points.count >= Self.slice {
                    do { try commit(&points, of: item.unit, isFirst, pending) } catch { failure = error }
                }
            }
        if failure == nil { try commit(&points, of: item.unit, isFirst, pending) }
        do { try pending.wait() } catch { failure = failure ?? error }
        // Where all is new, the grids are made anew afterwards: a name may have come twice.
        if isFirst, report.accessPoints > 0 { overlay.forget(unit: item.unit.text) }
        if let failure { throw failure }
        if Task.isCancelled { throw CancellationError() }
        for case .unreadable(let reason) in [ofHealth, ofPoints] {
            throw GuardedDatabase.Failure(description: reason, isOfTheMoment: true)
        }
        report.isWithoutLog = DatabaseSnapshot.isWriteAhead(item.path)
        report.reason = Self.reason([ofHealth, ofPoints], report)
        return report
    }

    /// Nil when the file was read to its end and has something of a unit's, or says itself that it has nothing.
    private static func reason(_ outcomes: [GuardedDatabase.Outcome], _ report: Report) -> String? {
        for case .broken(let reason) in outcomes { return "it is damaged: \(reason)" }
        let hasTables = outcomes.contains(.whole)
        let hasRows = report.health + report.accessPoints + report.rejected > 0
        if report.isWithoutLog, !hasRows {
            return
                "it is in WAL mode and its -wal did not come with it: \(hasTables ? "its tables are empty" : "it has no tables"), and all rows are in the -wal"
        }
        return hasTables ? nil : "it has neither a table health_records nor a table ap_cache"
    }

    /// - Parameter isFirst: whether nothing of the unit was known when its file was opened.
    private func commit(
        _ points: inout [AccessPoint], of unit: NodeID, _ isFirst: Bool, _ pending: PendingCommit
    ) throws {
        try pending.wait()
        guard !points.isEmpty else { return }
        // In the order of the table, and the last of what comes twice.
        let byName = Dictionary(points.map { (Array($0.bssid.utf8), $0) }, uniquingKeysWith: { $1 })
        points.removeAll(keepingCapacity: true)
        let records = byName.values.map { AccessPointRecord($0) }.sorted { $0.bssid < $1.bssid }
        let known = isFirst ? [:] : try house.store.accessPointsBlocking(of: unit.key, bssids: records.map(\.bssid))
        // What has not changed is not written again: units send all they know every hour.
        let changed = known.isEmpty ? records : records.filter { known[Array($0.bssid.utf8)] != $0 }
        guard !changed.isEmpty else { return }
        let moves =
            isFirst
            ? []
            : changed.compactMap { record -> OverlayHouse.Move? in
                let before = known[Array(record.bssid.utf8)]
                let from = AccessPoint.Place(before?.latitude, before?.longitude)
                let to = AccessPoint.Place(record.latitude, record.longitude)
                return from == to ? nil : OverlayHouse.Move(from: from, to: to)
            }
        pending.begin([.accessPoints(unit.key, changed)], house.store) { [overlay] in
            if !moves.isEmpty { overlay.note(moves, unit: unit.text) }
        }
    }
}

/// One commit that is under way while the next rows are read.
private final class PendingCommit: Sendable {
    private struct State {
        var isUnderWay = false
        var error: StoreError?
    }

    private let state = Mutex(State())
    private let done = DispatchSemaphore(value: 0)

    /// - Parameter then: is called when the changes are in the store.
    func begin(_ changes: [StoreChange], _ store: Store, then: @escaping @Sendable () -> Void = {}) {
        state.withLock { $0.isUnderWay = true }
        store.commit(changes) { [self] result in
            switch result {
            case .success: then()
            case .failure(let error): state.withLock { $0.error = error }
            }
            done.signal()
        }
    }

    /// Waits for it; on a thread that may.
    func wait() throws {
        guard state.withLock({ $0.isUnderWay }) else { return }
        done.wait()
        let error = state.withLock { state in
            state.isUnderWay = false
            return state.error
        }
        if let error { throw error }
    }
}
