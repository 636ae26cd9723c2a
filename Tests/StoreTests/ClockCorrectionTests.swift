import Foundation
import Testing

@testable import Store

@Suite struct ClockCorrectionTests {
    private static let second: Int64 = 1_000_000_000
    /// The boot's true offset: it began on 2026-11-21 at 01:00 UTC.
    private static let truth: Int64 = 1_795_222_800 * second
    private let plan = DeliveryPlan(
        sinks: [
            .detections: ["influx"], .observations: ["influx"], .coverage: ["influx"], .metrics: ["prometheus"],
        ], holdsUnsynchronised: true)

    private func withStore(_ body: (Store) async throws -> Void) async throws {
        let folder = "\(NSTemporaryDirectory())/clock-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var options = Store.Options()
        options.deliveries = plan
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        try await body(store)
    }

    /// A recording of 21 seconds with a detection at its begin and one at its end, from so many seconds after the boot.
    private func sound(_ store: Store, at seconds: Int64, offset: Int64, boot: String = "b") throws -> [StoreChange] {
        let model = try store.modelID(name: "m", modelSHA256: "1", libraryVersion: "2", librarySHA256: "3")
        let name = "\(boot)-\(seconds)"
        let start = seconds * Self.second + offset
        let open = RecordingRecord(
            name: name, listenerID: "a", sessionID: "a/\(boot)/1", run: 0, runOffsetFrames: seconds, relativePath: name,
            state: "unkept", startNanoseconds: start, timeQuality: "unsynchronised", bootID: boot,
            monotonicNanoseconds: seconds * Self.second, source: "stream", container: "wav", encoding: "signed16",
            channels: 1, sampleRate: 48_000, analysis: "pending")
        let detections = [0.0, 18].map { place in
            DetectionRecord(
                listenerID: "a", recordingName: name, startNanoseconds: 0, endNanoseconds: 3 * Self.second,
                offsetSeconds: place, scientificName: "Parus major", commonName: "Great Tit", label: "x",
                confidence: 0.5, modelID: model, timeQuality: "unsynchronised", sessionID: "a/\(boot)/1", run: 0)
        }
        var gap = LedgerEntry(
            listenerID: "a", sessionID: "a/\(boot)/1", run: 0, recordingName: name, kind: "gap", reason: "missing",
            startNanoseconds: start + 5 * Self.second, durationNanoseconds: Self.second, frames: 1, bytes: 0,
            notedNanoseconds: start + 6 * Self.second)
        gap.unset = UnsetClock(bootID: boot, offsetNanoseconds: offset)
        return [
            .openRecording(open), .detections(detections), .ledger(gap),
            .observations([
                ObservationRecord(
                    source: "board", quantity: "load", unit: "", timeNanoseconds: start, value: 1,
                    timeQuality: "unsynchronised", bootID: boot, monotonicNanoseconds: seconds * Self.second)
            ]),
            .metrics(
                MetricBatch(
                    timeNanoseconds: start, unset: UnsetClock(bootID: boot, offsetNanoseconds: offset),
                    payload: Data([1]))),
            .closeRecording(
                RecordingClose(
                    name: name, frames: 21 * 48_000, durationNanoseconds: 21 * Self.second, filledNanoseconds: 0,
                    bytes: 0, timeQuality: "unsynchronised", closedNanoseconds: start + 21 * Self.second)),
            .analysed(
                recording: name, state: "done", windows: 7, error: nil, atNanoseconds: start + 22 * Self.second),
        ]
    }

    private func set(_ store: Store) async throws {
        try await store.commit([
            .clockIsSet(bootID: "b", offsetNanoseconds: Self.truth, atNanoseconds: Self.truth + 1000 * Self.second)
        ])
    }

    /// Stamped in 1970, then two years later, then an hour ahead: all in one boot, whose steady clock went on.
    @Test func movesEverythingToWhereItBelongsHoweverOftenTheClockWasStepped() async throws {
        try await withStore { store in
            let offsets = [Int64(0), 2 * 365 * 86_400 * Self.second, Self.truth + 3600 * Self.second]
            try await store.commit([
                .openSession(
                    SessionRecord(
                        id: "a/b/1", listenerID: "a", bootID: "b", counter: 1, openedNanoseconds: 90 * Self.second,
                        monotonicNanoseconds: 90 * Self.second, remoteAddress: "", source: "stream"))
            ])
            for (place, offset) in offsets.enumerated() {
                try await store.commit(try sound(store, at: 100 + 21 * Int64(place), offset: offset))
            }
            // Another boot's, of which nothing is known.
            try await store.commit(try sound(store, at: 50, offset: 7, boot: "old"))
            #expect(try await store.hasUnsetTimes(bootID: "b"))
            let due = try await store.dueDeliveries(
                sink: "influx", kinds: DeliveryKind.allCases, nowNanoseconds: .max, limit: 100)
            #expect(due.isEmpty)
            for _ in 0..<2 {
                try await set(store)
                #expect(try await !store.hasUnsetTimes(bootID: "b"))
                let detections = try await store.detections(DetectionFilter()).filter { $0.recordingName != "old-50" }
                #expect(
                    detections.map { ($0.startNanoseconds - Self.truth) / Self.second }.sorted()
                        == [100, 118, 121, 139, 142, 160])
                #expect(detections.allSatisfy { $0.endNanoseconds - $0.startNanoseconds == 3 * Self.second })
                #expect(detections.allSatisfy { $0.timeQuality == "corrected" })
                let observations = try await store.observations(ObservationFilter()).filter { $0.bootID == "b" }
                #expect(
                    observations.map { ($0.timeNanoseconds - Self.truth) / Self.second }.sorted() == [100, 121, 142])
                let ledger = try await store.ledgerEntries(1, through: 3)
                #expect(ledger.map { ($0.startNanoseconds - Self.truth) / Self.second } == [105, 126, 147])
                let batches = [1, 2, 3].map(Int64.init)
                for (place, id) in batches.enumerated() {
                    let batch = try await store.metricBatch(id: id)
                    #expect(batch?.timeNanoseconds == Self.truth + (100 + 21 * Int64(place)) * Self.second)
                }
                let recording = try await store.recording(id: 1)
                #expect(recording?.closedNanoseconds == Self.truth + 121 * Self.second)
                let listener = try await store.listeners().first
                #expect(listener?.firstSeenNanoseconds == Self.truth + 90 * Self.second)
            }
            // They may go now, and are not old.
            let released = try await store.dueDeliveries(
                sink: "influx", kinds: DeliveryKind.allCases, nowNanoseconds: .max, limit: 100)
            let facts = released.map(\.facts).reduce(0, +)
            #expect(facts == 8 + 4 + 4)
            #expect(released.allSatisfy { $0.createdNanoseconds == Self.truth + 1000 * Self.second })
        }
    }

    /// A row's new place is another's old one.
    @Test(arguments: [21, -21] as [Int64])
    func movesByTheLengthOfARecording(seconds: Int64) async throws {
        try await withStore { store in
            for place in 0..<5 {
                let offset = Self.truth - seconds * Self.second
                try await store.commit(try sound(store, at: 100 + 21 * Int64(place), offset: offset))
            }
            try await set(store)
            let detections = try await store.detections(DetectionFilter())
            let seconds = detections.map { ($0.startNanoseconds - Self.truth) / Self.second }.sorted()
            #expect(seconds == [100, 118, 121, 139, 142, 160, 163, 181, 184, 202])
            #expect(try await store.observations(ObservationFilter()).count == 5)
        }
    }

    /// What waits to be sent stays, however old.
    @Test func forgetsWhatIsOldAndNothingWaitsFor() async throws {
        try await withStore { store in
            for place in 0..<6 {
                try await store.commit(try sound(store, at: 100 + 21 * Int64(place), offset: 0))
            }
            try await set(store)
            let rows = try await store.dueDeliveries(
                sink: "influx", kinds: DeliveryKind.allCases, nowNanoseconds: .max, limit: 100)
            // The first eight detections are delivered, and all observations and lines of the ledger.
            let settled = rows.map { row in
                DeliverySettlement(row, .done, throughID: row.kind == .detections ? 8 : row.lastID)
            }
            try await store.commit([.delivered(settled, atNanoseconds: 1)])
            let used = try await store.usedBytes()
            #expect(used > 0)
            for _ in 0..<3 { try await store.commit([.forgetHistory(beforeNanoseconds: .max, most: 3)]) }
            #expect(try await store.detections(DetectionFilter()).compactMap(\.id).sorted() == [9, 10, 11, 12])
            #expect(try await store.detectionTotal() == 12)
            #expect(try await store.observations(ObservationFilter()).isEmpty)
            #expect(try await store.recording(id: 1) == nil)
            // Nothing that is newer.
            try await store.commit(try sound(store, at: 500, offset: Self.truth))
            try await store.commit([.forgetHistory(beforeNanoseconds: Self.truth + 400 * Self.second, most: 100)])
            #expect(try await store.observations(ObservationFilter()).count == 1)
        }
    }

    @Test func leavesAloneWhatMayHaveBeenSent() async throws {
        try await withStore { store in
            try await store.commit(try sound(store, at: 100, offset: 5))
            try await store.commit([.clockIsAssumed])
            #expect(try await !store.hasUnsetTimes(bootID: "b"))
            let due = try await store.dueDeliveries(
                sink: "influx", kinds: [.detections], nowNanoseconds: .max, limit: 100)
            #expect(due.count == 1)
            try await set(store)
            let detections = try await store.detections(DetectionFilter())
            #expect(detections.map(\.startNanoseconds).min() == 100 * Self.second + 5)
            #expect(detections.allSatisfy { $0.timeQuality == "assumed" })
        }
    }

    /// A recording that is open, and a guess, when the clock is set: it ends by the clock that is set, and its detections are not taken
    /// for ones that have waited since 1970.
    @Test func whatIsOpenEndsByTheClockThatWasSet() async throws {
        try await withStore { store in
            let changes = try sound(store, at: 100, offset: 0)
            let close = try #require(changes.first { if case .closeRecording = $0 { true } else { false } })
            try await store.commit([
                .openSession(
                    SessionRecord(
                        id: "a/b/1", listenerID: "a", bootID: "b", counter: 1, openedNanoseconds: 90 * Self.second,
                        monotonicNanoseconds: 90 * Self.second, remoteAddress: "", source: "stream"))
            ])
            try await store.commit([changes[0], .inferTimes(recording: "b-100"), changes[1]])
            try await set(store)
            guard case .closeRecording(let known) = close else { return }
            try await store.commit([
                .closeRecording(
                    RecordingClose(
                        name: known.name, frames: known.frames, durationNanoseconds: known.durationNanoseconds,
                        filledNanoseconds: 0, bytes: 0, timeQuality: "unsynchronised",
                        closedNanoseconds: 119 * Self.second, closedMonotonicNanoseconds: 119 * Self.second))
            ])
            let row = try #require(try await store.recording(name: "b-100"))
            #expect(row.startNanoseconds == Self.truth + 100 * Self.second)
            #expect(row.closedNanoseconds == Self.truth + 119 * Self.second)
            // Two seconds ahead of its arrival.
            let (_, runs) = try store.remainsOfSessionBlocking("a/b/1")
            #expect(runs.map(\.leadNanoseconds) == [2 * Self.second])
            let held = try await store.deliveries(DeliveryFilter()).filter { $0.kind == .detections }
            #expect(!held.isEmpty && held.allSatisfy { $0.createdNanoseconds >= Self.truth })
        }
    }
}
