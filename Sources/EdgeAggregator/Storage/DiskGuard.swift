import Foundation
import Logging
import Synchronization

/// Decides which writers may still use a disk that fills.
///
/// Every writer asks before each write, through a ``DiskPermit``. As free space shrinks, sound stops first, then the data of nodes,
/// then the database; each resumes by itself. What is left after that lets recordings be removed and the daemon be started.
///
/// `base_dir`, the recordings and the forecasts can be on different file systems, which are told apart by their device numbers.
final class DiskGuard: Sendable {
    /// What is written, in the order in which it stops.
    enum Use: Int, CaseIterable, Sendable {
        /// Recordings, uploads of sound and copies that an operator asks for.
        case sound
        /// Files of CO2 and PiWardrive units, and copies of recordings from which a voice is removed.
        case nodeData
        /// Detections, readings, the ledger and the deliveries.
        case database
    }

    static let lossReason = "disk full"

    private let reserveBytes: Int64
    private let metrics: StorageMetrics
    private let logger: Logger
    /// By device number.
    private let volumes = Mutex<[UInt64: DiskVolume]>([:])
    /// For the recordings.
    let recordings: DiskPermit

    /// - Parameters:
    ///   - recordingsFolder: The folder whose disk ``mayKeepSound`` and ``space`` describe. It must exist.
    ///   - reserveBytes: What sound leaves free (`min_free_disk_bytes`). Node data leaves an eighth of it, at most
    ///     64 MB, the database a sixteenth, at most 16 MB.
    init(recordingsFolder: String, reserveBytes: Int64, metrics: StorageMetrics, logger: Logger) {
        self.reserveBytes = reserveBytes
        self.metrics = metrics
        self.logger = logger
        let volume = DiskVolume(path: recordingsFolder, reserveBytes: reserveBytes, logger: logger)
        volumes.withLock { $0[volume.device] = volume }
        recordings = DiskPermit(use: .sound, volume: volume, metrics: metrics)
    }

    /// For a command beside the daemon, which has figures of its own.
    convenience init(_ settings: Settings, metrics: StorageMetrics = StorageMetrics(), logger: Logger? = nil) {
        self.init(
            recordingsFolder: settings.recordings.folder, reserveBytes: Int64(settings.recordings.leastFreeBytes),
            metrics: metrics, logger: logger ?? Logger(label: "edge-aggregator"))
    }

    /// - Parameter path: A folder, or a file that may not exist yet in a folder that may not exist yet either.
    func permit(for use: Use, at path: String) -> DiskPermit {
        let new = DiskVolume(path: path, reserveBytes: reserveBytes, logger: logger)
        let volume = volumes.withLock { volumes in
            if let known = volumes[new.device] { return known }
            volumes[new.device] = new
            return new
        }
        return DiskPermit(use: use, volume: volume, metrics: metrics)
    }

    /// Whether a new recording may be written.
    var mayKeepSound: Bool { recordings.mayWrite }

    /// The disk of the recordings.
    var space: DiskVolume.Space { recordings.volume.space }

    /// What has to be removed before sound is kept again: bytes, and files where inodes are short. 0 while there is room.
    var missing: (bytes: Int64, files: Int64) { recordings.volume.missing(for: .sound) }

    /// Handles an error of a recording's file. After "no space left", sound stops until there is more room than the reserve.
    func note(_ error: SegmentError) {
        guard error.code == .diskFull else {
            logger.error("A recording's file failed", metadata: ["error": "\(error)"])
            return
        }
        metrics.diskFull.add(1)
        recordings.volume.noteFull(for: .sound)
    }
}

/// The right to write to one disk for one use, as long as there is room. It is asked before each write.
struct DiskPermit: Sendable {
    let use: DiskGuard.Use
    let volume: DiskVolume
    let metrics: StorageMetrics

    /// Whether there is room. Nothing is counted.
    var mayWrite: Bool { volume.hasRoom(for: use) }

    /// Counts bytes that are about to be written.
    ///
    /// - Parameters:
    ///   - path: The file, for the error.
    ///   - isCopy: Whether they are a large file that can wait, for which nothing else has to stop.
    /// - Throws: ``SegmentError`` with the code `diskFull` if too little would be left. Nothing may be written then.
    func take(_ bytes: Int, path: String, isCopy: Bool = false) throws(SegmentError) {
        guard !volume.take(Int64(bytes), for: use, isCopy: isCopy) else { return }
        metrics.writesRefused.add(1)
        throw SegmentError(.write, path: path, errnoValue: ENOSPC)
    }
}

extension SegmentError {
    /// What the loss ledger says of sound that was not written for this error.
    var lossReason: String { code == .diskFull ? DiskGuard.lossReason : "write error" }
}
