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
    }

    let limits: Limits
    let house: ReceptionHouse
    let startReserve: StartReserve
    let interval: Duration

    /// How often empty folders are looked for, and how long one stays.
    private static let folderInterval = Duration.seconds(3600)
    private static let emptyFolderAgeSeconds = 86_400.0

    func run() async throws {
        var nextFolderPass = ContinuousClock.now
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            // File removal waits for the disk, so it runs where receiving does.
            await withTaskExecutorPreference(house.executor) {
                await pass()
                restoreStartReserve()
                if nextFolderPass <= .now {
                    removeEmptyFolders()
                    nextFolderPass = .now + Self.folderInterval
                }
            }
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
        var missing = house.storageGuard.missing
        for row in try house.store.deletableRecordingsBlocking(limit: 500) {
            let isOld =
                limits.ageNanoseconds > 0 && now.isSynchronised
                && row.startNanoseconds < now.utcNanoseconds - limits.ageNanoseconds
            let isOver = limits.bytes > 0 && bytes > limits.bytes
            guard isOld || isOver || missing.bytes > 0 || missing.files > 0 else { return }
            try await remove(row, reason: isOld ? "too old" : isOver ? "over retention_max_bytes" : "disk short")
            bytes -= row.bytes
            missing.bytes -= row.bytes
            missing.files -= 1
        }
        // Nothing else is left to go: what waits for its upload makes room, the oldest first, and the ledger says so.
        guard missing.bytes > 0 || missing.files > 0 else { return }
        for row in try house.store.undeliveredRecordingsBlocking(limit: 500)
        where missing.bytes > 0 || missing.files > 0 {
            try await remove(row, reason: "disk short")
            missing.bytes -= row.bytes
            missing.files -= 1
        }
    }

    /// A clock that is not set cannot tell how old a folder is.
    private func removeEmptyFolders() {
        guard house.time.now().isSynchronised else { return }
        let connected = Set(house.registry.connections.map(\.listener.text))
        let removed = ListenerFolders.removeEmpty(
            in: house.configuration.recordingsFolder, before: Date(timeIntervalSinceNow: -Self.emptyFolderAgeSeconds),
            isInUse: { connected.contains($0) })
        if removed > 0 {
            house.logger.info("Empty folders of listeners were removed", metadata: ["folders": "\(removed)"])
        }
    }

    /// Sets space aside again once sound has its own.
    private func restoreStartReserve() {
        let space = house.storageGuard.space
        guard house.storageGuard.mayKeepSound, space.freeBytes > 4 * startReserve.fullBytes else { return }
        startReserve.restore()
    }

    private func remove(_ row: RecordingRecord, reason: String) async throws {
        try await house.store.commit(
            [
                .deleteRecording(name: row.name, reason: reason, atNanoseconds: house.time.now().utcNanoseconds)
            ], freesRoom: true)
        // Memory: the path is borrowed for the call.
        unsafe unlink("\(house.configuration.recordingsFolder)/\(row.relativePath)")
        house.logger.debug("A recording was removed", metadata: ["recording": "\(row.name)", "reason": "\(reason)"])
    }
}
