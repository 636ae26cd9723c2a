/// The parts of a session whose times are not final yet, and the rule that makes them final.
///
/// A stretch is one or more runs whose distances from each other are known, so that they move together. Two stretches
/// are divided by a gap of which only the lateness of the next frame tells the length. Such a gap is a guess: a source
/// that paused and a link that stalled look the same until the backlog has arrived or has not.
///
/// What becomes known later is the *lead*: by how much a sample's place in time lay after its arrival. No sound arrives
/// before it was made, so a stretch is moved back by its lead at least, and the gap before it shrinks by as much. If the
/// gap is not long enough, the stretch before it lay too late as well and moves too.
public struct UnsettledStretches: Sendable {
    struct Stretch: Sendable, Equatable {
        let firstRun: Int
        var lastRun: Int
        /// How far the stretch can move back before it meets what was heard before it; nil for the first of a session.
        var slackNanoseconds: Int64?
        /// Whether its place in time is a guess: the first of a session, or one after a gap that only lateness tells of.
        var isGuess: Bool
        var leadNanoseconds: Int64 = 0

        /// By how much it must move back, whatever lies before it.
        var ownShiftNanoseconds: Int64 {
            let isAfterGuessedGap = isGuess && slackNanoseconds != nil
            let tolerance =
                isAfterGuessedGap ? UnsettledStretches.jitterNanoseconds : SampleClock.liveToleranceNanoseconds
            return leadNanoseconds > tolerance ? leadNanoseconds : 0
        }

        /// Whether its recordings must not be delivered yet.
        var isUnsettled: Bool { isGuess || leadNanoseconds > SampleClock.liveToleranceNanoseconds }
    }

    /// A lead that is just the delay of the first frame after a pause.
    static let jitterNanoseconds: Int64 = 250_000_000
    /// A sender can make many stretches; the oldest are settled as they stand when there are more.
    static let limit = 32

    /// Oldest first. The last one is being received.
    private(set) var stretches: [Stretch] = []

    var current: Stretch? { stretches.last }

    init() {}

    /// What is left of a session that was cut off.
    ///
    /// - Parameter runs: in order.
    public init(_ runs: [Remains]) {
        for run in runs {
            if run.isSettled {
                stretches = []
                join(run: run.run)
            } else if stretches.isEmpty {
                begin(run: run.run, slackNanoseconds: run.pauseNanoseconds, isGuess: run.pauseNanoseconds != nil)
            } else if let pause = run.pauseNanoseconds {
                begin(run: run.run, slackNanoseconds: pause, isGuess: true)
            } else {
                join(run: run.run)
            }
            note(leadNanoseconds: run.isSettled ? 0 : run.leadNanoseconds)
        }
    }

    /// What is known of a run of a session that was cut off.
    public struct Remains: Sendable, Equatable {
        public let run: Int
        public let leadNanoseconds: Int64
        public let isSettled: Bool
        /// How long the source seemed to pause before it; nil if it did not.
        public let pauseNanoseconds: Int64?

        public init(run: Int, leadNanoseconds: Int64, isSettled: Bool, pauseNanoseconds: Int64?) {
            self.run = run
            self.leadNanoseconds = leadNanoseconds
            self.isSettled = isSettled
            self.pauseNanoseconds = pauseNanoseconds
        }
    }

    mutating func begin(run: Int, slackNanoseconds: Int64?, isGuess: Bool) {
        // What is settled is not moved for the sake of what follows.
        if let current, !current.isUnsettled, stretches.count == 1 { stretches = [] }
        stretches.append(Stretch(firstRun: run, lastRun: run, slackNanoseconds: slackNanoseconds, isGuess: isGuess))
    }

    /// A run that follows at a known distance joins the stretch.
    mutating func join(run: Int) {
        guard let last = stretches.indices.last else {
            stretches = [Stretch(firstRun: run, lastRun: run, slackNanoseconds: 0, isGuess: false)]
            return
        }
        stretches[last].lastRun = run
    }

    /// Whether settling now would leave everything where it is.
    var isInPlace: Bool {
        var settled = self
        return settled.settle().settlements.allSatisfy { $0.byNanoseconds == 0 && $0.gapByNanoseconds == 0 }
    }

    mutating func note(leadNanoseconds: Int64) {
        guard let last = stretches.indices.last else { return }
        stretches[last].leadNanoseconds = max(stretches[last].leadNanoseconds, leadNanoseconds)
    }

    /// Makes all times final.
    ///
    /// - Returns: what is to be moved, oldest first, and by how much the current stretch moves (0 or less).
    public mutating func settle() -> (settlements: [RunSettlement], currentShiftNanoseconds: Int64) {
        guard let last = stretches.indices.last else { return ([], 0) }
        var shifts = stretches.map(\.ownShiftNanoseconds)
        for index in stride(from: last, to: 0, by: -1) {
            let slack = stretches[index].slackNanoseconds ?? 0
            shifts[index - 1] = max(shifts[index - 1], shifts[index] - slack)
        }
        var settlements: [RunSettlement] = []
        var gapNanoseconds: Int64 = 0
        for index in stretches.indices {
            let stretch = stretches[index]
            var gapShift: Int64 = 0
            if let slack = stretch.slackNanoseconds {
                gapNanoseconds = slack - shifts[index] + (index > 0 ? shifts[index - 1] : 0)
                // A pause too short to be called one, and an overlap within the tolerance of live sound, are jitter.
                let isShortPause = stretch.isGuess && gapNanoseconds <= SampleClock.pauseToleranceNanoseconds
                if gapNanoseconds >= -SampleClock.liveToleranceNanoseconds, gapNanoseconds < 0 || isShortPause {
                    shifts[index] += gapNanoseconds
                    gapNanoseconds = 0
                }
                // Sound that was sent faster than it can have been made overlaps what was heard before.
                gapNanoseconds = max(gapNanoseconds, 0)
                gapShift = gapNanoseconds - slack
            }
            guard stretch.isUnsettled || shifts[index] != 0 || gapShift != 0 else { continue }
            settlements.append(
                RunSettlement(
                    runs: stretch.firstRun...stretch.lastRun, byNanoseconds: -shifts[index],
                    gapByNanoseconds: gapShift, isInferred: shifts[index] > SampleClock.liveToleranceNanoseconds))
        }
        var current = stretches[last]
        if current.slackNanoseconds != nil { current.slackNanoseconds = gapNanoseconds }
        current.isGuess = false
        current.leadNanoseconds = 0
        stretches = [current]
        return (settlements, -shifts[last])
    }
}
