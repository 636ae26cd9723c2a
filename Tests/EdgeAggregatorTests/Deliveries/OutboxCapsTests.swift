import EdgeTesting
import Foundation
import Logging
import Sensors
import Store
import Testing

@testable import EdgeAggregator

/// What goes when the disk is short, and what never does.
@Suite struct OutboxCapsTests {
    private func waiting(_ store: Store) async throws -> [DeliveryKind] {
        try await store.backlog().map(\.kind)
    }

    /// - Parameter times: the reserve is so many times what is free.
    private func passes(_ count: Int, reserveTimesFree times: Int64, _ body: (Store) async throws -> Void) async throws
    {
        let folder = try TestFolders.temporary("edge-caps")
        defer { TestFolders.remove(folder) }
        var options = Store.Options()
        options.deliveries = DeliveryPlan(sinks: [
            .detections: ["influx"], .observations: ["influx"], .coverage: ["influx"], .metrics: ["prometheus"],
        ])
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        let model = try store.modelID(name: "m", modelSHA256: "1", libraryVersion: "2", librarySHA256: "3")
        try await store.commit([
            .metrics(MetricBatch(timeNanoseconds: 1, unset: nil, payload: Data([1]))),
            .ledger(
                LedgerEntry(
                    listenerID: "a", sessionID: nil, run: nil, recordingName: nil, kind: "gap", reason: "x",
                    startNanoseconds: 1, durationNanoseconds: 1, frames: 1, bytes: 0, notedNanoseconds: 1)),
            .observations([
                ObservationRecord(
                    source: "s", quantity: "co2", unit: "ppm", timeNanoseconds: 1, value: 1, timeQuality: "live",
                    bootID: "b", monotonicNanoseconds: 1)
            ]),
            .detections([
                DetectionRecord(
                    listenerID: "a", recordingName: "r", startNanoseconds: 0, endNanoseconds: 3, offsetSeconds: 0,
                    scientificName: "x", commonName: "x", label: "x", confidence: 1, modelID: model,
                    timeQuality: "live", sessionID: nil, run: 0)
            ]),
        ])
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let probe = DiskGuard(recordingsFolder: folder, reserveBytes: 0, metrics: StorageMetrics(), logger: logger)
        let caps = OutboxCaps(
            limits: OutboxCaps.Limits(ageNanoseconds: 0, ageOfKind: [:], rows: 1000, bytes: [:]),
            storage: DiskGuard(recordingsFolder: folder, reserveBytes: 0, metrics: StorageMetrics(), logger: logger),
            reserveBytes: probe.space.freeBytes * times, store: store, time: TimeService(), interval: .seconds(1),
            logger: logger)
        for _ in 0..<count { try await caps.pass() }
        try await body(store)
    }

    @Test func keepsEverythingWhileTheReserveIsWhole() async throws {
        try await passes(3, reserveTimesFree: 1) { store in
            let kinds = try await waiting(store)
            #expect(kinds == [.detections, .coverage, .observations, .metrics])
        }
    }

    @Test func givesUpMetricsFirst() async throws {
        try await passes(3, reserveTimesFree: 3) { store in
            let kinds = try await waiting(store)
            #expect(kinds == [.detections, .coverage, .observations])
        }
    }

    @Test func givesUpObservationsNextAndDetectionsNever() async throws {
        try await passes(1, reserveTimesFree: 8) { store in
            // One kind at a time.
            let kinds = try await waiting(store)
            #expect(kinds == [.detections, .coverage, .observations])
        }
        try await passes(4, reserveTimesFree: 8) { store in
            let kinds = try await waiting(store)
            #expect(kinds == [.detections, .coverage])
            let totals = try await store.deliveryTotals()
            #expect(Set(totals.filter { $0.shed > 0 }.map(\.kind)) == [.metrics, .observations])
        }
    }
}
