import EdgeTesting
import Testing

@testable import Store

/// The newest detection whose time is not moved any more.
@Suite struct SettledDetectionTests {
    private static let second: Int64 = 1_000_000_000

    private func recording(_ name: String, _ quality: String, _ start: Int64) -> StoreChange {
        .openRecording(
            RecordingRecord(
                name: name, listenerID: "a", sessionID: "a/b/1", run: 0, runOffsetFrames: start,
                relativePath: "a/\(name)", state: "open", startNanoseconds: start * Self.second, timeQuality: quality,
                bootID: "b", monotonicNanoseconds: 0, source: "stream", container: "wav", encoding: "signed16",
                channels: 1, sampleRate: 48_000, analysis: "pending"))
    }

    private func detections(_ store: Store, _ name: String, _ species: [String]) throws -> StoreChange {
        let model = try store.modelID(name: "m", modelSHA256: "1", libraryVersion: "2", librarySHA256: "3")
        return .detections(
            species.map { species in
                DetectionRecord(
                    listenerID: "a", recordingName: name, startNanoseconds: 0, endNanoseconds: 3 * Self.second,
                    offsetSeconds: 0, scientificName: species, commonName: species, label: species, confidence: 0.5,
                    modelID: model, timeQuality: "live", sessionID: "a/b/1", run: 0)
            })
    }

    private func withStore(_ body: (Store) async throws -> Void) async throws {
        let folder = try TestFolders.temporary("edge-settled")
        defer { TestFolders.remove(folder) }
        var options = Store.Options()
        options.deliveries = DeliveryPlan(sinks: [.detections: ["influx", "mqtt"]], holdsUnsynchronised: true)
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        try await store.commit([
            .openSession(
                SessionRecord(
                    id: "a/b/1", listenerID: "a", bootID: "b", counter: 1, openedNanoseconds: 1,
                    monotonicNanoseconds: 0, remoteAddress: "", source: "stream"))
        ])
        try await body(store)
    }

    /// 600 of one recording, more than are delivered together otherwise.
    @Test func isNoneThatIsHeld() async throws {
        try await withStore { store in
            #expect(try await store.newestSettledDetection() == nil)
            try await store.commit([recording("r1", "live", 100), try detections(store, "r1", ["x", "y"])])
            #expect(try await store.newestSettledDetection() == 2)
            let many = (0..<600).map { "s\($0)" }
            try await store.commit([recording("r2", "unsynchronised", 200), try detections(store, "r2", many)])
            #expect(try await store.newestSettledDetection() == 2)
            try await store.commit([recording("r3", "live", 300), try detections(store, "r3", ["z"])])
            #expect(try await store.newestSettledDetection() == 603)
        }
    }

    @Test func isFreeOnceTheClockIsSet() async throws {
        try await withStore { store in
            try await store.commit([recording("r", "unsynchronised", 100), try detections(store, "r", ["x"])])
            #expect(try await store.newestSettledDetection() == nil)
            try await store.commit([.clockIsAssumed])
            #expect(try await store.newestSettledDetection() == 1)
        }
    }
}
