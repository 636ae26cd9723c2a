import AudioDSP
import CEdgeSystem
import Foundation
import Logging
import Sensors
import Store
import Synchronization

/// Files without a row.
extension Recovery {
    /// In the order in which they are adopted, since what has no row is not removed for want of room: those that need no decoding
    /// first, then the oldest.
    func inOrder(_ orphans: [String: Orphan]) -> [(path: String, orphan: Orphan)] {
        orphans.map { path, orphan -> (isCostly: Bool, start: Int64, path: String, orphan: Orphan) in
            let modified = { (try? RecordingRemains.status(path))??.modified_ns ?? .max }
            return (
                orphan.container != .wav, UploadName(filename: orphan.name).startNanoseconds ?? modified(), path, orphan
            )
        }.sorted { ($0.isCostly ? 1 : 0, $0.start, $0.path) < ($1.isCostly ? 1 : 0, $1.start, $1.path) }
            .map { ($0.path, $0.orphan) }
    }

    /// A file without a row was made just before its row would have been written, or its row was lost with a database.
    func adopt(_ path: String, _ orphan: Orphan, _ limit: DecodingLimit, _ summary: inout Summary) {
        limit.resume()
        do {
            if let facts = try FileFacts(path: path, container: orphan.container, limit: limit) {
                try adopt(facts, orphan)
                summary.adopted += 1
            }
        } catch is UploadRefusal {
            logger.warning(
                "A file among the recordings holds no sound; it is left alone", metadata: ["path": "\(path)"])
        } catch let error as SoundFileError where error.code == .tooCostly || error.code == .cancelled {
            waiting.withLock { $0.orphans[path] = orphan }
            return
        } catch {
            let isNew = waiting.withLock { $0.orphans.updateValue(orphan, forKey: path) == nil }
            if isNew { tellOfWaiting("A file that has no row", path, error) }
            return
        }
        waiting.withLock { _ = $0.orphans.removeValue(forKey: path) }
    }

    /// Gives up a file that takes too long to decode. It is decoded again after the next start.
    func leaveAlone(_ path: String) {
        metrics.failures.add(1)
        logger.warning(
            "A file among the recordings takes too long to decode; it is left alone", metadata: ["path": "\(path)"])
        waiting.withLock { waiting in
            waiting.orphans[path] = nil
            waiting.files[path] = nil
        }
    }

    private func adopt(_ facts: FileFacts, _ orphan: Orphan) throws {
        let modified = facts.modifiedNanoseconds
        let origin = FileFacts.Origin(
            name: orphan.name, listener: orphan.listener, relativePath: "\(orphan.listener)/\(orphan.name)",
            startNanoseconds: UploadName(filename: orphan.name).startNanoseconds
                ?? modified - facts.durationNanoseconds,
            closedNanoseconds: modified, container: orphan.container, source: "stream", bootID: time.now().bootID,
            isAnalysisOn: isAnalysisOn)
        try store.commitBlocking(
            facts.row(origin) + [
                .touchListener(id: orphan.listener.text, seenNanoseconds: modified, remoteAddress: "")
            ])
    }

    /// A name is given once, and its row says that it is deleted.
    ///
    /// Memory: the paths are borrowed for the call.
    func adoptUnderAnotherName(
        _ file: File, _ container: RecordingContainer, _ limit: DecodingLimit, _ summary: inout Summary
    ) throws {
        let stem = (file.name as NSString).deletingPathExtension
        var number = 2
        var name: String
        repeat {
            name = "\(stem)-\(number).\(container.rawValue)"
            number += 1
        } while RecordingNames.isTaken(name, store: store, folder: recordingsFolder)
        let path = "\(recordingsFolder)/\(file.listener)/\(name)"
        guard unsafe rename(file.path, path) == 0 else {
            metrics.failures.add(1)
            logger.error(
                "A file with the name of a deleted recording cannot be renamed; the next start tries again",
                metadata: ["path": "\(file.path)", "errno": "\(errno)"])
            return
        }
        try RecordingSegment.syncDirectory("\(recordingsFolder)/\(file.listener)")
        logger.warning(
            "A file has the name of a recording that is deleted, and is another: it is taken up under a new name",
            metadata: ["before": "\(file.name)", "now": "\(name)"])
        adopt(path, Orphan(name: name, listener: file.listener, container: container), limit, &summary)
    }
}
