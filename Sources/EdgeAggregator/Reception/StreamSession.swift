import AudioDSP
import Foundation
import Logging
import Sensors
import Store

/// One connection of one listener at work: frames in, recordings, rows and windows out.
///
/// It does what the ``ListenerSession`` inside decides. Used by one task at a time, on the ingest threads; nothing in
/// it waits for the store, only for the disk.
final class StreamSession {
    let identity: SessionIdentity
    private let house: ReceptionHouse
    private let status: ListenerConnection
    private let unfinished = PendingFinishes()
    private let written: WrittenChanges
    private let openedAt: TimeStamp
    private var decoder = FrameDecoder()
    private var session: ListenerSession
    private var feed: AnalysisFeed?
    /// Empty between calls; kept for its room.
    private var spareBatch = SoundBatch()
    private var recording: OpenRecording?
    private var reported = SessionCounters()
    private var budget: BeginningBudget
    /// Recordings that have begun since the budget was settled.
    private var begun = 0

    init(identity: SessionIdentity, house: ReceptionHouse, status: ListenerConnection) {
        self.identity = identity
        self.house = house
        self.status = status
        written = WrittenChanges(store: house.store)
        openedAt = house.time.now()
        session = ListenerSession(configuration: house.configuration.session)
        budget = BeginningBudget(
            limits: house.configuration.beginnings, isNewListener: status.isNew, address: status.address,
            addresses: house.addresses,
            nowNanoseconds: openedAt.monotonicNanoseconds)
        written.enqueue([
            .openSession(
                SessionRecord(
                    id: identity.text, listenerID: identity.listener.text, bootID: openedAt.bootID,
                    counter: identity.counter, openedNanoseconds: openedAt.utcNanoseconds,
                    monotonicNanoseconds: openedAt.monotonicNanoseconds, remoteAddress: status.remoteAddress,
                    source: identity.source))
        ])
    }

    /// Takes what was read from the connection at once.
    ///
    /// - Parameters:
    ///   - block: what was read. Nothing of it is kept.
    ///   - parts: calls its argument with the places of the body in the block, in order.
    /// - Returns: for how long nothing more is to be read; nil when the next block may come at once.
    func receive(_ block: Span<UInt8>, parts: ((Range<Int>) -> Void) -> Void) -> Duration? {
        let arrival = house.time.now()
        noteStep(arrival)
        session.shortRecordingAllowance = budget.grant(nowNanoseconds: arrival.monotonicNanoseconds)
        var batch = SoundBatch()
        swap(&batch, &spareBatch)
        parts { range in
            decoder.decode(block, in: range) { event in
                session.receive(event, of: block, arrivalNanoseconds: arrival.monotonicNanoseconds) { action in
                    perform(action, of: block, &batch, now: arrival)
                }
            }
        }
        flush(&batch, of: block)
        swap(&batch, &spareBatch)
        noteWhenUnsettled()
        let count = block.count
        status.note(bytes: count, counters: session.counters, format: session.format, at: arrival)
        noteMetrics(bytes: count)
        return settleBudget(arrival)
    }

    /// Counts what has begun, and says how long to wait: for the budget, and for the store where it is behind.
    private func settleBudget(_ now: TimeStamp) -> Duration? {
        let pause = budget.settle(
            left: session.shortRecordingAllowance, begun: begun, nowNanoseconds: now.monotonicNanoseconds)
        begun = 0
        guard let wait = pause ?? (written.isBehind ? WrittenChanges.patience : nil) else { return nil }
        house.metrics.pauses.add(1)
        return wait
    }

    /// Ends the session. `completion` hears, on some thread, when everything that arrived is synced and written down.
    func end(reason: String, completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        let now = house.time.now()
        var batch = SoundBatch()
        session.shortRecordingAllowance = budget.grant(nowNanoseconds: now.monotonicNanoseconds)
        session.finish(arrivalNanoseconds: now.monotonicNanoseconds) { action in
            perform(action, of: Span(), &batch, now: now)
        }
        flush(&batch, of: Span())
        feed?.endRun()
        feed = nil
        noteMetrics(bytes: 0)
        _ = settleBudget(now)
        let counters = session.counters
        let close = SessionClose(
            id: identity.text, closedNanoseconds: now.utcNanoseconds, reason: reason,
            framesReceived: counters.framesReceived, bytesReceived: counters.bytesReceived,
            framesDuplicate: counters.framesDuplicate, framesOld: counters.framesOld,
            framesMissing: counters.framesMissing, framesRealigned: counters.framesRealigned,
            metadataFrames: counters.metadataFrames)
        unfinished.whenDone { [written] in
            written.commit([.closeSession(close)], completion: completion)
        }
    }

    // MARK: - Actions

    private func perform(
        _ action: SessionAction, of block: Span<UInt8>, _ batch: inout SoundBatch, now: TimeStamp
    ) {
        switch action {
        case .open(let start): open(start, now: now)
        case .audio(let bytes):
            batch.append(bytes)
            if batch.pieceCount >= Self.piecesTogether { flush(&batch, of: block) }
        case .silence(let count):
            flush(&batch, of: block)
            write { (segment) throws(SegmentError) in try segment.appendSilence(bytes: count) }
            feed?.appendSilence(bytes: count)
        case .close(let end):
            flush(&batch, of: block)
            close(end, now: now)
        case .note(let note): record(note, now: now)
        case .settle(let settlement): settle(settlement)
        }
    }

    private func settle(_ settlement: RunSettlement) {
        for run in settlement.runs {
            let quality: TimeQuality = settlement.isInferred ? .inferred : .live
            written.enqueue([
                .settleRun(
                    sessionID: identity.text, run: run, byNanoseconds: settlement.byNanoseconds,
                    gapByNanoseconds: run == settlement.runs.lowerBound ? settlement.gapByNanoseconds : 0,
                    timeQuality: quality.rawValue)
            ])
        }
    }

    private func open(_ start: RecordingStart, now: TimeStamp) {
        let startNanoseconds = start.startNanoseconds + now.utcOffsetNanoseconds
        let listener = identity.listener.text
        let container = RecordingContainer.chosen(house.configuration.container, for: start.format)
        let name = house.names.name(
            for: listener, startNanoseconds: startNanoseconds, nowNanoseconds: now.utcNanoseconds,
            fileExtension: container.rawValue)
        var open = OpenRecording(
            name: name, identity: identity, start: start, startNanoseconds: startNanoseconds,
            unset: now.unset)
        let relativePath = "\(listener)/\(name)"
        if house.storageGuard.mayKeepSound {
            do throws(SegmentError) {
                let segment = try RecordingSegment(
                    path: "\(house.configuration.recordingsFolder)/\(relativePath)", format: start.format,
                    container: container, permit: house.storageGuard.recordings)
                house.keeper.watch(segment)
                open.segment = segment
            } catch {
                house.noteSoundFailure(error)
                open.lossReason = error.lossReason
            }
        } else {
            open.lossReason = DiskGuard.lossReason
        }
        written.enqueue([
            .openRecording(
                RecordingRecord(
                    name: name, listenerID: listener, sessionID: identity.text, run: start.run,
                    runOffsetFrames: start.runOffsetFrames, relativePath: relativePath,
                    state: open.segment == nil ? "unkept" : "open", startNanoseconds: startNanoseconds,
                    timeQuality: open.timeQuality(isInferred: start.isInferred).rawValue, bootID: now.bootID,
                    monotonicNanoseconds: start.startNanoseconds, source: identity.source,
                    container: container.rawValue, encoding: start.format.encoding.rawValue,
                    channels: start.format.channels, sampleRate: start.format.sampleRate,
                    analysis: house.firstAnalysisState, isGuessed: start.isInferred))
        ])
        recording = open
        status.noteRecording(name)
        house.metrics.recordings.add(1)
        begun += 1
        beginAnalysis(of: open)
    }

    private func beginAnalysis(of open: OpenRecording) {
        guard let analysis = house.analysis else { return }
        if let feed, feed.run != open.start.run {
            feed.endRun()
            self.feed = nil
        }
        let feed = feed ?? analysis.makeFeed(run: open.start.run, format: open.start.format)
        self.feed = feed
        feed?.beginRecording(
            AnalysedRecording(
                name: open.name, identity: identity, run: open.start.run, startNanoseconds: open.startNanoseconds,
                timeQuality: open.timeQuality(isInferred: open.start.isInferred), isOnDisk: open.segment != nil),
            runOffsetFrames: open.start.runOffsetFrames)
    }

    private func close(_ end: RecordingEnd, now: TimeStamp) {
        guard let open = recording else { return }
        recording = nil
        status.noteRecording(nil)
        let closing = RecordingClosing(recording: open, end: end, now: now)
        let isKept = closing.durationNanoseconds >= house.configuration.minimumRecordingNanoseconds
        feed?.endRecording(isKept: isKept)
        if !end.runGoesOn {
            feed?.endRun()
            feed = nil
        }
        guard isKept else {
            house.metrics.recordingsTooShort.add(1)
            // First the row, then the file: after a kill in between the next start removes it.
            open.segment.map(house.keeper.forget)
            written.enqueue(closing.changesWhenTooShort()) { [segment = open.segment] in segment?.discard() }
            return
        }
        guard let segment = open.segment else {
            written.enqueue(closing.changes(keptFrames: 0, fileBytes: 0))
            return
        }
        unfinished.begin()
        house.keeper.finish(segment) { [house, unfinished, written] outcome in
            switch outcome {
            case .kept(let frames, let fileBytes):
                written.enqueue(closing.changes(keptFrames: frames, fileBytes: fileBytes))
                house.events.recordingClosed(closing)
            case .failed(let error):
                // The row stays open, so the next start repairs the file and closes it; but it is not acknowledged.
                house.noteSoundFailure(error)
                written.note(StoreError(.failed, reason: "a recording could not be synced: \(error)"))
            }
            unfinished.end()
        }
    }

    // MARK: - Sound and notes

    /// Sound is written at the latest when it lies in so many pieces.
    private static let piecesTogether = 1024

    /// Hands what came to the file, then to the analysis: what is analyzed must be where the privacy rule can silence it.
    private func flush(_ batch: inout SoundBatch, of block: Span<UInt8>) {
        guard !batch.isEmpty else { return }
        defer { batch.removeAll() }
        if let segment = recording?.segment, recording?.lossReason == nil {
            do throws(SegmentError) {
                try segment.append(batch, of: block)
            } catch {
                noteFailure(error)
            }
        }
        if let feed { batch.forEach(of: block) { feed.append($0) } }
    }

    /// Does something with the open recording's file; when the disk refuses, the recording ends on disk here and the
    /// rest of it is a loss, while reception and analysis go on.
    private func write(_ body: (RecordingSegment) throws(SegmentError) -> Void) {
        guard let segment = recording?.segment, recording?.lossReason == nil else { return }
        do throws(SegmentError) {
            try body(segment)
        } catch {
            noteFailure(error)
        }
    }

    private func noteFailure(_ error: SegmentError) {
        house.noteSoundFailure(error)
        recording?.lossReason = error.lossReason
    }

    private func record(_ note: SessionNote, now: TimeStamp) {
        guard let open = recording, note.kind != .gap else {
            // A gap is written down at once, so that it is there when its run is settled.
            var entry = LedgerEntry(
                listenerID: identity.listener.text, sessionID: identity.text, run: note.run, recordingName: nil,
                kind: note.kind.rawValue, reason: note.reason,
                startNanoseconds: note.startNanoseconds + now.utcOffsetNanoseconds,
                durationNanoseconds: note.durationNanoseconds, frames: note.frames, bytes: note.bytes,
                notedNanoseconds: now.utcNanoseconds, offsetNanoseconds: now.utcOffsetNanoseconds)
            entry.unset = now.unset
            status.note(entry)
            return written.enqueue([.ledger(entry)])
        }
        let entry = LedgerEntry(
            recording: open.name, startNanoseconds: open.startNanoseconds,
            placeNanoseconds: note.startNanoseconds - open.start.startNanoseconds,
            durationNanoseconds: note.durationNanoseconds, listenerID: identity.listener.text,
            sessionID: identity.text, run: note.run, kind: note.kind.rawValue, reason: note.reason, frames: note.frames,
            bytes: note.bytes, notedNanoseconds: now.utcNanoseconds)
        status.note(entry)
        recording?.notes.append(entry)
    }

    /// A step of the clock that is longer than the jitter of arrivals.
    private static let leastStepNanoseconds: Int64 = 100_000_000

    /// Tells the store of a step of the clock, so that after a kill the time of the file's last change is understood.
    private func noteStep(_ now: TimeStamp) {
        guard let open = recording,
            abs(now.utcOffsetNanoseconds - open.fileOffsetNanoseconds) > Self.leastStepNanoseconds
        else { return }
        recording?.fileOffsetNanoseconds = now.utcOffsetNanoseconds
        written.enqueue([.clockStepped(recording: open.name, offsetNanoseconds: now.utcOffsetNanoseconds)])
    }

    /// Says once of a recording that its times are not what they seemed, before anything of it leaves the device.
    private func noteWhenUnsettled() {
        guard session.isUnsettled, let open = recording, !open.isKnownUnsettled else { return }
        recording?.isKnownUnsettled = true
        if !open.start.isInferred { written.enqueue([.inferTimes(recording: open.name)]) }
    }

    private func noteMetrics(bytes: Int) {
        let counters = session.counters
        house.metrics.bytes.add(Int64(bytes))
        house.metrics.frames.add(counters.framesReceived - reported.framesReceived)
        house.metrics.framesMissing.add(counters.framesMissing - reported.framesMissing)
        house.metrics.framesDuplicate.add(
            counters.framesDuplicate + counters.framesOld - reported.framesDuplicate - reported.framesOld)
        reported = counters
    }
}
