import AudioDSP
import EdgeTesting
import Foundation
import Logging
import Sensors
import Store
import Testing

@testable import EdgeAggregator

/// Voices are silent in every recording that a window covers, whatever becomes of one of them.
@Suite struct RedactorTests {
    private static let second: Int64 = 1_000_000_000

    private struct Stopped: TimeSource {
        func now() -> TimeStamp {
            TimeStamp(
                utcNanoseconds: 5000 * RedactorTests.second, monotonicNanoseconds: 0, bootID: "b", isSynchronised: true)
        }
    }

    private struct Place {
        let folder: String
        let store: Store
        let redactor: Redactor

        func path(_ name: String) -> String { "\(folder)/a/\(name)" }

        func progress(_ row: RecordingRecord) -> RecordingProgress {
            RecordingProgress(
                recording: AnalysedRecording(
                    name: row.name, listener: row.listenerID, sessionID: row.sessionID, run: row.run,
                    startNanoseconds: row.startNanoseconds, timeQuality: .live, isOnDisk: true),
                startFrame48k: row.runOffsetFrames)
        }

        /// Each sample of a file; all of them are at 48 kHz.
        func samples(_ name: String) throws -> [Float] {
            let reader = try SoundFileReader(path: path(name))
            var samples: [Float] = []
            while try reader.readMono(
                channel: .mix, maxFrames: 4096, { span in for index in span.indices { samples.append(span[index]) } })
                > 0
            {}
            return samples
        }
    }

    private func inPlace(_ body: (Place) async throws -> Void) async throws {
        let folder = try TestFolders.temporary("edge-redactor")
        defer { TestFolders.remove(folder) }
        try FileManager.default.createDirectory(atPath: "\(folder)/a", withIntermediateDirectories: true)
        let store = try Store(path: "\(folder)/edge.db")
        defer { store.close() }
        var logger = Logger(label: "redactor")
        logger.logLevel = .critical
        let disk = DiskGuard(recordingsFolder: folder, reserveBytes: 0, metrics: StorageMetrics(), logger: logger)
        let redactor = Redactor(
            recordingsFolder: folder, store: store, time: Stopped(), permit: disk.recordings, logger: logger)
        defer { redactor.stop() }
        try await body(Place(folder: folder, store: store, redactor: redactor))
    }

    /// A row of ten seconds from a place in a run on.
    private func row(_ name: String, at second: Int64, session: String? = "a/b/1", seconds: Int64 = 10)
        -> [StoreChange]
    {
        [
            .openRecording(
                RecordingRecord(
                    name: name, listenerID: "a", sessionID: session, run: 0, runOffsetFrames: second * 48_000,
                    relativePath: "a/\(name)", state: "open", startNanoseconds: second * Self.second,
                    timeQuality: "live", bootID: "b", monotonicNanoseconds: 0, source: "stream", container: "flac",
                    encoding: "signed16", channels: 1, sampleRate: 48_000, analysis: "pending")),
            .closeRecording(
                RecordingClose(
                    name: name, frames: seconds * 48_000, durationNanoseconds: seconds * Self.second,
                    filledNanoseconds: 0, bytes: 1000, timeQuality: nil, closedNanoseconds: 1)),
        ]
    }

    /// Ten seconds of the value 1000, at 48 kHz.
    private func writeFLAC(_ path: String) throws {
        try Data().write(to: URL(fileURLWithPath: path))
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        defer { try? file.close() }
        let writer = try FLACWriter(
            descriptor: file.fileDescriptor, format: PCMFormat(encoding: .signed16, channels: 1, sampleRate: 48_000))
        let bytes = (0..<480_000).flatMap { _ in WireMaker.little(1000, 2) }
        try writer.write(bytes.span)
        try writer.finish()
    }

    /// The window of the grid that begins at a second.
    private func window(at second: Int64) throws -> AnalysisWindow {
        var assembler = WindowAssembler(
            overlapSeconds: 0, pool: WindowBufferPool(limit: 2), firstWindowFrame48k: second * 48_000,
            streamFrame48k: second * 48_000)
        var windows: [AnalysisWindow] = []
        let silence = [Float](repeating: 0, count: BirdNET.windowSamples)
        assembler.append(silence.span, emit: { windows.append($0) }, skipped: { _ in })
        return try #require(windows.first)
    }

    private func settle(_ place: Place, _ progress: RecordingProgress) async -> Redactor.Settlement {
        await withCheckedContinuation { continuation in
            place.redactor.settle(progress) { continuation.resume(returning: $0) }
        }
    }

    private func isSettled(_ settlement: Redactor.Settlement) -> Bool {
        if case .settled = settlement { true } else { false }
    }

    enum Broken: CaseIterable {
        case none, own, follower
    }

    /// A window with a voice covers the last second of one recording and two of the next. One of them may be a file that cannot be
    /// encoded again: it is removed, and the voice is silent in the other one.
    @Test(arguments: Broken.allCases) func silencesAllThatAWindowCovers(_ broken: Broken) async throws {
        try await inPlace { place in
            try await place.store.commit(
                row("r1.flac", at: 0) + row("r2.flac", at: 10)
                    + [.analysed(recording: "r2.flac", state: "done", windows: 3, error: nil, atNanoseconds: 1)])
            for name in ["r1.flac", "r2.flac"] { try writeFLAC(place.path(name)) }
            let brokenName = broken == .own ? "r1.flac" : "r2.flac"
            if broken != .none {
                try Data("no sound".utf8).write(to: URL(fileURLWithPath: place.path(brokenName)))
            }
            let progress = place.progress(try #require(try await place.store.recording(name: "r1.flac")))
            place.redactor.redact(try window(at: 9), of: progress, isLive: false)
            // The one that is analysed stays until its analysis ends: until then the next one waits for it.
            #expect(try await place.store.beginning(ofRecording: "r2.flac") == .waiting)
            #expect(isSettled(await settle(place, progress)))
            if broken != .own {
                let samples = try place.samples("r1.flac")
                #expect(samples.count == 480_000)
                #expect(samples.prefix(432_000).allSatisfy { $0 == 1000.0 / 32_768 })
                #expect(samples.dropFirst(432_000).allSatisfy { $0 == 0 })
            }
            if broken != .follower {
                let samples = try place.samples("r2.flac")
                #expect(samples.count == 480_000)
                #expect(samples.prefix(96_000).allSatisfy { $0 == 0 })
                #expect(samples.dropFirst(96_000).allSatisfy { $0 == 1000.0 / 32_768 })
            }
            if broken != .none {
                let gone = try #require(try await place.store.recording(name: brokenName))
                #expect(gone.state == "deleted" && gone.deleteReason == "human voice")
                #expect(!FileManager.default.fileExists(atPath: place.path(brokenName)))
            }
            if broken == .own { #expect(try await place.store.beginning(ofRecording: "r2.flac") == .heard) }
            #expect(place.redactor.heldRecordings.isEmpty)
        }
    }

    /// A recording that follows, cannot be silenced and is not analysed yet is not removed: the one after it would be handed out.
    @Test func waitsForAFollowerThatIsNotAnalysedBeforeItIsRemoved() async throws {
        try await inPlace { place in
            try await place.store.commit(row("r1.flac", at: 0) + row("r2.flac", at: 10) + row("r3.flac", at: 20))
            try writeFLAC(place.path("r1.flac"))
            try Data("no sound".utf8).write(to: URL(fileURLWithPath: place.path("r2.flac")))
            let progress = place.progress(try #require(try await place.store.recording(name: "r1.flac")))
            place.redactor.redact(try window(at: 9), of: progress, isLive: false)
            let first = await settle(place, progress)
            guard case .refused("r2.flac") = first else {
                Issue.record("\(first)")
                return
            }
            #expect(try await place.store.recording(name: "r2.flac")?.state == "closed")
            #expect(try await place.store.beginning(ofRecording: "r3.flac") == .waiting)
            // Analysed again after that.
            try await place.store.commit([
                .analysed(recording: "r2.flac", state: "done", windows: 3, error: nil, atNanoseconds: 1)
            ])
            place.redactor.redact(try window(at: 9), of: progress, isLive: false)
            #expect(isSettled(await settle(place, progress)))
            #expect(try await place.store.recording(name: "r2.flac")?.state == "deleted")
            #expect(try place.samples("r1.flac").dropFirst(432_000).allSatisfy { $0 == 0 })
        }
    }

    /// A recording that is deleted while its copy is made does not come back with the copy.
    @Test func aRecordingThatIsDeletedWhileItIsSilencedStaysDeleted() async throws {
        try await inPlace { place in
            try await place.store.commit(row("r.flac", at: 0, session: nil, seconds: 7200))
            let path = place.path("r.flac")
            try Data(SilentFLAC.file(hours: 2)).write(to: URL(fileURLWithPath: path))
            let progress = place.progress(try #require(try await place.store.recording(name: "r.flac")))
            place.redactor.redact(try window(at: 3), of: progress, isLive: false)
            async let settlement = settle(place, progress)
            while !FileManager.default.fileExists(atPath: path + ".silenced") {
                try await Task.sleep(for: .milliseconds(1))
            }
            try await place.store.commit([.deleteRecording(name: "r.flac", reason: "by request", atNanoseconds: 6)])
            // The redactor removes it too, if it has read the row by now.
            try? FileManager.default.removeItem(atPath: path)
            #expect(isSettled(await settlement))
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(place.folder)/a").isEmpty)
        }
    }
}
