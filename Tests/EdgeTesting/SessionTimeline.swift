import AudioDSP

/// What became of a session's time once everything is settled, worked out from its actions alone.
public struct SessionTimeline {
    public enum Kind: Equatable {
        case recording(run: Int)
        case gap(reason: String)
        case loss(reason: String)
    }

    public struct Interval: Equatable {
        public var kind: Kind
        public var start: Int64
        public var end: Int64
        public var duration: Int64 { end - start }
    }

    /// In the order of their starts. Silence that fills gaps is a part of its recording.
    public let intervals: [Interval]

    public init(_ player: SessionPlayer) {
        var shifts: [Int: Int64] = [:]
        var gapShifts: [Int: Int64] = [:]
        for settlement in player.settled {
            for run in settlement.runs { shifts[run, default: 0] += settlement.byNanoseconds }
            gapShifts[settlement.runs.lowerBound, default: 0] += settlement.gapByNanoseconds
        }
        var all: [Interval] = []
        for recording in player.recordings {
            let format = recording.start.format
            let frames = Int64(recording.audio.count / format.bytesPerFrame)
            let start = recording.start.startNanoseconds + shifts[recording.start.run, default: 0]
            all.append(
                Interval(
                    kind: .recording(run: recording.start.run), start: start,
                    end: start + format.durationNanoseconds(frames: frames)))
        }
        for note in player.notes where note.durationNanoseconds > 0 {
            let end = note.startNanoseconds + note.durationNanoseconds + shifts[note.run, default: 0]
            switch note.kind {
            case .gap:
                let duration = max(0, note.durationNanoseconds + gapShifts[note.run, default: 0])
                if duration > 0 {
                    all.append(Interval(kind: .gap(reason: note.reason), start: end - duration, end: end))
                }
            case .loss:
                all.append(
                    Interval(kind: .loss(reason: note.reason), start: end - note.durationNanoseconds, end: end))
            case .filled, .duplicate: break
            }
        }
        intervals = all.sorted { ($0.start, $0.end) < ($1.start, $1.end) }
    }

    public var gapNanoseconds: Int64 {
        intervals.reduce(0) { if case .gap = $1.kind { $0 + $1.duration } else { $0 } }
    }

    /// Places where one interval does not begin where the one before it ended. Two recordings of one run may differ by the
    /// correction of a drift.
    public func breaks(sampleNanoseconds: Int64, slewPerMille: Int64) -> [String] {
        zip(intervals, intervals.dropFirst()).compactMap { one, next in
            let difference = next.start - one.end
            var allowed = sampleNanoseconds
            if case .recording = one.kind, one.kind == next.kind { allowed += one.duration / 1000 * slewPerMille }
            return abs(difference) <= allowed ? nil : "\(one) is followed by \(next): \(difference) ns"
        }
    }
}
