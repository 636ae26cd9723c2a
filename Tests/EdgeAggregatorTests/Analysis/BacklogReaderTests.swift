import AudioDSP
import EdgeTesting
import Foundation
import Store
import Testing

@testable import EdgeAggregator

/// A recording that is paused is analysed as if it were not.
@Suite struct BacklogReaderTests {
    private struct Windows {
        var starts: [Int64] = []
        var samples: [[Float]] = []
    }

    /// Reads a WAV file of noise, pausing after each so many windows.
    private func windows(
        _ sound: [UInt8], rate: Int, offset: Int64, overlap: Double, pausesAfter: Int?
    ) throws -> Windows {
        let folder = try TestFolders.temporary("edge-reader")
        defer { TestFolders.remove(folder) }
        let store = try Store(path: "\(folder)/edge.db")
        defer { store.close() }
        let file = WireMaker.wavHeader(rate: rate, dataBytes: sound.count) + sound
        try FileManager.default.createDirectory(atPath: "\(folder)/a", withIntermediateDirectories: true)
        try Data(file).write(to: URL(fileURLWithPath: "\(folder)/a/r.wav"))
        var row = RecordingRecord(
            name: "r.wav", listenerID: "a", sessionID: nil, run: 0, runOffsetFrames: offset, relativePath: "a/r.wav",
            state: "closed", startNanoseconds: 0, timeQuality: "live", bootID: "b", monotonicNanoseconds: 0,
            source: "stream", container: "wav", encoding: "signed16", channels: 1, sampleRate: rate,
            analysis: "pending")
        row.frames = Int64(sound.count / 2)
        let pool = WindowBufferPool(limit: WindowBudget.windowsPerReader)
        let reader = BacklogReader(
            row: row, spilled: nil,
            configuration: AnalysisService.Configuration(
                workers: 1, windowsPerListener: 1, channel: .mix, overlapSeconds: overlap, privacyThreshold: 1,
                recordingsFolder: folder),
            store: store, pool: pool, isLastAttempt: true)
        var windows = Windows()
        while let window = try reader.nextWindow() {
            windows.starts.append(window.startFrame48k)
            windows.samples.append(window.withSamples { samples in samples.indices.map { samples[$0] } })
            reader.give(window)
            if let pausesAfter, reader.windowsOfTurn == pausesAfter {
                reader.pause()
                #expect(pool.inUse == 0)
            }
        }
        #expect(pool.inUse == 0)
        return windows
    }

    /// At 48 kHz nothing is resampled: the windows are the file's own samples, whether it is paused or not.
    @Test(arguments: [nil, 1, 3] as [Int?]) func readsEverySampleOnceMoreOrLessOften(pausesAfter: Int?) throws {
        var random = SeededGenerator()
        let sound = random.bytes(2 * 48_000 * 20)
        let windows = try windows(sound, rate: 48_000, offset: 0, overlap: 1, pausesAfter: pausesAfter)
        // One each two seconds, while three are left, and a last one of two seconds of which one is new.
        #expect(windows.starts == (0..<10).map { Int64($0) * 96_000 })
        for (start, samples) in zip(windows.starts, windows.samples) {
            let wanted = (0..<144_000).map { index -> Float in
                let place = 2 * (Int(start) + index)
                guard place + 1 < sound.count else { return 0 }
                return Float(Int16(bitPattern: UInt16(sound[place]) | UInt16(sound[place + 1]) << 8)) / 32_768
            }
            #expect(samples == wanted, "the window at \(start)")
        }
    }

    /// The resampler begins again at another place, and has settled when the window begins.
    @Test(arguments: [16_000, 44_100, 96_000]) func resamplesTheSameSoundAfterAPause(rate: Int) throws {
        var random = SeededGenerator()
        let sound = random.bytes(2 * rate * 16)
        let offset = Int64(rate) * 7 + 1234
        let whole = try windows(sound, rate: rate, offset: offset, overlap: 0.5, pausesAfter: nil)
        let paused = try windows(sound, rate: rate, offset: offset, overlap: 0.5, pausesAfter: 1)
        #expect(whole.starts == paused.starts && whole.starts.count >= 5)
        for (one, other) in zip(whole.samples, paused.samples) {
            let difference = zip(one, other).map { abs($0 - $1) }.max() ?? 1
            // Noise at full scale; what a filter of 20 bits leaves is a millionth.
            #expect(difference < 1e-4)
        }
    }
}
