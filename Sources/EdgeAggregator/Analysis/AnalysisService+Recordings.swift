import AudioDSP
import Sensors
import Store

/// What becomes of a recording when its windows are analysed.
extension AnalysisService {
    func take(_ step: RecordingProgress.Step, _ progress: RecordingProgress) {
        switch step {
        case .waiting: return
        case .dropped:
            redactor.forget(progress.recording.name)
            backlog.untrack(progress.recording.name)
        case .done(let windows): finish(progress, state: "done", windows: windows, error: nil)
        case .spilled(let windows):
            if progress.recording.isOnDisk {
                backlog.leave(windows, of: progress.recording.name)
            } else {
                loseWindows(windows.startFrames48k, of: progress)
                finish(
                    progress, state: "done", windows: windows.analysed,
                    error: "analysis lagged and the sound was not on disk")
            }
        }
    }

    func finish(_ progress: RecordingProgress, state: String, windows: Int, error: String?) {
        redactor.settle(progress) { [self] settlement in
            conclude(progress, settlement, state: state, windows: windows, error: error)
        }
    }

    private func conclude(
        _ progress: RecordingProgress, _ settlement: Redactor.Settlement, state: String, windows: Int, error: String?
    ) {
        switch settlement {
        case .settled: break
        case .waiting:
            // The file cannot be changed while it is being encoded: it is analysed, and silenced, once it is closed.
            return backlog.untrack(progress.recording.name)
        case .refused(let culprit):
            if backlog.postpone(progress.recording.name) { return }
            // Whatever is left of it is analysed once more.
            if redactor.remove(culprit, by: progress.recording.name) {
                backlog.forgetPostponement(of: progress.recording.name)
            }
            return backlog.untrack(progress.recording.name)
        }
        backlog.forgetPostponement(of: progress.recording.name)
        store.enqueue([
            .analysed(
                recording: progress.recording.name, state: state, windows: windows, error: error,
                atNanoseconds: time.now().utcNanoseconds)
        ]) { [self] result in
            // What failed, or could not be written down, is no recording processed.
            if case .success = result, state == "done" { metrics.recordingsAnalysed.add(1) }
            backlog.untrack(progress.recording.name)
        }
    }

    private func loseWindows(_ windows: [Int64], of progress: RecordingProgress) {
        let now = time.now()
        let recording = progress.recording
        let first = windows.first ?? progress.startFrame48k
        store.enqueue([
            .ledger(
                LedgerEntry(
                    recording: recording.name, startNanoseconds: recording.startNanoseconds,
                    placeNanoseconds: PCMFormat.nanoseconds(
                        frames: first - progress.startFrame48k, sampleRate: BirdNET.sampleRate),
                    durationNanoseconds: 0, listenerID: recording.listener, sessionID: recording.sessionID,
                    run: recording.run, kind: "loss", reason: "not analysed", frames: Int64(windows.count), bytes: 0,
                    notedNanoseconds: now.utcNanoseconds))
        ])
    }
}
