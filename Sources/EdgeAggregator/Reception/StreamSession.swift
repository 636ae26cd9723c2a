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
    /// Sound that is written to the file first: what is analysed must be where the privacy rule can silence it.
    private var unheard: [UnsafeRawBufferPointer] = []
    private var recording: OpenRecording?
    private var reported = SessionCounters()

    init(identity: SessionIdentity, house: ReceptionHouse, status: ListenerConnection) {
        self.identity = identity
        self.house = house
        self.status = status
        written = WrittenChanges(store: house.store)
        openedAt = house.time.now()
        session = ListenerSession(configuration: house.configuration.session)
        written.enqueue([
            .openSession(
                SessionRecord(
                    id: identity.text, listenerID: identity.listener.text, bootID: openedAt.bootID,
                    counter: identity.counter, openedNanoseconds: openedAt.utcNanoseconds,
                    monotonicNanoseconds: openedAt.monotonicNanoseconds, remoteAddress: status.remoteAddress,
                    source: identity.source))
        ])
    }

    /// Takes what was read from the connection at once: `bytes` of them, in one or more pieces, which must stay valid
    /// until this returns.
    func receive(bytes count: Int, _ pieces: ((UnsafeRawBufferPointer) -> Void) -> Void) {
        let arrival = house.time.now()
        pieces { bytes in
            decoder.decode(bytes) { event in
                session.receive(event, arrivalNanoseconds: arrival.monotonicNanoseconds) { action in
                    perform(action, now: arrival)
                }
            }
        }
        // The segment keeps slices of the pieces, so they are written before the pieces are given back.
        flush()
        noteWhenAhead()
        status.note(bytes: count, counters: session.counters, format: session.format, at: arrival)
        noteMetrics(bytes: count)
    }

    /// Ends the session. `completion` hears, on some thread, when everything that arrived is synced and written down.
    func end(reason: String, completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        let now = house.time.now()
        session.finish(arrivalNanoseconds: now.monotonicNanoseconds) { action in perform(action, now: now) }
        feed?.endRun()
        feed = nil
        noteMetrics(bytes: 0)
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

    private func perform(_ action: SessionAction, now: TimeStamp) {
        switch action {
        case .open(let start): open(start, now: now)
        case .audio(let bytes):
            write { (segment) throws(SegmentError) in
                // A sample that was put together from two reads does not outlive the call.
                if bytes.count < 64 { try segment.appendCopy(bytes) } else { try segment.append(bytes) }
            }
            if bytes.count < 64 {
                flush()
                feed?.append(bytes)
            } else if feed != nil {
                unheard.append(bytes)
            }
        case .silence(let count):
            write { (segment) throws(SegmentError) in try segment.appendSilence(bytes: count) }
            flush()
            feed?.appendSilence(bytes: count)
        case .close(let end): close(end, now: now)
        case .note(let note): record(note, now: now)
        case .settle(let runs, let shift):
            for run in runs {
                written.enqueue([
                    .shiftRun(
                        sessionID: identity.text, run: run, byNanoseconds: shift,
                        timeQuality: TimeQuality.inferred.rawValue)
                ])
            }
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
                    container: container)
                house.keeper.watch(segment)
                open.segment = segment
            } catch {
                house.storageGuard.note(error)
                open.lossReason = error.lossReason
            }
        } else {
            open.lossReason = StorageGuard.lossReason
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
                    analysis: house.firstAnalysisState))
        ])
        recording = open
        status.noteRecording(name)
        house.metrics.recordings.add(1)
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
        flush()
        guard let open = recording else { return }
        recording = nil
        status.noteRecording(nil)
        let closing = RecordingClosing(recording: open, end: end, nowNanoseconds: now.utcNanoseconds)
        let isKept = closing.durationNanoseconds >= house.configuration.minimumRecordingNanoseconds
        feed?.endRecording(isKept: isKept)
        if !end.runGoesOn {
            feed?.endRun()
            feed = nil
        }
        guard isKept else {
            house.metrics.recordingsTooShort.add(1)
            open.segment.map(house.keeper.discard)
            written.enqueue(closing.changesWhenTooShort())
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
                house.storageGuard.note(error)
                written.note(StoreError(.failed, reason: "a recording could not be synced: \(error)"))
            }
            unfinished.end()
        }
    }

    // MARK: - Sound and notes

    /// Hands what came to the file, then to the analysis.
    private func flush() {
        write { (segment) throws(SegmentError) in try segment.flush() }
        for bytes in unheard { feed?.append(bytes) }
        unheard.removeAll(keepingCapacity: true)
    }

    /// Does something with the open recording's file; when the disk refuses, the recording ends on disk here and the
    /// rest of it is a loss, while reception and analysis go on.
    private func write(_ body: (RecordingSegment) throws(SegmentError) -> Void) {
        guard let segment = recording?.segment, recording?.lossReason == nil else { return }
        do throws(SegmentError) {
            try body(segment)
        } catch {
            house.storageGuard.note(error)
            recording?.lossReason = error.lossReason
        }
    }

    private func record(_ note: SessionNote, now: TimeStamp) {
        var entry = LedgerEntry(
            listenerID: identity.listener.text, sessionID: identity.text, run: note.run,
            recordingName: recording?.name, kind: note.kind.rawValue, reason: note.reason,
            startNanoseconds: note.startNanoseconds + now.utcOffsetNanoseconds,
            durationNanoseconds: note.durationNanoseconds, frames: note.frames, bytes: note.bytes,
            notedNanoseconds: now.utcNanoseconds)
        entry.unset = now.unset
        status.note(entry)
        entry.recordingMonotonicNanoseconds = recording?.start.startNanoseconds
        if recording != nil {
            recording?.notes.append(entry)
        } else {
            written.enqueue([.ledger(entry)])
        }
    }

    /// Says once of a recording that its times are not what they seemed, before anything of it leaves the box.
    private func noteWhenAhead() {
        guard session.isAhead, let open = recording, !open.isKnownAhead else { return }
        recording?.isKnownAhead = true
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
