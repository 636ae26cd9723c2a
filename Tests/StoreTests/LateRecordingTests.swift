import EdgeTesting
import Testing

@testable import Store

/// Recordings that come in long after they were made.
@Suite struct LateRecordingTests {
    private static let day: Int64 = 86_400_000_000_000

    private func recording(_ name: String, startNanoseconds: Int64) -> StoreChange {
        .openRecording(
            RecordingRecord(
                name: name, listenerID: "a", sessionID: nil, run: 0, runOffsetFrames: 0, relativePath: name,
                state: "open", startNanoseconds: startNanoseconds, timeQuality: "inferred", bootID: "b",
                monotonicNanoseconds: 0, source: "import", container: "wav", encoding: "signed16", channels: 1,
                sampleRate: 48_000, analysis: "pending"))
    }

    private func close(_ name: String, atNanoseconds: Int64) -> StoreChange {
        .closeRecording(
            RecordingClose(
                name: name, frames: 480_000, durationNanoseconds: 10_000_000_000, filledNanoseconds: 0, bytes: 960_044,
                timeQuality: nil, closedNanoseconds: atNanoseconds))
    }

    private func withStore(_ body: (Store) async throws -> Void) async throws {
        let folder = try TestFolders.temporary("edge-late")
        defer { TestFolders.remove(folder) }
        var options = Store.Options()
        options.deliveries = DeliveryPlan(sinks: [.detections: ["influx"]])
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        try await body(store)
    }

    /// What waits to be delivered is as old as its recording's arrival, so that it is not dropped for the age of its sound.
    @Test func detectionsWaitFromWhenTheirRecordingCameIn() async throws {
        try await withStore { store in
            let model = try store.modelID(name: "m", modelSHA256: "1", libraryVersion: "2", librarySHA256: "3")
            func detection(_ name: String, _ start: Int64) -> StoreChange {
                .detections([
                    DetectionRecord(
                        listenerID: "a", recordingName: name, startNanoseconds: start,
                        endNanoseconds: start + 3_000_000_000, offsetSeconds: 0, scientificName: "s", commonName: "c",
                        label: "l", confidence: 0.5, modelID: model, timeQuality: "inferred", sessionID: nil, run: 0)
                ])
            }
            let (made, arrived) = (1000 * Self.day, 2000 * Self.day)
            try await store.commit([
                recording("old.wav", startNanoseconds: made), close("old.wav", atNanoseconds: arrived),
            ])
            try await store.commit([detection("old.wav", made)])
            // One that is still being recorded has no arrival but that of its sound.
            try await store.commit([recording("live.wav", startNanoseconds: arrived), detection("live.wav", arrived)])
            let cut = arrived - Self.day
            #expect(try await store.oldestDeliveries(kind: .detections, before: cut, limit: 10).isEmpty)
            #expect(try await store.oldestDeliveries(kind: .detections, before: arrived + 1, limit: 10).count == 1)
            let all = try await store.oldestDeliveries(kind: .detections, before: arrived + Self.day, limit: 10)
            #expect(all.count == 1)
        }
    }

    @Test func findsTheRowsOfManyNamesAtOnce() async throws {
        try await withStore { store in
            let names = (0..<700).map { "a_\($0).wav" }
            try await store.commit(names.filter { $0.hasSuffix("3.wav") }.map { recording($0, startNanoseconds: 1) })
            let found = try store.recordingsBlocking(named: names)
            #expect(Set(found.keys) == Set((0..<70).map { "a_\($0 == 0 ? "" : "\($0)")3.wav" }))
            #expect(found.allSatisfy { $0.key == $0.value.name })
            #expect(try store.recordingsBlocking(named: []).isEmpty)
        }
    }
}
