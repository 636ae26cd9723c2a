import AudioDSP
import Testing

@testable import EdgeAggregator

@Suite struct RecordingProgressTests {
    private func progress(analysed: Int = 0) -> RecordingProgress {
        RecordingProgress(
            recording: AnalysedRecording(
                name: "r", listener: "a", sessionID: "s", run: 0, startNanoseconds: 0, timeQuality: .live,
                isOnDisk: true), startFrame48k: 0, analysed: analysed)
    }

    /// Windows of the first pass and those that were read from the file are counted together, also when reading ends early.
    @Test func countsTheWindowsOfBothPasses() {
        let live = progress()
        for window in 0..<5 {
            live.windowQueued()
            if window % 2 == 0 {
                #expect(live.windowAnalysed() == .waiting)
            } else {
                live.windowSpilled(Int64(window) * 144_000)
                live.windowWithdrawn()
            }
        }
        let spilled = SpilledWindows(startFrames48k: [144_000, 432_000], analysed: 3)
        #expect(live.complete() == .spilled(spilled))
        let file = progress(analysed: spilled.analysed)
        file.windowQueued()
        #expect(file.windowAnalysed() == .waiting)
        // What would be written down if the file could not be read on.
        #expect(file.analysed == 4)
        file.windowQueued()
        _ = file.windowAnalysed()
        #expect(file.complete() == .done(windows: 5))
    }
}
