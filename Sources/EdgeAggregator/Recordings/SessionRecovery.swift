import AudioDSP
import Sensors
import Store

/// Ends sessions that a kill or a power cut left without an end.
struct SessionRecovery {
    let store: Store
    let time: any TimeSource
    /// When the program was started: until then it was down.
    let start: TimeStamp
    /// All sessions without an end.
    let open: Set<OpenSession>

    /// Settles the times of a session's sound by what is on disk, and accounts for the time from its last moment to the start of the
    /// program, or to the listener's next session if that began before.
    func end(_ session: OpenSession) throws {
        let now = time.now().utcNanoseconds
        var changes: [StoreChange] = []
        let (recordings, runs) = try store.remainsOfSessionBlocking(session.id)
        var unsettled = UnsettledStretches(runs.map(UnsettledStretches.Remains.init))
        let (settlements, shift) = unsettled.settle()
        for settlement in settlements {
            for run in settlement.runs {
                changes.append(
                    .settleRun(
                        sessionID: session.id, run: run, byNanoseconds: settlement.byNanoseconds,
                        gapByNanoseconds: run == settlement.runs.lowerBound ? settlement.gapByNanoseconds : 0,
                        timeQuality: TimeQuality.inferred.rawValue))
            }
        }
        let bytes = recordings.reduce(Int64(0)) { sum, row in
            let width = PCMFormat.Encoding(rawValue: row.encoding)?.bytesPerSample ?? 2
            return sum + row.frames * Int64(width * row.channels)
        }
        // What was lost or too short counts too: its time has a line of its own.
        let lastRun = runs.last?.run ?? Int.min
        let moments = try store.lastMomentsBlocking(ofSession: session.id, fromRun: lastRun)
            .map { $0.run == lastRun ? $0.moved(byNanoseconds: shift) : $0 }
        if let last = moments.max(by: { $0.monotonicNanoseconds < $1.monotonicNanoseconds }),
            let gap = try gap(after: last, of: session, notedNanoseconds: now)
        {
            changes.append(.ledger(gap))
        }
        changes.append(
            .closeSession(
                SessionClose(id: session.id, closedNanoseconds: now, reason: "unclean stop", bytesReceived: bytes)))
        try store.commitBlocking(changes)
    }

    /// From a session's last moment on, the box was down; nil if no time passed.
    ///
    /// Within one boot the steady clock tells how long, whatever the clock was stepped to. From one boot to the next only the clock can:
    /// if it is not set yet, the length follows when it is; if it was not set when the session broke off, nothing will ever tell it.
    private func gap(
        after last: SessionMoment, of session: OpenSession, notedNanoseconds now: Int64
    ) throws -> LedgerEntry? {
        let next = try store.nextSessionBlocking(
            of: session.listenerID, after: last, bootID: session.bootID, except: Set(open.map(\.id)))
        let offset = last.utcNanoseconds - last.monotonicNanoseconds
        var entry = LedgerEntry(
            listenerID: session.listenerID, sessionID: session.id, run: nil, recordingName: nil, kind: "gap",
            reason: "box was down", startNanoseconds: last.utcNanoseconds, durationNanoseconds: 0, frames: 0, bytes: 0,
            notedNanoseconds: now, offsetNanoseconds: offset)
        if last.isUnset { entry.unset = UnsetClock(bootID: session.bootID, offsetNanoseconds: offset) }

        let starts =
            [(start.bootID, start.utcNanoseconds, start.monotonicNanoseconds)]
            + (next.map { [($0.bootID, $0.utcNanoseconds, $0.monotonicNanoseconds)] } ?? [])
        let steady = starts.filter { $0.0 == session.bootID }.map(\.2)
        if let until = steady.min() {
            entry.durationNanoseconds = until - last.monotonicNanoseconds
            return entry.durationNanoseconds > 0 ? entry : nil
        }
        guard !last.isUnset, !last.isAssumed, let until = starts.min(by: { $0.1 < $1.1 }) else { return entry }
        entry.durationNanoseconds = max(0, until.1 - last.utcNanoseconds)
        if until.0 == start.bootID, !start.isSynchronised {
            entry.unsetEnd = UnsetMoment(bootID: until.0, monotonicNanoseconds: until.2)
            return entry
        }
        return entry.durationNanoseconds > 0 ? entry : nil
    }
}

extension UnsettledStretches.Remains {
    init(_ run: RunRemains) {
        self.init(
            run: run.run, leadNanoseconds: run.leadNanoseconds, isSettled: run.isSettled,
            pauseNanoseconds: run.pauseNanoseconds)
    }
}
