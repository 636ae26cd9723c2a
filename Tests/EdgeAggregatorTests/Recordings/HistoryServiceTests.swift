import EdgeTesting
import Logging
import Sensors
import Store
import Testing

@testable import EdgeAggregator

/// What is old or empty is forgotten, however fast it came.
@Suite struct HistoryServiceTests {
    private static let day: Int64 = 86_400_000_000_000
    private static let now = 20_000 * day

    private struct Stopped: TimeSource {
        func now() -> TimeStamp {
            TimeStamp(
                utcNanoseconds: HistoryServiceTests.now, monotonicNanoseconds: 0, bootID: "b", isSynchronised: true)
        }
    }

    private func withService(
        days: Int64, bytes: Int64 = 0, _ body: (HistoryService, Store) async throws -> Void
    ) async throws {
        let folder = try TestFolders.temporary("edge-history")
        defer { TestFolders.remove(folder) }
        let store = try Store(path: "\(folder)/edge.db")
        defer { store.close() }
        try await body(
            HistoryService(
                store: store, time: Stopped(), mostAgeNanoseconds: days * Self.day, mostBytes: bytes,
                interval: .seconds(60), logger: Logger(label: "history")), store)
    }

    private func session(_ listener: String, daysAgo: Int64) -> StoreChange {
        .openSession(
            SessionRecord(
                id: "\(listener)/b/1", listenerID: listener, bootID: "b", counter: 1,
                openedNanoseconds: Self.now - daysAgo * Self.day, monotonicNanoseconds: 0, remoteAddress: "",
                source: "stream"))
    }

    private func end(_ listener: String, daysAgo: Int64) -> StoreChange {
        .closeSession(
            SessionClose(
                id: "\(listener)/b/1", closedNanoseconds: Self.now - daysAgo * Self.day, reason: "disconnected"))
    }

    private func line(_ listener: String, daysAgo: Int64, second: Int64 = 0) -> StoreChange {
        .ledger(
            LedgerEntry(
                listenerID: listener, sessionID: "\(listener)/b/1", run: 0, recordingName: nil, kind: "loss",
                reason: "too short", startNanoseconds: Self.now - daysAgo * Self.day + second * 1_000_000_000,
                durationNanoseconds: 1, frames: 1,
                bytes: 1, notedNanoseconds: Self.now - daysAgo * Self.day))
    }

    private func lines(_ store: Store) async throws -> Int {
        try await store.ledger(listener: nil, kind: nil, beforeID: nil, limit: 100_000).count
    }

    /// One pass takes 20,000 rows of a table. As long as it says that more is left, the service goes on after a second and not after
    /// its interval.
    @Test func aPassSaysWhetherMoreIsLeft() async throws {
        try await withService(days: 10) { service, store in
            try await store.commit([session("a", daysAgo: 20)])
            for block in Int64(0)..<25 {
                try await store.commit((0..<1000).map { line("a", daysAgo: 20, second: block * 1000 + $0) })
            }
            let before = try await lines(store)
            #expect(before == 25_000)
            try await store.commit([line("a", daysAgo: 1)])
            let first = try await service.pass()
            #expect(!first)
            #expect(try await lines(store) == 5_001)
            let second = try await service.pass()
            #expect(second)
            #expect(try await lines(store) == 1)
        }
    }

    /// A listener of which no sound was ever kept is forgotten a day after it was last seen, with its lines.
    @Test func emptyListenersAreForgottenAfterADay() async throws {
        try await withService(days: 0) { service, store in
            for (listener, daysAgo) in [("empty", 2), ("connected", 2), ("recent", 0), ("heard", 2)]
                as [(String, Int64)]
            {
                try await store.commit([session(listener, daysAgo: daysAgo), line(listener, daysAgo: daysAgo)])
                if listener != "connected" { try await store.commit([end(listener, daysAgo: daysAgo)]) }
            }
            try await store.commit([
                .openRecording(
                    RecordingRecord(
                        name: "heard.wav", listenerID: "heard", sessionID: "heard/b/1", run: 0, runOffsetFrames: 0,
                        relativePath: "heard/heard.wav", state: "open", startNanoseconds: Self.now - 2 * Self.day,
                        timeQuality: "live", bootID: "b", monotonicNanoseconds: 0, source: "stream", container: "wav",
                        encoding: "signed16", channels: 1, sampleRate: 48_000, analysis: "pending"))
            ])
            try await service.forgetEmptyListeners()
            #expect(Set(try await store.listeners().map(\.id)) == ["connected", "heard", "recent"])
            #expect(try await lines(store) == 3)
        }
    }
}
