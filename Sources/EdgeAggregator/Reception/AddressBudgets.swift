import Synchronization

/// What the listeners of one network address may do together, so that one address cannot use up what all share.
///
/// An IPv6 client has a whole /64 network, so that is what is counted as one address (RFC 6177). The number of addresses is
/// bounded: the one that has been idle the longest is forgotten first.
final class AddressBudgets: Sendable {
    /// Events a minute of one address; 0 for no limit.
    struct Limits: Sendable {
        var shortRecordings = 300
        var recordings = 3000
        var streams = 600
        /// Ids that have never been here before, an hour.
        var newListenersPerHour = 1000
        var addresses = 4096
    }

    /// After a restart of the daemon all listeners behind one address come back at once.
    private static let streamBurstMinutes = 5

    private struct Budget {
        var shortRecordings: TokenBucket?
        var recordings: TokenBucket?
        var streams: TokenBucket?
        /// Of an hour: a minute of the bucket is an hour.
        var newListeners: TokenBucket?
        var usedNanoseconds: Int64

        init(_ limits: Limits, now: Int64) {
            shortRecordings = TokenBucket(perMinute: limits.shortRecordings, nowNanoseconds: now)
            recordings = TokenBucket(perMinute: limits.recordings, nowNanoseconds: now)
            streams = TokenBucket(
                perMinute: limits.streams, burstMinutes: AddressBudgets.streamBurstMinutes, nowNanoseconds: now)
            newListeners = TokenBucket(perMinute: limits.newListenersPerHour, nowNanoseconds: now / 60)
            usedNanoseconds = now
        }
    }

    enum Refusal: String, Error {
        case tooManyStreams = "too many new streams of this address (max_new_streams_per_min)"
        case tooManyNewListeners = "too many new listener ids of this address (max_new_listeners_per_hour)"
    }

    private struct State {
        var budgets: [String: Budget] = [:]
        var knownListeners: Set<ListenerID>
    }

    /// Maximum number of listener ids that are remembered as known; beyond it all count as new again.
    private static let maximumKnownListeners = 65_536

    private let limits: Limits
    private let state: Mutex<State>

    /// - Parameter knownListeners: those that have been here in earlier runs of the program.
    init(limits: Limits, knownListeners: Set<ListenerID> = []) {
        self.limits = limits
        state = Mutex(State(knownListeners: knownListeners))
    }

    var knownAddresses: Int { state.withLock { $0.budgets.count } }

    /// Counts a stream that begins, or says why it may not. Only a stream that begins is counted.
    ///
    /// - Parameters:
    ///   - isNamed: whether the listener is named in the settings; then its id is never new.
    ///   - admit: what else decides whether the stream begins.
    func beginStream<Admission, Failure: Error>(
        of listener: ListenerID, isNamed: Bool, at address: ClientAddress, nowNanoseconds now: Int64,
        admit: () throws(Failure) -> Admission
    ) throws(Failure) -> Result<Admission, Refusal> {
        if let refusal = state.withLock({ state in
            refusal(listener, isNamed: isNamed, beginsStream: true, &state, address, now)
        }) {
            return .failure(refusal)
        }
        let admission = try admit()
        state.withLock { state in
            count(listener, isNamed: isNamed, &state, address, now)
            withBudget(address, now, &state) { _ = $0.streams?.take(1, nowNanoseconds: now) }
        }
        return .success(admission)
    }

    /// Counts a listener id that comes with an upload, or says why it may not.
    func note(
        _ listener: ListenerID, isNamed: Bool, at address: ClientAddress, nowNanoseconds now: Int64
    ) throws(Refusal) {
        try state.withLock { (state) throws(Refusal) in
            if let refusal = refusal(listener, isNamed: isNamed, beginsStream: false, &state, address, now) {
                throw refusal
            }
            count(listener, isNamed: isNamed, &state, address, now)
        }
    }

    /// Whether nothing of the listener has been here before.
    func isNew(_ listener: ListenerID, isNamed: Bool) -> Bool {
        state.withLock { isNew(listener, isNamed: isNamed, $0) }
    }

    private func isNew(_ listener: ListenerID, isNamed: Bool, _ state: State) -> Bool {
        !isNamed && !state.knownListeners.contains(listener)
    }

    /// Nothing is counted.
    private func refusal(
        _ listener: ListenerID, isNamed: Bool, beginsStream: Bool, _ state: inout State, _ address: ClientAddress,
        _ now: Int64
    ) -> Refusal? {
        let isNew = isNew(listener, isNamed: isNamed, state)
        return withBudget(address, now, &state) { budget in
            if isNew, budget.newListeners?.available(nowNanoseconds: now / 60) ?? 1 <= 0 {
                return .tooManyNewListeners
            }
            if beginsStream, budget.streams?.available(nowNanoseconds: now) ?? 1 <= 0 { return .tooManyStreams }
            return nil
        }
    }

    private func count(
        _ listener: ListenerID, isNamed: Bool, _ state: inout State, _ address: ClientAddress, _ now: Int64
    ) {
        guard isNew(listener, isNamed: isNamed, state) else { return }
        withBudget(address, now, &state) { _ = $0.newListeners?.take(1, nowNanoseconds: now / 60) }
        if state.knownListeners.count >= Self.maximumKnownListeners { state.knownListeners = [] }
        state.knownListeners.insert(listener)
    }

    /// Takes up to `count` short recordings out of the budget; give back what is not used.
    func takeShortRecordings(upTo count: Int, at address: ClientAddress, nowNanoseconds now: Int64) -> Int {
        state.withLock { state in
            withBudget(address, now, &state) { budget in
                guard let available = budget.shortRecordings?.available(nowNanoseconds: now) else { return count }
                let taken = max(0, min(count, available))
                budget.shortRecordings?.take(taken, nowNanoseconds: now)
                return taken
            }
        }
    }

    /// Gives back short recordings that were not made, or takes those that were made beyond (`count` below 0).
    func returnShortRecordings(_ count: Int, at address: ClientAddress, nowNanoseconds now: Int64) {
        guard count != 0 else { return }
        state.withLock { state in
            withBudget(address, now, &state) { _ = $0.shortRecordings?.take(-count, nowNanoseconds: now) }
        }
    }

    /// Counts recordings that have begun.
    ///
    /// - Returns: for how long no more may be read from the address; nil when it may go on.
    func takeRecordings(_ count: Int, at address: ClientAddress, nowNanoseconds now: Int64) -> Duration? {
        state.withLock { state in
            withBudget(address, now, &state) { $0.recordings?.take(count, nowNanoseconds: now) }
        }
    }

    private func withBudget<Result>(
        _ address: ClientAddress, _ now: Int64, _ state: inout State, _ body: (inout Budget) -> Result
    ) -> Result {
        var budget = state.budgets[address.text] ?? Budget(limits, now: now)
        if state.budgets[address.text] == nil, state.budgets.count >= limits.addresses,
            let oldest = state.budgets.min(by: { $0.value.usedNanoseconds < $1.value.usedNanoseconds })?.key
        {
            state.budgets[oldest] = nil
        }
        budget.usedNanoseconds = now
        let result = body(&budget)
        state.budgets[address.text] = budget
        return result
    }
}
