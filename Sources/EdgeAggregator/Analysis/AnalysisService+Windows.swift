import AudioDSP
import Logging
import Sensors
import Store
import Synchronization

/// One window after the other.
extension AnalysisService {
    private static let maximumListeners = 2000

    func analyseNext(of reader: BacklogReader, by worker: DetectionWorker) {
        do {
            if let window = try reader.nextWindow() {
                reader.progress.windowQueued()
                let hadVoice = analyse(window, of: reader.progress, completeNanoseconds: nil, by: worker)
                reader.give(window)
                if backlog.pauseIfTurnIsOver(reader, hadVoice: hadVoice) { return }
                state.withLock { $0.scheduler.add(backlog: reader, listener: reader.row.listenerID) }
                wakeOne()
            } else {
                backlog.close(reader)
                take(reader.progress.complete(), reader.progress)
            }
        } catch {
            backlog.close(reader)
            metrics.failures.add(1)
            if error.isOfTheMoment, backlog.postpone(reader.row.name, spilled: reader.spilled) {
                logger.error(
                    "A recording cannot be read now; its analysis is tried again later",
                    metadata: ["recording": "\(reader.row.name)", "error": "\(error)"])
                return
            }
            logger.error(
                "A recording could not be analysed", metadata: ["recording": "\(reader.row.name)", "error": "\(error)"])
            // What was analysed before stays counted, as its detections stay.
            finish(reader.progress, state: "failed", windows: reader.progress.analysed, error: "\(error)")
        }
    }

    /// Analyses one window; its recording counts it as analysed only once the detections are in the store.
    ///
    /// - Returns: whether there was a voice in it.
    @discardableResult
    func analyse(
        _ window: AnalysisWindow, of progress: RecordingProgress, completeNanoseconds: Int64?,
        by worker: DetectionWorker
    ) -> Bool {
        let outcome: DetectionWorker.Outcome
        do {
            outcome = try worker.analyse(window, metrics: metrics)
        } catch {
            note(error)
            // The recording stays pending, and is tried again from its file after the next start.
            backlog.untrack(progress.recording.name)
            return false
        }
        metrics.windows.add(1)
        let hasVoice = outcome.humanScore >= configuration.privacyThreshold && configuration.privacyThreshold < 1
        if hasVoice {
            metrics.privacyWindows.add(1)
            redactor.redact(window, of: progress, isLive: completeNanoseconds != nil)
        }
        guard !outcome.found.isEmpty else {
            noteLag(completeNanoseconds, progress)
            take(progress.windowAnalysed(), progress)
            return hasVoice
        }
        let records = engine.records(of: outcome.found, window: window, progress: progress)
        store.enqueue([.detections(records)]) { [self] result in
            switch result {
            case .success:
                metrics.detections.add(Int64(records.count))
                noteLag(completeNanoseconds, progress)
                events.detections(records)
                take(progress.windowAnalysed(), progress)
            case .failure(let error):
                note(error)
                backlog.untrack(progress.recording.name)
            }
        }
        return hasVoice
    }

    private func noteLag(_ completeNanoseconds: Int64?, _ progress: RecordingProgress) {
        guard let completeNanoseconds else { return }
        let lag = Double(time.now().monotonicNanoseconds - completeNanoseconds) / 1e9
        metrics.lagSeconds.observe(lag)
        state.withLock { state in
            if state.lagSeconds.count > Self.maximumListeners { state.lagSeconds.removeAll() }
            state.lagSeconds[progress.recording.listener] = lag
        }
    }

    /// From the last sample of a listener's last live window to its detections in the store.
    var lagSeconds: [String: Double] { state.withLock { $0.lagSeconds } }
}
