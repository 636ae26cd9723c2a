import Store

/// Decides which kinds of deliveries a sink may be sent now, and in which batches. A value without I/O: it takes reports and tells what
/// to send.
///
/// Usually all kinds share batches, and wait together when the endpoint is unavailable or does not let us in. A kind gets a state of its
/// own when the endpoint answers that only this kind's bucket or table cannot be used, or when it rejects batches as a whole
/// ``rejectionsBeforeHalving`` times in a row. The other kinds go on.
struct SinkSchedule: Sendable {
    /// One call of ``Sink/deliver(_:)``.
    struct Call: Sendable {
        var rows: [DeliveryRecord]
        /// Of a kind whose batches are being halved.
        var trial: BatchIsolation.Trial?
    }

    struct KindState: Sendable {
        var pace: SinkPace
        /// In a row, of batches that this kind was in.
        var rejections = 0
        /// What the endpoint has accepted since the first of these rejections.
        var acceptedSince = BatchIsolation.Evidence.none
        var isolation: BatchIsolation?
        /// Set while all suspects of a round wait for another answer.
        var roundEndsNanoseconds: Int64?
        /// Rounds in a row without an accepted fact.
        var rounds = 0
        /// Whether the endpoint has accepted facts of this kind since its batches are halved, or since the last round.
        var isAccepted = false
        var reason = ""
    }

    /// A proxy or a login page may answer once for the endpoint.
    static let rejectionsBeforeHalving = 3
    private static let maximumSetAsideByOthers = 3

    /// Of the endpoint as a whole.
    var pace: SinkPace
    var kinds: [DeliveryKind: KindState] = [:]
    /// Facts of a kind that were set aside in a row while only facts of other kinds were accepted.
    var setAsideByOthers: [DeliveryKind: Int] = [:]
    let limits: SinkLimits
    let policy: RetryPolicy
    /// Counts calls of ``calls(shared:isolated:now:spread:)``, so that all kinds have their turn.
    private var turn = 0

    init(limits: SinkLimits, policy: RetryPolicy) {
        self.limits = limits
        self.policy = policy
        pace = SinkPace(policy: policy)
    }

    // MARK: - What is sent

    /// Kinds that share batches now.
    func sharedKinds(now: Int64) -> [DeliveryKind] {
        limits.kinds.filter { kind in
            guard let state = kinds[kind] else { return true }
            return state.isolation == nil && state.pace.waitNanoseconds(now: now) == 0
        }
    }

    /// Kinds whose batches are halved, each in calls of its own.
    func isolatedKinds(now: Int64) -> [DeliveryKind] {
        limits.kinds.filter { kind in
            guard let state = kinds[kind] else { return false }
            return state.isolation != nil && state.pace.waitNanoseconds(now: now) == 0
        }
    }

    /// How long until a kind that waits by itself may be tried, in nanoseconds; nil when none waits.
    func kindWaitNanoseconds(now: Int64) -> Int64? {
        kinds.values.compactMap { state in
            let next = state.roundEndsNanoseconds ?? state.isolation?.nextNanoseconds ?? now
            let wait = max(state.pace.waitNanoseconds(now: now), next - now)
            return wait > 0 ? wait : nil
        }.min()
    }

    /// Due rows of one of ``isolatedKinds(now:)`` that are read for ``calls(shared:isolated:now:spread:)``, and whether the last that is due
    /// is read too.
    func isolatedRows(_ kind: DeliveryKind, now: Int64) -> (first: Int, hasLast: Bool) {
        guard let state = kinds[kind], let isolation = state.isolation else { return (0, false) }
        let isLeftAlone = (state.roundEndsNanoseconds ?? now) > now
        return (isLeftAlone ? isolation.rowsNearby : isolation.rowsNeeded, isolation.looksFar && !isLeftAlone)
    }

    /// Whether accepted facts of other kinds show that the endpoint is well for this one. If they did without a limit, a kind that
    /// is rejected as a whole (its bucket's key is disabled) would be set aside completely.
    func trustsOthers(_ kind: DeliveryKind) -> Bool {
        setAsideByOthers[kind, default: 0] < Self.maximumSetAsideByOthers
    }

    /// The calls that are made now, no more than the sink makes at a time.
    ///
    /// - Parameters:
    ///   - shared: due rows of ``sharedKinds(now:)``, in their order.
    ///   - isolated: due rows of each of ``isolatedKinds(now:)``, see ``isolatedRows(_:now:)``.
    ///   - spread: 0...1, random.
    mutating func calls(
        shared: [DeliveryRecord], isolated: [DeliveryKind: [DeliveryRecord]], now: Int64, spread: Double
    ) -> [Call] {
        forgetEmptyKinds(shared, now)
        turn += 1
        let batches = Self.batches(shared, limits: limits)
        let waiting = limits.kinds.filter { isolated[$0] != nil }
        // Kinds that are halved have half of the calls; where there is only one, every other.
        let share = batches.isEmpty ? limits.concurrency : limits.concurrency == 1 ? turn % 2 : limits.concurrency / 2
        var calls: [Call] = []
        for place in waiting.indices where calls.count < share {
            let kind = waiting[(place + turn) % waiting.count]
            guard let due = isolated[kind], let trial = trial(kind, due, now, spread) else { continue }
            calls.append(Call(rows: trial.rows, trial: trial))
        }
        return calls + batches.prefix(limits.concurrency - calls.count).map { Call(rows: $0) }
    }

    /// Rows read for ``calls(shared:isolated:now:spread:)`` at once.
    static func sharedRows(_ limits: SinkLimits) -> Int { limits.deliveries * limits.concurrency }

    /// A kind of which nothing is due any more has nothing to wait for.
    private mutating func forgetEmptyKinds(_ shared: [DeliveryRecord], _ now: Int64) {
        guard shared.count < Self.sharedRows(limits) else { return }
        let due = Set(shared.map(\.kind))
        for kind in sharedKinds(now: now) where !due.contains(kind) { kinds[kind] = nil }
    }

    private mutating func trial(
        _ kind: DeliveryKind, _ due: [DeliveryRecord], _ now: Int64, _ spread: Double
    ) -> BatchIsolation.Trial? {
        guard var state = kinds[kind], var isolation = state.isolation else { return nil }
        defer {
            state.isolation = isolation
            kinds[kind] = isolation.hasSuspects || !due.isEmpty ? state : nil
        }
        let trustsOthers = trustsOthers(kind)
        if let trial = isolation.nextTrial(due, now: now, trustsOthers: trustsOthers) { return trial }
        guard isolation.hasSuspects, isolation.nextNanoseconds == nil else { return nil }
        guard let end = state.roundEndsNanoseconds else {
            state.rounds += 1
            state.isAccepted = false
            state.reason = isolation.reason ?? state.reason
            state.roundEndsNanoseconds =
                now + Int64(policy.delaySeconds(failures: state.rounds, spread: spread) * 1e9)
            return nil
        }
        guard now >= end else { return nil }
        state.roundEndsNanoseconds = nil
        isolation.startRound()
        return isolation.nextTrial(due, now: now, trustsOthers: trustsOthers)
    }

    /// Cuts what is due into calls, each within the sink's limits.
    static func batches(_ due: [DeliveryRecord], limits: SinkLimits) -> [[DeliveryRecord]] {
        var calls: [[DeliveryRecord]] = []
        var call: [DeliveryRecord] = []
        var facts: Int64 = 0
        for row in due {
            if !call.isEmpty, call.count >= limits.deliveries || facts + row.facts > Int64(limits.facts) {
                calls.append(call)
                if calls.count == limits.concurrency { return calls }
                (call, facts) = ([], 0)
            }
            call.append(row)
            facts += row.facts
        }
        if !call.isEmpty { calls.append(call) }
        return calls
    }

    // MARK: - How it stands

    /// The kinds that have a state of their own, in the sink's order.
    var kindReports: [SinkStatus.Kind] {
        limits.kinds.compactMap { kind in
            guard let state = kinds[kind] else { return nil }
            let isBlocked = state.pace.state != .flowing
            return SinkStatus.Kind(
                kind: kind, state: isBlocked ? state.pace.state : state.isAccepted ? .flowing : .waiting,
                reason: isBlocked ? state.pace.reason ?? state.reason : state.reason,
                nextNanoseconds: isBlocked ? state.pace.nextNanoseconds : state.roundEndsNanoseconds ?? 0,
                isHalving: state.isolation != nil)
        }
    }

    /// The worst of all, for one line: nothing is said of kinds that flow.
    var summary: (state: SinkPace.State, reason: String?, failures: Int, nextNanoseconds: Int64) {
        guard pace.state == .flowing else { return (pace.state, pace.reason, pace.failures, pace.nextNanoseconds) }
        let worst = kindReports.filter { $0.state != .flowing }.max { $0.state.gravity < $1.state.gravity }
        guard let worst else { return (.flowing, nil, 0, 0) }
        let state = kinds[worst.kind]
        return (
            worst.state, "\(worst.kind.rawValue): \(worst.reason)",
            max(1, state?.pace.failures ?? 0, state?.rejections ?? 0, state?.rounds ?? 0), worst.nextNanoseconds
        )
    }
}

extension SinkPace.State {
    fileprivate var gravity: Int {
        switch self {
        case .flowing: 0
        case .waiting: 1
        case .unauthorised: 2
        }
    }
}
