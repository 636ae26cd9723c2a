import AudioDSP
import EdgeTesting
import Foundation
import Logging
import Sensors
import Store
import Testing

@testable import EdgeAggregator

/// Names and folders of the replaced receiver.
@Suite struct LegacyRecordingTests {
    @Test func readsTheNamesThatItGave() throws {
        let name = try #require(LegacyRecordingName("listener01_20261121T012744Z.wav"))
        #expect(name.listener.text == "listener01" && name.container == .wav && !name.isUnfinished)
        // date -u -d 2026-11-21T01:27:44Z +%s
        #expect(name.startNanoseconds == 1_795_224_464_000_000_000)
        #expect(name.finished == "listener01_20261121T012744Z.wav")
        #expect(name.numbered(2) == "listener01_20261121T012744Z-2.wav")
        let unfinished = try #require(LegacyRecordingName("hut_2.b_20261121T012744Z.wav.tmp"))
        #expect(unfinished.listener.text == "hut_2.b" && unfinished.isUnfinished)
        #expect(unfinished.finished == "hut_2.b_20261121T012744Z.wav")
        let upload = try #require(LegacyRecordingName("a_20261121T012744Z.FLAC"))
        #expect(upload.container == .flac && upload.finished == "a_20261121T012744Z.FLAC")
        #expect(upload.numbered(7) == "a_20261121T012744Z-7.FLAC")
        let second = try #require(LegacyRecordingName("a_20261121T012744Z-2.wav"))
        #expect(second.startNanoseconds == name.startNanoseconds)
        #expect(second.finished == "a_20261121T012744Z-2.wav" && second.numbered(3) == "a_20261121T012744Z-3.wav")
    }

    @Test(arguments: [
        "", ".", "a", "a.wav", "_20261121T012744Z.wav", "a_20261121T012744Z", "a_20261121T012744Z.txt",
        "a_20261121T012744.wav", "a_20261121T012744Z.wav.tmp.tmp", "a_20261121T012744Z.wav.part",
        "a_20261321T012744Z.wav", "a_20261121 012744Z.wav", "a_20261121T012744Z-1.wav", "a_20261121T012744Z-.wav",
        "a_20261121T012744Z-x.wav", "a_20261121T012744Z-99999999999999999999.wav", "../a_20261121T012744Z.wav",
        "a/b_20261121T012744Z.wav", "a b_20261121T012744Z.wav", "a\n_20261121T012744Z.wav",
        "\u{FFFD}_20261121T012744Z.wav", "._20261121T012744Z.wav", ".._20261121T012744Z.wav",
    ])
    func takesNoOtherNameForOne(name: String) { #expect(LegacyRecordingName(name) == nil) }

    @Test func findsTheFoldersAndNoOthers() throws {
        let base = try TestFolders.temporary("edge-legacy")
        defer { TestFolders.remove(base) }
        try FileManager.default.createDirectory(atPath: "\(base)/recordings", withIntermediateDirectories: true)
        let usual = LegacyFolders(recordingsFolder: "\(base)/recordings", spoolFolder: "\(base)/spool")
        #expect(usual.unfinished == ["\(base)/spool", "\(base)/recordings_tmp"])
        #expect(usual.folders(at: base) == ["\(base)/recordings", "\(base)/spool", "\(base)/recordings_tmp"])
        #expect(usual.folders(at: "\(base)/recordings/") == ["\(base)/recordings"])
        #expect(usual.folders(at: "\(base)/recordings/../recordings_tmp") == ["\(base)/recordings_tmp"])
        try FileManager.default.createSymbolicLink(
            atPath: "\(base)/link", withDestinationPath: "\(base)/recordings")
        #expect(usual.folders(at: "\(base)/link") == ["\(base)/recordings"])
        for other in ["/", "\(base)/recordings/a", "\(base)/other", "relative"] {
            #expect(usual.folders(at: other) == nil, "\(other)")
        }
        // The setting names the usual folder.
        let same = LegacyFolders(recordingsFolder: "\(base)/recordings", spoolFolder: "\(base)/recordings_tmp/")
        #expect(same.unfinished == ["\(base)/recordings_tmp/"])
    }

    // MARK: - Files

    private struct Fixed: TimeSource {
        func now() -> TimeStamp {
            TimeStamp(
                utcNanoseconds: 1_800_000_000_000_000_000, monotonicNanoseconds: 0, bootID: "b", isSynchronised: true)
        }
    }

    private func inFolder(_ body: (String, Store) async throws -> Void) async throws {
        let folder = try TestFolders.temporary("edge-legacy")
        defer { TestFolders.remove(folder) }
        for name in ["recordings", "recordings_tmp"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        let store = try Store(path: "\(folder)/edge.db")
        defer { store.close() }
        try await body(folder, store)
    }

    private func folders(_ folder: String) -> LegacyFolders {
        LegacyFolders(recordingsFolder: "\(folder)/recordings", spoolFolder: "\(folder)/spool")
    }

    private func run(_ folder: String, _ store: Store) async throws -> RecordingImporter.Report {
        let folders = folders(folder)
        let importer = RecordingImporter(store: store, folders: folders, isAnalysisOn: false, time: Fixed())
        return try await importer.run([folders.recordings] + folders.unfinished)
    }

    private func recovery(_ folder: String, _ store: Store) -> Recovery {
        var logger = Logger(label: "recovery")
        logger.logLevel = .critical
        let disk = DiskGuard(
            recordingsFolder: "\(folder)/recordings", reserveBytes: 0, metrics: StorageMetrics(), logger: logger)
        return Recovery(
            store: store, recordingsFolder: "\(folder)/recordings", spoolFolder: "\(folder)/spool",
            minimumNanoseconds: 0, isAnalysisOn: false, salvagePermit: disk.recordings, time: Fixed(), logger: logger)
    }

    private func write(_ path: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    private func wave(_ samples: Int) -> [UInt8] {
        WireMaker.wavHeader(dataBytes: 2 * samples) + WireMaker.ramp(from: 0, samples: samples)
    }

    private func names(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }

    /// The power goes after a file has its final name and before it has its row, and one that the replaced receiver named by itself.
    @Test func goesOnWhereARunWasCutOff() async throws {
        try await inFolder { folder, store in
            try write("\(folder)/recordings/a_20240101T120000Z.wav", wave(4800))
            try write("\(folder)/recordings/a_20240101T120000Z-2.wav", wave(9600))
            let report = try await run(folder, store)
            #expect(report.new == 2 && report.isComplete && report.repaired == 0 && report.bytes == 44 * 2 + 28_800)
            let row = try #require(try await store.recording(name: "a_20240101T120000Z-2.wav"))
            // date -u -d 2024-01-01T12:00:00Z +%s
            #expect(row.startNanoseconds == 1_704_110_400_000_000_000)
            #expect(row.frames == 9600 && row.listenerID == "a")
            #expect(row.relativePath == row.name && row.source == "import" && row.analysis == "skipped")
            #expect(row.closedNanoseconds == Fixed().now().utcNanoseconds)
            let again = try await run(folder, store)
            #expect(again.new == 0 && again.alreadyThere == 2)
        }
    }

    /// A start takes none of them by itself, and changes none.
    @Test func aStartCountsThemAndChangesNothing() async throws {
        try await inFolder { folder, store in
            try write("\(folder)/recordings/a_20240101T120000Z.wav", wave(4800))
            try write("\(folder)/recordings/b_20240101T120000Z.wav", wave(4800))
            try write("\(folder)/recordings/b_20240101T120001Z.wav", [])
            try write("\(folder)/recordings/notes.txt", [1])
            try FileManager.default.createSymbolicLink(
                atPath: "\(folder)/recordings/c_20240101T120000Z.wav", withDestinationPath: "/etc/hostname")
            try write("\(folder)/recordings_tmp/b_20240101T120020Z.wav.tmp", wave(100))
            let before = try names("\(folder)/recordings") + names("\(folder)/recordings_tmp")
            let recovery = recovery(folder, store)
            #expect(try recovery.run() == Recovery.Summary())
            recovery.lookThroughLegacyFiles()
            let finished = try recovery.legacyFiles(in: "\(folder)/recordings", isUnfinished: false)
            #expect(finished == Recovery.LegacyFiles(files: 2, bytes: 2 * 9644))
            let unfinished = try recovery.legacyFiles(in: "\(folder)/recordings_tmp", isUnfinished: true)
            #expect(unfinished == Recovery.LegacyFiles(files: 1, bytes: 244))
            #expect(try names("\(folder)/recordings") + names("\(folder)/recordings_tmp") == before)
            #expect(try await store.recordings(RecordingFilter()).isEmpty && recovery.waitingCount == 0)
            _ = try await run(folder, store)
            let left = try recovery.legacyFiles(in: "\(folder)/recordings", isUnfinished: false)
            #expect(left == Recovery.LegacyFiles())
            // What is stopped looks at nothing.
            try write("\(folder)/recordings/d_20240101T120000Z.wav", wave(4800))
            recovery.stop()
            let stopped = try recovery.legacyFiles(in: "\(folder)/recordings", isUnfinished: false)
            #expect(stopped.files == 0)
        }
    }

    /// The program ends between the commit of a removal and the removal of the file, or while a voice is silenced in a copy.
    @Test func whatIsLeftOfThemGoesAtTheNextStart() async throws {
        try await inFolder { folder, store in
            let (gone, kept) = ("a_20240101T120000Z.flac", "a_20240101T120020Z.flac")
            for name in [gone, kept] { try write("\(folder)/recordings/\(name)", SilentFLAC.file(hours: 0.01)) }
            #expect(try await run(folder, store).new == 2)
            try await store.commit([
                .deleteRecording(name: gone, reason: "too old", atNanoseconds: 2_000_000_000_000_000_000)
            ])
            try write("\(folder)/recordings/\(kept).silenced", [1, 2, 3])
            let recovery = recovery(folder, store)
            _ = try recovery.run()
            #expect(try names("\(folder)/recordings") == [gone, kept])
            recovery.lookThroughLegacyFiles()
            #expect(try names("\(folder)/recordings") == [kept])
            // Another file that comes later under the name of a deleted one is another recording.
            try write("\(folder)/recordings/\(gone)", SilentFLAC.file(hours: 0.02))
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: 2_100_000_000)],
                ofItemAtPath: "\(folder)/recordings/\(gone)")
            recovery.lookThroughLegacyFiles()
            #expect(try names("\(folder)/recordings") == [gone, kept])
            let report = try await run(folder, store)
            #expect(report.new == 1 && report.alreadyThere == 1)
            #expect(try names("\(folder)/recordings") == ["a_20240101T120000Z-2.flac", kept])
        }
    }

    /// A recording that was removed, and whose file somebody has put back, is neither removed by a start nor taken a second time.
    @Test func aFileThatWasPutBackStays() async throws {
        try await inFolder { folder, store in
            let path = "\(folder)/recordings/a_20240101T120000Z.wav"
            try write(path, wave(4800))
            #expect(try await run(folder, store).new == 1)
            let now = Int64(Date().timeIntervalSince1970 * 1e9)
            try await store.commit([
                .deleteRecording(name: "a_20240101T120000Z.wav", reason: "too old", atNanoseconds: now)
            ])
            try FileManager.default.removeItem(atPath: path)
            try await Task.sleep(for: .milliseconds(50))
            try write(path, wave(4800))
            let recovery = recovery(folder, store)
            _ = try recovery.run()
            recovery.lookThroughLegacyFiles()
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == 9644)
            let report = try await run(folder, store)
            #expect(report.new == 0 && report.alreadyThere == 1)
        }
    }

    /// A compressed file is decoded to count its samples, and must be what its name says.
    @Test func countsTheSamplesOfCompressedFiles() async throws {
        try await inFolder { folder, store in
            try write("\(folder)/recordings/a_20240101T120000Z.flac", SilentFLAC.file(hours: 0.01))
            try write("\(folder)/recordings/a_20240101T120020Z.wav", SilentFLAC.file(hours: 0.01))
            let report = try await run(folder, store)
            #expect(report.new == 1 && report.rejected[.noSound]?.count == 1)
            let row = try #require(try await store.recording(name: "a_20240101T120000Z.flac"))
            #expect(row.frames == Int64(SilentFLAC.frames(hours: 0.01)) && row.container == "flac")
        }
    }

    /// The recordings of a listener that is connected now say nothing of where it is.
    @Test func aKnownListenerKeepsItsAddress() async throws {
        try await inFolder { folder, store in
            try await store.commit([.touchListener(id: "a", seenNanoseconds: 5, remoteAddress: "10.0.0.9")])
            for listener in ["a", "b"] {
                try write("\(folder)/recordings/\(listener)_20240101T120000Z.wav", wave(48_000))
            }
            #expect(try await run(folder, store).new == 2)
            let listeners = try await store.listeners()
            let a = try #require(listeners.first { $0.id == "a" })
            #expect(a.remoteAddress == "10.0.0.9" && a.lastSeenNanoseconds == 5)
            let b = try #require(listeners.first { $0.id == "b" })
            #expect(b.lastSeenNanoseconds == 1_704_110_401_000_000_000)
        }
    }

    /// A recording of this program and one of the replaced receiver have the same name: the row is the first one's.
    @Test func aNameOfARecordingHereIsNotTaken() async throws {
        try await inFolder { folder, store in
            let name = "a_20240101T120000Z.wav"
            try FileManager.default.createDirectory(
                atPath: "\(folder)/recordings/a", withIntermediateDirectories: true)
            try write("\(folder)/recordings/a/\(name)", wave(100))
            #expect(try recovery(folder, store).run().adopted == 1)
            try write("\(folder)/recordings/\(name)", wave(4800))
            let report = try await run(folder, store)
            #expect(report.new == 1)
            #expect(try await store.recording(name: name)?.relativePath == "a/\(name)")
            #expect(try await store.recording(name: "a_20240101T120000Z-2.wav")?.frames == 4800)
            #expect(try names("\(folder)/recordings") == ["a", "a_20240101T120000Z-2.wav"])
            // A new recording gets none of these names either.
            #expect(RecordingNames.isOnDisk("a_20240101T120000Z-2.wav", folder: "\(folder)/recordings"))
            #expect(!RecordingNames.isOnDisk("a_20240101T120000Z-3.wav", folder: "\(folder)/recordings"))
        }
    }
}
