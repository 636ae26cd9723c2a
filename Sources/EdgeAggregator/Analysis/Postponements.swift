/// Recordings that the system did not let be read, or silenced, and when each is tried again.
///
/// A value type: it holds no threads, locks or clocks.
struct Postponements {
    /// With pauses of 2, 4, 8 … 300 s these take three quarters of an hour.
    static let maximumAttempts = 15
    static let maximumPauseSeconds = 300
    /// Beyond these the one that is due first is forgotten, and begins anew.
    static let maximumRecordings = 1000

    private struct Entry {
        var attempts: Int
        var until: ContinuousClock.Instant
    }

    private var entries: [String: Entry] = [:]

    /// Counts an attempt that failed. Once a recording's attempts are used up they stay so, until it is forgotten.
    ///
    /// - Returns: whether it is to be tried again.
    mutating func postpone(_ name: String, now: ContinuousClock.Instant) -> Bool {
        let attempts = (entries[name]?.attempts ?? 0) + 1
        if entries[name] == nil, entries.count >= Self.maximumRecordings,
            let first = entries.min(by: { $0.value.until < $1.value.until })
        {
            entries[first.key] = nil
        }
        let isExhausted = attempts >= Self.maximumAttempts
        let pause = isExhausted ? 0 : min(1 << attempts, Self.maximumPauseSeconds)
        entries[name] = Entry(attempts: attempts, until: now + .seconds(pause))
        return !isExhausted
    }

    func waiting(at now: ContinuousClock.Instant) -> [String] {
        entries.compactMap { $0.value.until > now ? $0.key : nil }
    }

    func isLastAttempt(_ name: String) -> Bool { entries[name]?.attempts ?? 0 >= Self.maximumAttempts - 1 }

    mutating func forget(_ name: String) { entries[name] = nil }
}
