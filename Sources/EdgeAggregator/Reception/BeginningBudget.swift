/// How many recordings one connection may begin: of short ones a few a minute, the excess being a loss; of others as many as
/// `max_recordings_per_min`, beyond which the connection is read more slowly.
///
/// What a connection begins counts for its network address as well.
struct BeginningBudget: Sendable {
    struct Limits: Sendable {
        /// A minute; 0 for no limit.
        var shortRecordings = 30
        /// A minute; 0 for no limit.
        var recordings = 600
    }

    /// Short recordings that one block of bytes may make, so that connections of one address share what it has.
    private static let maximumPerBlock = 16

    private let address: ClientAddress
    private let addresses: AddressBudgets
    private var shortRecordings: TokenBucket?
    private var recordings: TokenBucket?
    private var granted = 0

    init(limits: Limits, address: ClientAddress, addresses: AddressBudgets, nowNanoseconds: Int64) {
        self.address = address
        self.addresses = addresses
        shortRecordings = TokenBucket(perMinute: limits.shortRecordings, nowNanoseconds: nowNanoseconds)
        recordings = TokenBucket(perMinute: limits.recordings, nowNanoseconds: nowNanoseconds)
    }

    /// Short recordings that the next block may make; ``settle(left:begun:nowNanoseconds:)`` follows it.
    mutating func grant(nowNanoseconds now: Int64) -> Int {
        let own = shortRecordings?.available(nowNanoseconds: now) ?? Self.maximumPerBlock
        granted = addresses.takeShortRecordings(
            upTo: max(0, min(own, Self.maximumPerBlock)), at: address, nowNanoseconds: now)
        return granted
    }

    /// Counts what the block made.
    ///
    /// - Parameters:
    ///   - left: what is left of the grant; below 0 when a recording that was open before ended short beyond it.
    ///   - begun: recordings that began.
    /// - Returns: for how long the connection is not to be read; nil when it may be read on.
    mutating func settle(left: Int, begun: Int, nowNanoseconds now: Int64) -> Duration? {
        let used = granted - left
        if used > 0 { shortRecordings?.take(used, nowNanoseconds: now) }
        addresses.returnShortRecordings(left, at: address, nowNanoseconds: now)
        granted = 0
        guard begun > 0 else { return nil }
        let own = recordings?.take(begun, nowNanoseconds: now) ?? .zero
        let shared = addresses.takeRecordings(begun, at: address, nowNanoseconds: now) ?? .zero
        return own > .zero || shared > .zero ? max(own, shared) : nil
    }
}
