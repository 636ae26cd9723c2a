import AudioDSP
import EdgeTesting
import Foundation
import Logging
import Sensors
import Store
import Testing

@testable import EdgeAggregator

/// What a start may take for files that were left behind, and in which order they get their rows.
@Suite struct RecoveryLimitTests {
    private struct Stopped: TimeSource {
        func now() -> TimeStamp {
            TimeStamp(
                utcNanoseconds: 1_800_000_000_000_000_000, monotonicNanoseconds: 0, bootID: "b", isSynchronised: true)
        }
    }

    private func inFolder(_ body: (String, Store) async throws -> Void) async throws {
        let folder = try TestFolders.temporary("edge-recovery")
        defer { TestFolders.remove(folder) }
        try FileManager.default.createDirectory(
            atPath: "\(folder)/recordings/l", withIntermediateDirectories: true)
        let store = try Store(path: "\(folder)/edge.db")
        defer { store.close() }
        try await body(folder, store)
    }

    private func recovery(_ folder: String, _ store: Store, startSeconds: Double) -> Recovery {
        var logger = Logger(label: "recovery")
        logger.logLevel = .critical
        let disk = DiskGuard(
            recordingsFolder: "\(folder)/recordings", reserveBytes: 0, metrics: StorageMetrics(), logger: logger)
        return Recovery(
            store: store, recordingsFolder: "\(folder)/recordings", spoolFolder: "\(folder)/spool",
            minimumNanoseconds: 0, isAnalysisOn: false, salvagePermit: disk.recordings, time: Stopped(),
            logger: logger, maximumStartSeconds: startSeconds)
    }

    private func file(_ folder: String, _ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/recordings/l/\(name)"))
    }

    /// Six files that take a while, and sounds of which the header tells everything: a start decodes for its time and no longer, all
    /// files together, and the rest is done later, the oldest first.
    @Test func aStartDecodesForItsTimeAndTheRestLater() async throws {
        try await inFolder { folder, store in
            let long = SilentFLAC.file(hours: 0.1)
            let days = (10..<16).map { "l_202601\($0)T000000Z.flac" }
            for name in days { try file(folder, name, long) }
            for name in ["l_20270101T000000Z.wav", "l_20250101T000000Z.wav"] {
                try file(
                    folder, name, WireMaker.wavHeader(dataBytes: 96_000) + WireMaker.ramp(from: 0, samples: 48_000))
            }
            let recovery = recovery(folder, store, startSeconds: 0.000_001)
            let summary = try recovery.run()
            #expect(summary.adopted == 2 && summary.waiting == 6 && summary.lost == 0)
            #expect(recovery.metrics.failures.total == 0)
            var filter = RecordingFilter()
            let first = try await store.recordings(filter)
            #expect(first.reversed().map(\.name) == ["l_20250101T000000Z.wav", "l_20270101T000000Z.wav"])
            #expect(first.allSatisfy { $0.frames == 48_000 && $0.encoding == "signed16" && $0.sampleRate == 48_000 })
            #expect(recovery.tryAgain() == 0)
            filter.limit = 6
            let later = try await store.recordings(filter)
            #expect(later.reversed().map(\.name) == days)
            #expect(later.allSatisfy { $0.frames == Int64(SilentFLAC.frames(hours: 0.1)) })
        }
    }

    /// The power goes between the copy without a voice taking its name and the look at the row, which was deleted meanwhile: the next
    /// start removes the copy, and takes it for no other recording.
    @Test func aCopyOfADeletedRecordingIsRemovedAtTheNextStart() async throws {
        try await inFolder { folder, store in
            let name = "l_20260101T000000Z.flac"
            try file(folder, name, SilentFLAC.file(hours: 0.01))
            let path = "\(folder)/recordings/l/\(name)"
            let before = try FileManager.default.attributesOfItem(atPath: path)
            let modified = try #require(before[.modificationDate] as? Date)
            let size = Int64(try Data(contentsOf: URL(fileURLWithPath: path)).count)
            let row = RecordingRecord(
                name: name, listenerID: "l", sessionID: nil, run: 0, runOffsetFrames: 0, relativePath: "l/\(name)",
                state: "open", startNanoseconds: 0, timeQuality: "live", bootID: "b", monotonicNanoseconds: 0,
                source: "upload", container: "flac", encoding: "signed16", channels: 1, sampleRate: 48_000,
                analysis: "pending")
            try await store.commit([
                .openRecording(row),
                .closeRecording(
                    RecordingClose(
                        name: name, frames: 48_000, durationNanoseconds: 1, filledNanoseconds: 0, bytes: size,
                        timeQuality: nil, closedNanoseconds: 1)),
                .deleteRecording(
                    name: name, reason: "by request",
                    atNanoseconds: Int64(modified.timeIntervalSince1970 * 1e9) + 1_000_000),
            ])
            var logger = Logger(label: "recovery")
            logger.logLevel = .critical
            let disk = DiskGuard(
                recordingsFolder: "\(folder)/recordings", reserveBytes: 0, metrics: StorageMetrics(), logger: logger)
            // So much later that the copy would be newer than the row's end.
            try await Task.sleep(for: .milliseconds(50))
            let silenced = try FLACRedaction.silence(
                path: path, frames: [0..<4800], permit: disk.recordings, limit: DecodingLimit())
            #expect(silenced == 4800)
            #expect(Int64(try Data(contentsOf: URL(fileURLWithPath: path)).count) != size)
            let summary = try recovery(folder, store, startSeconds: 5).run()
            #expect(summary.adopted == 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/recordings/l").isEmpty)
        }
    }
}
