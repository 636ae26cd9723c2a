import Foundation
import Logging
import Synchronization

/// Says whether there is room for sound.
///
/// Sound stops being kept before the disk is really full, so that the database has room for detections and for
/// saying so. It starts again by itself once a tenth more than the reserve is free.
final class StorageGuard: Sendable {
    static let lossReason = "disk full"

    struct Space: Sendable {
        var freeBytes: Int64 = 0
        var totalBytes: Int64 = 0
    }

    private struct State {
        var space = Space()
        var isShort = false
        var checked: ContinuousClock.Instant?
    }

    private let path: String
    private let reserveBytes: Int64
    private let metrics: StorageMetrics
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameters:
    ///   - path: the folder of the recordings; it must exist.
    ///   - reserveBytes: what is left free for everything that is not sound.
    init(path: String, reserveBytes: Int64, metrics: StorageMetrics, logger: Logger) {
        self.path = path
        self.reserveBytes = reserveBytes
        self.metrics = metrics
        self.logger = logger
    }

    /// Whether a new recording may be written. Looks at the disk at most once a second.
    var mayKeepSound: Bool {
        !state.withLock { state in
            check(&state)
            return state.isShort
        }
    }

    var space: Space {
        state.withLock { state in
            check(&state)
            return state.space
        }
    }

    /// Takes notice of an error of a recording's file.
    func note(_ error: SegmentError) {
        guard error.code == .diskFull else {
            logger.error("A recording's file failed", metadata: ["error": "\(error)"])
            return
        }
        metrics.diskFull.add(1)
        state.withLock { state in
            if !state.isShort {
                logger.error(
                    "The disk is full: sound is not kept until there is room again", metadata: ["path": "\(path)"])
            }
            state.isShort = true
            state.checked = .now
        }
    }

    /// Memory: the path and the status are borrowed for the call.
    private func check(_ state: inout State) {
        if let checked = state.checked, ContinuousClock.now - checked < .seconds(1) { return }
        state.checked = .now
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else {
            logger.error(
                "The recordings folder cannot be looked at", metadata: ["path": "\(path)", "errno": "\(errno)"])
            state.isShort = true
            return
        }
        let block = Int64(status.f_frsize)
        state.space = Space(freeBytes: Int64(status.f_bavail) * block, totalBytes: Int64(status.f_blocks) * block)
        if state.isShort, state.space.freeBytes >= reserveBytes + reserveBytes / 10 {
            state.isShort = false
            logger.notice(
                "There is room on the disk again: sound is kept", metadata: ["free_bytes": "\(state.space.freeBytes)"])
        } else if !state.isShort, state.space.freeBytes < reserveBytes {
            state.isShort = true
            logger.error(
                "The disk is nearly full: sound is not kept until there is room again",
                metadata: ["free_bytes": "\(state.space.freeBytes)", "reserve_bytes": "\(reserveBytes)"])
        }
    }
}

extension SegmentError {
    /// What the loss ledger says of sound that was not written for this error.
    var lossReason: String { code == .diskFull ? StorageGuard.lossReason : "write error" }
}
