import AudioDSP
import CEdgeSystem
import Foundation
import Sensors
import Store

/// Takes in recordings of the replaced receiver where they are: a finished one gets a row and stays in its place; an unfinished one is
/// repaired and moved among the finished ones. Nothing is copied or deleted.
///
/// A file is repaired first, has its final name then, and gets its row last. Whatever is cut in between, the next run goes on with: a file
/// without a row is looked at again, and one with a row is not taken twice.
struct RecordingImporter {
    let store: Store
    let folders: LegacyFolders
    let isAnalysisOn: Bool
    let time: any TimeSource
    /// Root may take them in for a daemon that is another user.
    private let owner: FileOwner

    init(store: Store, folders: LegacyFolders, isAnalysisOn: Bool, time: any TimeSource) {
        self.store = store
        self.folders = folders
        self.isAnalysisOn = isAnalysisOn
        self.time = time
        owner = FileOwner(of: folders.recordings)
    }

    /// Names that are looked at together.
    private static let namesAtOnce = 500
    /// Rows that are committed together at most.
    private static let rowsAtOnce = 64
    /// Processor time for a file that has to be decoded, in seconds.
    private static let maximumFileSeconds = 600.0

    /// What is left to be done when a run has looked at a file.
    private struct Taken {
        let facts: FileFacts
        let name: String
        let legacy: LegacyRecordingName
        let isRepaired: Bool
    }

    /// A file is not taken.
    private struct Rejected: Error {
        let reason: Rejection
    }

    /// What is not yet committed.
    private struct Batch {
        var changes: [StoreChange] = []
        var report = Report()
        /// Folders in which names have changed since the last commit.
        var changedFolders: Set<String> = []
    }

    /// - Parameter paths: some of ``LegacyFolders``. One that is not there has no files.
    /// - Throws: ``StoreError`` when rows cannot be read or written, ``SegmentError`` when a folder cannot be synced. What was committed
    ///   before stays.
    func run(_ paths: [String]) async throws -> Report {
        var report = Report()
        // A listener that is connected keeps the address that it came from.
        var known = Set(try store.knownListenersBlocking())
        // The finished ones first, so that those that are moved there now are not met again.
        for path in paths.sorted(by: { $0 == folders.recordings && $1 != folders.recordings }) {
            do {
                try await take(path, &known, &report)
            } catch let failure as FolderFiles.Failure {
                guard failure.errnoValue != ENOENT else { continue }
                report.problems.append(
                    "\(failure.path) cannot be read to its end, and what is missing was not taken: \(failure.text)")
            }
        }
        return report
    }

    private func take(_ folder: String, _ known: inout Set<String>, _ report: inout Report) async throws {
        let names = try FolderNames(folder)
        // Renamed in this folder, so that they may be listed again.
        var renamed: Set<String> = []
        while true {
            let piece = try names.next(Self.namesAtOnce)
            guard !piece.isEmpty else { break }
            let parsed = piece.filter { !renamed.contains($0) && !isOwn($0, in: folder) }
                .map { (name: $0, legacy: LegacyRecordingName($0)) }
            let rows = try store.recordingsBlocking(named: parsed.compactMap(\.legacy?.finished))
            var batch = Batch()
            for (name, legacy) in parsed {
                let row = legacy.flatMap { rows[$0.finished] }
                do {
                    guard let taken = try take(name, legacy, row, in: folder, &batch) else { continue }
                    if taken.name != name, folder == folders.recordings { renamed.insert(taken.name) }
                    add(taken, &known, &batch)
                } catch let rejected as Rejected {
                    report.reject("\(folder)/\(name)", rejected.reason)
                }
                if batch.report.new >= Self.rowsAtOnce { try await commit(&batch, &report) }
            }
            try await commit(&batch, &report)
        }
    }

    /// Files of this program, which lie there too and are no recordings.
    private func isOwn(_ name: String, in folder: String) -> Bool {
        if name.hasPrefix(".") { return true }
        if folder == folders.recordings {
            let ends = [".silenced", RecordingRemains.asideSuffix, RecordingRemains.copySuffix]
            if ends.contains(where: { name.hasSuffix($0) }) { return true }
            // The folders of listeners.
            return LegacyRecordingName(name) == nil && Self.isFolder("\(folder)/\(name)")
        }
        // The spool has uploads that are being received, and databases of units.
        return !LegacyRecordingName.isOfSound(name)
    }

    /// Memory: the path and the status are borrowed for the call.
    private static func isFolder(_ path: String) -> Bool {
        var status = EdgeFileStatus()
        return unsafe edge_lstat(path, &status) == 0 && status.isFolder
    }

    // MARK: - One file

    /// Looks at a file, repairs it and gives it its final name. Nil for one that has a row.
    private func take(
        _ name: String, _ legacy: LegacyRecordingName?, _ row: RecordingRecord?, in folder: String, _ batch: inout Batch
    ) throws -> Taken? {
        let path = "\(folder)/\(name)"
        let isInPlace = folder == folders.recordings && legacy?.isUnfinished == false
        if let row, isInPlace, row.relativePath == name, row.state != "deleted" {
            batch.report.alreadyThere += 1
            return nil
        }
        guard let legacy else { throw Rejected(reason: LegacyRecordingName.isOfSound(name) ? .name : .kind) }
        guard let status = try Self.obstacles({ try RecordingRemains.status(path) }) else { return nil }
        guard status.isFile else { throw Rejected(reason: .link) }
        guard status.size_bytes > 0 else { throw Rejected(reason: .empty) }
        // One that was removed and has come back was analyzed, and is not taken again.
        if let row, row.state == "deleted" ? isInPlace && Recovery.isOf(row, status) : isSame(row, path, status) {
            batch.report.alreadyThere += 1
            return nil
        }
        try Self.checkAccess(path)
        let isRepaired = try Self.obstacles { try repair(path, legacy, status) }
        let limit = DecodingLimit(maximumProcessorSeconds: Self.maximumFileSeconds)
        guard let facts = try Self.obstacles({ try FileFacts(path: path, container: legacy.container, limit: limit) })
        else { return nil }
        guard facts.frames > 0 else { throw Rejected(reason: .noSound) }
        let final = try move(path, legacy, row, &batch)
        try Self.obstacles { try owner.take("\(folders.recordings)/\(final)") }
        return Taken(facts: facts, name: final, legacy: legacy, isRepaired: isRepaired)
    }

    /// Memory: the path is borrowed for the calls.
    private static func checkAccess(_ path: String) throws(Rejected) {
        // A silenced voice is written over, so reading is not enough.
        guard unsafe access(path, R_OK | W_OK) == 0 else {
            throw Rejected(reason: errno == EACCES || errno == EPERM || errno == EROFS ? .forbidden : .disk)
        }
        let file = unsafe open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard file >= 0 else { throw Rejected(reason: errno == EACCES ? .forbidden : .disk) }
        defer { close(file) }
        guard !OpenElsewhere.isWritten(file) else { throw Rejected(reason: .written) }
    }

    /// Gives the header of a WAV file its true sizes, where they are wrong.
    ///
    /// Memory: the path is borrowed for the call.
    private func repair(_ path: String, _ legacy: LegacyRecordingName, _ status: EdgeFileStatus) throws -> Bool {
        guard legacy.container == .wav,
            try WAVFile.repairSizes(path: path, isUnfinished: legacy.isUnfinished) != nil
        else { return false }
        // When the last of its sound was written.
        _ = unsafe edge_set_modified(path, status.modified_ns)
        return true
    }

    /// Says of an error whether it is the file's or the system's.
    private static func obstacles<Value>(_ body: () throws -> Value) throws(Rejected) -> Value {
        do {
            return try body()
        } catch is UploadRefusal {
            throw Rejected(reason: .noSound)
        } catch let error as SoundFileError where error.code == .tooCostly {
            throw Rejected(reason: .costly)
        } catch let error as SoundFileError where error.errnoValue == 0 {
            throw Rejected(reason: .noSound)
        } catch {
            throw Rejected(reason: .disk)
        }
    }

    /// Whether a file is a copy of a recording that is here under another path.
    private func isSame(_ row: RecordingRecord, _ path: String, _ status: EdgeFileStatus) -> Bool {
        let known = "\(folders.recordings)/\(row.relativePath)"
        guard row.bytes == status.size_bytes, known != path else { return false }
        return FileManager.default.contentsEqual(atPath: known, andPath: path)
    }

    // MARK: - Names

    /// Gives a file a name among the recordings that no other has: its own if that is free, else its own with a number.
    ///
    /// - Returns: the name.
    ///
    /// Memory: the paths are borrowed for the calls.
    private func move(
        _ path: String, _ legacy: LegacyRecordingName, _ row: RecordingRecord?, _ batch: inout Batch
    ) throws -> String {
        var number = 1
        var name = legacy.finished
        var isRecorded = row != nil
        while true {
            let target = "\(folders.recordings)/\(name)"
            let ofListener = "\(folders.recordings)/\(legacy.listener)/\(name)"
            if !isRecorded, unsafe access(ofListener, F_OK) != 0 {
                if target == path { return name }
                if unsafe edge_rename_new(path, target) == 0 {
                    batch.changedFolders.formUnion([
                        folders.recordings, (path as NSString).deletingLastPathComponent,
                    ])
                    return name
                }
                guard errno == EEXIST else {
                    throw Rejected(
                        reason: errno == EXDEV ? .otherDisk : errno == EACCES || errno == EPERM ? .forbidden : .disk)
                }
            }
            number += 1
            name = legacy.numbered(number)
            isRecorded = try store.recordingBlocking(name: name) != nil
        }
    }

    // MARK: - Rows

    private func add(_ taken: Taken, _ known: inout Set<String>, _ batch: inout Batch) {
        let now = time.now()
        let listener = taken.legacy.listener
        let start = taken.legacy.startNanoseconds
        let end = start + min(taken.facts.durationNanoseconds, .max - start)
        batch.changes += taken.facts.row(
            FileFacts.Origin(
                name: taken.name, listener: listener, relativePath: taken.name,
                startNanoseconds: start,
                // It has come in now: what waits for analysis or delivery is as old as that.
                closedNanoseconds: max(now.utcNanoseconds, end),
                container: taken.legacy.container, source: "import", bootID: now.bootID, isAnalysisOn: isAnalysisOn))
        if known.insert(listener.text).inserted {
            batch.changes.append(
                .touchListener(id: listener.text, seenNanoseconds: end, remoteAddress: "import"))
        }
        batch.report.new += 1
        batch.report.bytes += taken.facts.fileBytes
        if taken.isRepaired { batch.report.repaired += 1 }
    }

    /// A name is durable before its row is.
    private func commit(_ batch: inout Batch, _ report: inout Report) async throws {
        for folder in batch.changedFolders { try RecordingSegment.syncDirectory(folder) }
        if !batch.changes.isEmpty { try await store.commit(batch.changes) }
        report.new += batch.report.new
        report.alreadyThere += batch.report.alreadyThere
        report.bytes += batch.report.bytes
        report.repaired += batch.report.repaired
        batch = Batch()
    }
}
