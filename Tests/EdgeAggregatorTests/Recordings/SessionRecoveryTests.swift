import Foundation
import Sensors
import Store
import Testing

@testable import EdgeAggregator

/// How long the box was down between the last moment of a session and the start of the program, by whichever clock can tell.
@Suite struct SessionRecoveryTests {
    private static let second: Int64 = 1_000_000_000
    /// 2026-11-21 01:00 UTC.
    private static let birth: Int64 = 1_795_222_800 * second

    private struct Stopped: TimeSource {
        let stamp: TimeStamp
        func now() -> TimeStamp { stamp }
    }

    /// A moment of a boot, so many seconds after its beginning, by a clock that says that the boot began at `offset`.
    private func stamp(_ boot: String, _ seconds: Int64, offset: Int64, isSet: Bool = true) -> TimeStamp {
        TimeStamp(
            utcNanoseconds: offset + seconds * Self.second, monotonicNanoseconds: seconds * Self.second, bootID: boot,
            isSynchronised: isSet)
    }

    /// A session of 60 s that begins 100 s after the boot and has no end, then a start of the program.
    private func afterASession(
        isSet: Bool = true, start: TimeStamp, _ body: (Store) async throws -> Void
    ) async throws {
        let folder = "\(NSTemporaryDirectory())/session-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try Store(path: "\(folder)/edge.db", options: Store.Options())
        defer { store.close() }
        let opened = stamp("one", 100, offset: isSet ? Self.birth : 0)
        let quality = isSet ? "live" : "unsynchronised"
        try await store.commit([
            .openSession(
                SessionRecord(
                    id: "a/one/1", listenerID: "a", bootID: "one", counter: 1, openedNanoseconds: opened.utcNanoseconds,
                    monotonicNanoseconds: opened.monotonicNanoseconds, remoteAddress: "", source: "stream")),
            .openRecording(
                RecordingRecord(
                    name: "r", listenerID: "a", sessionID: "a/one/1", run: 0, runOffsetFrames: 0, relativePath: "a/r",
                    state: "open", startNanoseconds: opened.utcNanoseconds, timeQuality: quality, bootID: "one",
                    monotonicNanoseconds: opened.monotonicNanoseconds, source: "stream", container: "wav",
                    encoding: "signed16", channels: 1, sampleRate: 48_000, analysis: "skipped")),
            .closeRecording(
                RecordingClose(
                    name: "r", frames: 60 * 48_000, durationNanoseconds: 60 * Self.second, filledNanoseconds: 0,
                    bytes: 0, timeQuality: quality,
                    closedNanoseconds: opened.utcNanoseconds + 60 * Self.second)),
        ])
        let open = Set(try store.openSessionsBlocking())
        let recovery = SessionRecovery(store: store, time: Stopped(stamp: start), start: start, open: open)
        for session in open { try recovery.end(session) }
        try await body(store)
        let all = try await store.coverage(fromNanoseconds: -1 << 60, toNanoseconds: 1 << 62)
        let coverage = try #require(all.first)
        #expect(coverage.spannedNanoseconds == coverage.accountedNanoseconds)
        #expect(coverage.heardNanoseconds == 60 * Self.second)
    }

    private func gaps(_ store: Store) async throws -> [LedgerEntry] {
        try await store.ledger(listener: "a", kind: "gap", beforeID: nil, limit: 10)
    }

    private func lengths(_ store: Store) async throws -> [Int64] { try await gaps(store).map(\.durationNanoseconds) }

    @Test(arguments: [0, 3600, -3600, 400 * 86_400] as [Int64])
    func countsOnTheSteadyClockWithinABoot(stepSeconds: Int64) async throws {
        let start = stamp("one", 190, offset: Self.birth + stepSeconds * Self.second)
        try await afterASession(start: start) { store in
            let found = try await gaps(store)
            #expect(found.map(\.durationNanoseconds) == [30 * Self.second])
            #expect(found.map(\.startNanoseconds) == [Self.birth + 160 * Self.second])
        }
    }

    @Test func countsByTheClockFromOneBootToTheNext() async throws {
        let start = stamp("two", 20, offset: Self.birth + 500 * Self.second)
        try await afterASession(start: start) { store in
            let found = try await lengths(store)
            #expect(found == [360 * Self.second])
        }
    }

    /// A card without a clock battery begins its second life in 1970, and is told the time a minute later.
    @Test func knowsTheLengthOnceTheClockOfTheNextBootIsSet() async throws {
        try await afterASession(start: stamp("two", 20, offset: 0, isSet: false)) { store in
            #expect(try await lengths(store) == [0])
            #expect(try await store.hasUnsetTimes(bootID: "two"))
            let truth = Self.birth + 500 * Self.second
            try await store.commit([
                .clockIsSet(bootID: "two", offsetNanoseconds: truth, atNanoseconds: truth + 80 * Self.second)
            ])
            #expect(try await lengths(store) == [360 * Self.second])
            #expect(try await !store.hasUnsetTimes(bootID: "two"))
        }
    }

    @Test func doesNotGuessWhereTheFirstBootNeverKnewTheTime() async throws {
        try await afterASession(isSet: false, start: stamp("two", 20, offset: Self.birth)) { store in
            let found = try await lengths(store)
            #expect(found == [0])
        }
    }

    @Test func movesTheGapWithASessionWhoseClockIsSetLater() async throws {
        try await afterASession(isSet: false, start: stamp("one", 190, offset: 7, isSet: false)) { store in
            try await store.commit([
                .clockIsSet(
                    bootID: "one", offsetNanoseconds: Self.birth, atNanoseconds: Self.birth + 200 * Self.second)
            ])
            let found = try await gaps(store)
            #expect(found.map(\.startNanoseconds) == [Self.birth + 160 * Self.second])
            #expect(found.map(\.durationNanoseconds) == [30 * Self.second])
        }
    }
}
