import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store

/// Removes recordings that are no longer wanted, or for which there is no room: never one that waits for analysis.
struct RetentionService: Service {
    struct Limits: Sendable {
        var keep: RecordingSettings.Keep
        /// 0 for no limit.
        var ageNanoseconds: Int64
        /// 0 for no limit.
        var bytes: Int64
        var freeBytes: Int64
    }

    let limits: Limits
    let house: ReceptionHouse
    let interval: Duration

    func run() async throws {
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            // File removal waits for the disk, so it runs where receiving does.
            await withTaskExecutorPreference(house.executor) { await pass() }
            house.events.publish(.heartbeat)
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: interval) }
        }
    }

    func pass() async {
        do {
            if limits.keep != .all {
                let rows = try house.store.unwantedRecordingsBlocking(
                    withoutDetections: limits.keep == .detections, limit: 500)
                for row in rows { try await remove(row, reason: "keep_recordings: \(limits.keep.rawValue)") }
            }
            try await removeOldest()
        } catch {
            house.logger.error("Recordings could not be removed", metadata: ["error": "\(error)"])
        }
    }

    private func removeOldest() async throws {
        let now = house.time.now()
        var bytes = limits.bytes > 0 ? try house.store.recordingBytesBlocking() : 0
        // A disk that is short is given a tenth more than the reserve, so that keeping sound begins again.
        var missing = limits.freeBytes + limits.freeBytes / 8 - house.storageGuard.space.freeBytes
        if house.storageGuard.mayKeepSound, house.storageGuard.space.freeBytes >= limits.freeBytes { missing = 0 }
        for row in try house.store.deletableRecordingsBlocking(limit: 500) {
            let isOld =
                limits.ageNanoseconds > 0 && now.isSynchronised
                && row.startNanoseconds < now.utcNanoseconds - limits.ageNanoseconds
            let isOver = limits.bytes > 0 && bytes > limits.bytes
            guard isOld || isOver || missing > 0 else { return }
            try await remove(row, reason: isOld ? "too old" : isOver ? "over retention_max_bytes" : "disk short")
            bytes -= row.bytes
            missing -= row.bytes
        }
        // Nothing else is left to go: what waits for its upload makes room, the oldest first, and the ledger says so.
        guard missing > 0 else { return }
        for row in try house.store.undeliveredRecordingsBlocking(limit: 500) where missing > 0 {
            try await remove(row, reason: "disk short")
            missing -= row.bytes
        }
    }

    private func remove(_ row: RecordingRecord, reason: String) async throws {
        try await house.store.commit([
            .deleteRecording(name: row.name, reason: reason, atNanoseconds: house.time.now().utcNanoseconds)
        ])
        // Memory: the path is borrowed for the call.
        unsafe unlink("\(house.configuration.recordingsFolder)/\(row.relativePath)")
        house.logger.debug("A recording was removed", metadata: ["recording": "\(row.name)", "reason": "\(reason)"])
    }
}
