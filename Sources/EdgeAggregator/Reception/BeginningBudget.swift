/// How many recordings one connection may begin: of short ones a few a minute, the excess being a loss; of others as many as
/// `max_recordings_per_min`, beyond which the connection is read more slowly.
///
/// What a connection begins counts for its network address as well, so that many connections do not have many budgets. Two
/// things never do, so that a connection does not pay for its neighbors at the same address: beginnings at the pace of live
/// sound, and one short recording a minute.
struct BeginningBudget: Sendable {
    struct Limits: Sendable {
        /// A minute; 0 for no limit.
        var shortRecordings = 30
        /// A minute; 0 for no limit.
        var recordings = 600
        /// Beginnings of a minute that are not counted: twice as many as live sound makes when each recording has its maximum
        /// duration.
        var uncounted: Int

        init(shortRecordings: Int = 30, recordings: Int = 600, maximumRecordingSeconds: Int = 20) {
            self.shortRecordings = shortRecordings
            self.recordings = recordings
            let seconds = max(1, maximumRecordingSeconds)
            uncounted = max(Self.minimumUncounted, (2 * 60 + seconds - 1) / seconds)
        }

        /// A listener may begin a file of its own every ten seconds, however long recordings may be.
        private static let minimumUncounted = 6
    }

    /// Short recordings that one block of bytes may make, so that connections of one address share what it has.
    private static let maximumPerBlock = 16

    private let address: ClientAddress
    private let addresses: AddressBudgets
    private var shortRecordings: TokenBucket?
    private var ownShortRecordings: TokenBucket?
    private var recordings: TokenBucket?
    private var uncounted: TokenBucket?
    /// What of the grant the address gave, and what it did not need to give.
    private var shared = 0
    private var own = 0

    /// - Parameter isNewListener: whether nothing of the listener has been here before. All its short recordings count for the
    ///   address then: ids are free to choose.
    init(
        limits: Limits, isNewListener: Bool = false, address: ClientAddress, addresses: AddressBudgets,
        nowNanoseconds: Int64
    ) {
        self.address = address
        self.addresses = addresses
        shortRecordings = TokenBucket(perMinute: limits.shortRecordings, nowNanoseconds: nowNanoseconds)
        ownShortRecordings =
            isNewListener ? nil : TokenBucket(perMinute: 1, nowNanoseconds: nowNanoseconds)
        recordings = TokenBucket(perMinute: limits.recordings, nowNanoseconds: nowNanoseconds)
        uncounted = TokenBucket(perMinute: limits.uncounted, nowNanoseconds: nowNanoseconds)
    }

    /// Short recordings that the next block may make; ``settle(left:begun:nowNanoseconds:)`` follows it.
    mutating func grant(nowNanoseconds now: Int64) -> Int {
        let available = shortRecordings?.available(nowNanoseconds: now) ?? Self.maximumPerBlock
        let wanted = max(0, min(available, Self.maximumPerBlock))
        own = min(wanted, max(0, ownShortRecordings?.available(nowNanoseconds: now) ?? 0))
        shared = addresses.takeShortRecordings(upTo: wanted - own, at: address, nowNanoseconds: now)
        return own + shared
    }

    /// Counts what the block made.
    ///
    /// - Parameters:
    ///   - left: what is left of the grant; below 0 when a recording that was open before ended short beyond it.
    ///   - begun: recordings that began.
    /// - Returns: for how long the connection is not to be read; nil when it may be read on.
    mutating func settle(left: Int, begun: Int, nowNanoseconds now: Int64) -> Duration? {
        let used = own + shared - left
        if used > 0 {
            shortRecordings?.take(used, nowNanoseconds: now)
            ownShortRecordings?.take(min(used, own), nowNanoseconds: now)
        }
        addresses.returnShortRecordings(shared - max(0, used - own), at: address, nowNanoseconds: now)
        (own, shared) = (0, 0)
        return count(begun, now)
    }

    private mutating func count(_ begun: Int, _ now: Int64) -> Duration? {
        let free = max(0, uncounted?.available(nowNanoseconds: now) ?? 0)
        uncounted?.take(min(begun, free), nowNanoseconds: now)
        let counted = begun - min(begun, free)
        guard counted > 0 else { return nil }
        let ownPause = recordings?.take(counted, nowNanoseconds: now) ?? .zero
        let sharedPause = addresses.takeRecordings(counted, at: address, nowNanoseconds: now) ?? .zero
        return max(ownPause, sharedPause) > .zero ? max(ownPause, sharedPause) : nil
    }
}
