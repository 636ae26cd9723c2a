/// What recovery could not do at once.
final class RecoveryMetrics: Sendable {
    /// Recordings, files and sessions that wait to be tried again.
    let waiting = Gauge()
    /// Recordings that were given up; each has a line in the ledger.
    let lost = Counter()
    /// Attempts that failed for the first time.
    let failures = Counter()
}
