/// Tells whether sound arrives at the pace at which it is made, or a backlog of it faster, or late.
///
/// The lead of a frame is its place in time less its arrival. A late frame lowers it; only a backlog that is being sent raises
/// the best one. So the best leads of two successive windows of time are held against each other. A window in which less
/// sound arrived than time passed tells nothing: the link may have stood still.
struct ArrivalPace: Sendable, Equatable {
    static let windowNanoseconds: Int64 = 5_000_000_000
    /// A backlog that is sent raises the lead by more than this in one window; slower ones are corrected like a drift.
    static let growthToleranceNanoseconds: Int64 = 100_000_000
    /// In a run that is shorter than two windows.
    static let shortRunToleranceNanoseconds: Int64 = 500_000_000

    static let shortestRunNanoseconds: Int64 = 2_000_000_000

    private(set) var isLive = false
    private var window: Window?
    private var previousLeadNanoseconds: Int64?
    /// Of all frames.
    private var bestLeadNanoseconds = Int64.min

    private struct Window: Sendable, Equatable {
        let startPosition: Int64
        let startArrival: Int64
        var position: Int64
        var arrival: Int64
        var bestLead: Int64

        init(position: Int64, arrival: Int64) {
            startPosition = position
            startArrival = arrival
            self.position = position
            self.arrival = arrival
            bestLead = position - arrival
        }

        mutating func take(position: Int64, arrival: Int64) {
            self.position = position
            self.arrival = arrival
            bestLead = max(bestLead, position - arrival)
        }

        /// Whether as much sound came as time passed, up to `now`.
        func isFull(until now: Int64) -> Bool { (position - startPosition) / 8 >= (now - startArrival) / 10 }
    }

    mutating func observe(positionNanoseconds position: Int64, arrivalNanoseconds arrival: Int64) {
        bestLeadNanoseconds = max(bestLeadNanoseconds, position - arrival)
        guard let current = window else {
            window = Window(position: position, arrival: arrival)
            return
        }
        if arrival - current.startArrival >= Self.windowNanoseconds {
            isLive = false
            if current.isFull(until: arrival) {
                if let previousLeadNanoseconds, !isLate(current.bestLead) {
                    isLive = current.bestLead - previousLeadNanoseconds <= Self.growthToleranceNanoseconds
                }
                previousLeadNanoseconds = current.bestLead
            }
            window = Window(position: position, arrival: arrival)
        } else {
            window?.take(position: position, arrival: arrival)
        }
    }

    /// Whether the run, if it ends now, ends without a backlog that is still to come.
    var hasEndedLive: Bool {
        guard let window else { return true }
        guard !isLate(window.position - window.arrival), window.isFull(until: window.arrival) else { return false }
        // What is shorter shows no backlog.
        guard previousLeadNanoseconds != nil || window.arrival - window.startArrival >= Self.shortestRunNanoseconds
        else { return false }
        if let previousLeadNanoseconds {
            return isLive && window.bestLead - previousLeadNanoseconds <= Self.growthToleranceNanoseconds
        }
        return window.bestLead - (window.startPosition - window.startArrival) < Self.shortRunToleranceNanoseconds
    }

    /// Whether something of the run came with less delay: what is late by more than a pause that is none waits somewhere.
    private func isLate(_ lead: Int64) -> Bool {
        lead < bestLeadNanoseconds - SampleClock.pauseToleranceNanoseconds
    }
}
