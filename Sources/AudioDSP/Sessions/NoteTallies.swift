/// What a session counts for the ledger until the lines are written: one line for each reason.
struct NoteTallies: Sendable {
    /// A sender chooses some reasons (the sample rate of an unsupported format); beyond so many, losses share one.
    static let maximumLossReasons = 16
    static let furtherReasons = "losses for further reasons"

    /// What a ledger note will say.
    struct Tally: Sendable {
        var startNanoseconds: Int64 = 0
        var durationNanoseconds: Int64 = 0
        var wireFrames: Int64 = 0
        var bytes: Int64 = 0
        var sampleFrames: Int64 = 0
    }

    private var duplicates: [String: Tally] = [:]
    private var losses: [String: Tally] = [:]
    private var missingInLoss: Tally?

    mutating func addDuplicate(reason: String, bytes: Int, positionNanoseconds: Int64) {
        var tally = duplicates[reason] ?? Tally(startNanoseconds: positionNanoseconds)
        tally.wireFrames += 1
        tally.bytes += Int64(bytes)
        duplicates[reason] = tally
    }

    /// - Returns: how long the losses of this reason are together.
    mutating func addLoss(
        reason: String, bytes: Int, wireFrames: Int64, startNanoseconds: Int64, durationNanoseconds: Int64
    ) -> Int64 {
        let isKnown = losses[reason] != nil || losses.count < Self.maximumLossReasons
        let key = isKnown ? reason : Self.furtherReasons
        var tally = losses[key] ?? Tally(startNanoseconds: startNanoseconds)
        tally.durationNanoseconds += durationNanoseconds
        tally.wireFrames += wireFrames
        tally.bytes += Int64(bytes)
        losses[key] = tally
        return tally.durationNanoseconds
    }

    /// Counts frames that never came while what came was lost: their time is the loss's.
    mutating func addMissingInLoss(frames: Int64, bytes: Int64, startNanoseconds: Int64) {
        var tally = missingInLoss ?? Tally(startNanoseconds: startNanoseconds)
        tally.wireFrames = PeerCount.sum(tally.wireFrames, frames)
        tally.bytes = PeerCount.sum(tally.bytes, bytes)
        missingInLoss = tally
    }

    /// The lines of what was counted, which is then counted from 0.
    ///
    /// - Parameter run: the current one, -1 before the first.
    mutating func takeNotes(run: Int) -> [SessionNote] {
        var notes: [SessionNote] = []
        func append(_ tally: Tally, _ kind: SessionNote.Kind, _ reason: String, run: Int) {
            notes.append(
                SessionNote(
                    kind: kind, reason: reason, run: run, startNanoseconds: tally.startNanoseconds,
                    durationNanoseconds: tally.durationNanoseconds, frames: tally.wireFrames, bytes: tally.bytes))
        }
        for (kind, tallies) in [(SessionNote.Kind.duplicate, duplicates), (.loss, losses)] {
            for (reason, tally) in tallies.sorted(by: { $0.key < $1.key }) {
                append(tally, kind, reason, run: max(run, 0))
            }
        }
        if let missingInLoss { append(missingInLoss, .gap, "frames missing", run: run + 1) }
        duplicates.removeAll(keepingCapacity: true)
        losses.removeAll(keepingCapacity: true)
        missingInLoss = nil
        return notes
    }
}

/// Arithmetic on numbers that a peer claims without having sent anything: they stop at a maximum that can be summed over
/// all sessions without an overflow.
enum PeerCount {
    static let maximum: Int64 = 1 << 39

    /// - Parameters: each 0 or more.
    static func sum(_ a: Int64, _ b: Int64) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? maximum : min(sum, maximum)
    }

    /// - Parameters: each 0 or more.
    static func product(_ a: Int64, _ b: Int64) -> Int64 {
        let (product, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? maximum : min(product, maximum)
    }
}
