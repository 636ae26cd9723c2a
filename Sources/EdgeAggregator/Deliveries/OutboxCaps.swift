import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store

/// Keeps the outbox within its bounds: what is too old or too much is given up, the least important first, and the
/// ledger says so.
struct OutboxCaps: Service {
    struct Limits: Sendable {
        /// 0 for no limit.
        var ageNanoseconds: Int64
        /// Of those kinds that have a limit of their own.
        var ageOfKind: [DeliveryKind: Int64]
        var rows: Int
        /// By kind; those that are not named have no limit.
        var bytes: [DeliveryKind: (most: Int64, setting: String)]
    }

    let limits: Limits
    let storage: DiskGuard
    /// What is to be left free on the disk.
    let reserveBytes: Int64
    let store: Store
    let time: any TimeSource
    let interval: Duration
    let logger: Logger

    /// Given up in one transaction.
    static let batch = 500

    func run() async throws {
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            do {
                try await pass()
            } catch {
                logger.error("The outbox could not be kept within its bounds", metadata: ["error": "\(error)"])
            }
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: interval) }
        }
    }

    func pass() async throws(StoreError) {
        let now = time.now()
        for kind in DeliveryKind.allCases.reversed() {
            let age = limits.ageOfKind[kind] ?? limits.ageNanoseconds
            // A clock that is not set cannot say what is old.
            guard age > 0, now.isSynchronised else { continue }
            try await shed(
                try await store.oldestDeliveries(kind: kind, before: now.utcNanoseconds - age, limit: Self.batch),
                reason: "waited too long", now)
        }
        for (kind, limit) in limits.bytes {
            try await shed(
                try await store.deliveries(kind: kind, beyondBytes: limit.most, limit: Self.batch),
                reason: "over \(limit.setting)", now)
        }
        try await makeRoom(now)
        var excess = try await store.deliveryCount() - limits.rows
        for kind in DeliveryKind.allCases.reversed() where excess > 0 {
            let ids = try await store.oldestDeliveries(kind: kind, before: .max, limit: min(excess, 100 * Self.batch))
            for start in stride(from: 0, to: ids.count, by: Self.batch) {
                try await shed(
                    Array(ids[start..<min(ids.count, start + Self.batch)]), reason: "over delivery_max_rows", now)
            }
            excess -= ids.count
        }
    }

    /// The reserve is for what is small: recordings went before it was touched. Below a half of it metrics go, the oldest
    /// first; below a quarter everything else but detections and what the ledger says.
    private func makeRoom(_ now: TimeStamp) async throws(StoreError) {
        let free = storage.space.freeBytes
        var kinds: [DeliveryKind] = []
        if free < reserveBytes / 2 { kinds += [.field, .metrics] }
        if free < reserveBytes / 4 { kinds += [.upload, .analysis, .observations] }
        for kind in kinds {
            let ids = try await store.oldestDeliveries(kind: kind, before: .max, limit: Self.batch)
            try await shed(ids, reason: "disk short", now)
            // The next kind only when nothing of this one is left.
            if !ids.isEmpty { return }
        }
    }

    private func shed(_ ids: [Int64], reason: String, _ now: TimeStamp) async throws(StoreError) {
        guard !ids.isEmpty else { return }
        logger.warning("Deliveries are given up", metadata: ["count": "\(ids.count)", "reason": "\(reason)"])
        try await store.commit([.shed(ids, reason: reason, atNanoseconds: now.utcNanoseconds)], freesRoom: true)
    }
}
