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

    private struct KindState: Sendable {
        var pace: SinkPace
        /// In a row, of batches that this kind was in.
        var rejections = 0
        /// Whether the endpoint has accepted other facts since the first of these rejections.
        var isOtherAccepted = false
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

    /// Of the endpoint as a whole.
    private(set) var pace: SinkPace
    private var kinds: [DeliveryKind: KindState] = [:]
    private let limits: SinkLimits
    private let policy: RetryPolicy

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
            let wait = max(state.pace.waitNanoseconds(now: now), (state.roundEndsNanoseconds ?? now) - now)
            return wait > 0 ? wait : nil
        }.min()
    }

    /// The calls that are made now.
    ///
    /// - Parameters:
    ///   - shared: due rows of ``sharedKinds(now:)``, in their order.
    ///   - isolated: due rows of each of ``isolatedKinds(now:)``; at least ``BatchIsolation/rowsNeeded(_:)`` where there are so many.
    ///   - spread: 0...1, random.
    mutating func calls(
        shared: [DeliveryRecord], isolated: [DeliveryKind: [DeliveryRecord]], now: Int64, spread: Double
    ) -> [Call] {
        forgetEmptyKinds(shared, now)
        var calls = Self.batches(shared, limits: limits).map { Call(rows: $0) }
        for kind in limits.kinds {
            guard let due = isolated[kind], let trial = trial(kind, due, now, spread) else { continue }
            calls.append(Call(rows: trial.rows, trial: trial))
        }
        return calls
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
        if let trial = isolation.nextTrial(due) { return trial }
        guard isolation.hasSuspects else { return nil }
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
        return isolation.nextTrial(due)
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

    // MARK: - What came of it

    /// Takes the reports of calls that were made together.
    ///
    /// - Returns: facts that are to be set aside.
    mutating func note(
        _ results: [(call: Call, report: SinkReport)], now: Int64, spread: Double
    ) -> [BatchIsolation.Culprit] {
        noteEndpoint(results.map(\.report), now, spread)
        var culprits: [BatchIsolation.Culprit] = []
        var troubled: Set<DeliveryKind> = []
        var rejected: [DeliveryKind: (facts: Int64, isMixed: Bool, reason: String)] = [:]
        for (call, report) in results {
            let left = call.rows.filter { report.outcomes[$0.id] == nil }
            let leftKinds = Set(left.map(\.kind))
            switch report.farEnd {
            case .well: break
            case .rejected(let reason):
                troubled.formUnion(leftKinds)
                if let trial = call.trial, let kind = leftKinds.first {
                    if let culprit = noteRejection(trial, left, kind, reason) { culprits.append(culprit) }
                } else {
                    for kind in leftKinds {
                        let facts = left.reduce(0) { $0 + ($1.kind == kind ? $1.facts : 0) }
                        rejected[kind] = (facts, leftKinds.count > 1, reason)
                    }
                }
            case .unavailable, .unauthorised:
                guard report.scope == .kinds else { continue }
                troubled.formUnion(leftKinds)
                for kind in leftKinds {
                    kinds[kind, default: KindState(pace: SinkPace(policy: policy))].pace.note(
                        report.farEnd, now: now, spread: spread)
                }
            }
        }
        for (kind, batch) in rejected { noteRejection(of: kind, batch, now, spread) }
        noteAcceptance(results, except: troubled, now, spread)
        return culprits
    }

    private mutating func noteEndpoint(_ reports: [SinkReport], _ now: Int64, _ spread: Double) {
        let worst = reports.filter(\.isOfEndpoint).map(\.farEnd).max { $0.gravity < $1.gravity }
        if let worst {
            pace.note(worst, now: now, spread: spread)
        } else if !reports.isEmpty {
            // It has answered.
            pace.note(.well, now: now, spread: spread)
        }
    }

    /// A batch that several kinds shared, or that was not halved yet.
    private mutating func noteRejection(
        of kind: DeliveryKind, _ batch: (facts: Int64, isMixed: Bool, reason: String), _ now: Int64, _ spread: Double
    ) {
        var state = kinds[kind] ?? KindState(pace: SinkPace(policy: policy))
        state.rejections += 1
        state.reason = batch.reason
        if state.rejections < Self.rejectionsBeforeHalving {
            state.pace.note(.rejected(reason: batch.reason), now: now, spread: spread)
        } else {
            state.pace.note(.well, now: now, spread: spread)
            state.isolation = BatchIsolation(
                rejectedFacts: batch.facts, isMixed: batch.isMixed, isAcceptedSince: state.isOtherAccepted,
                limits: limits)
        }
        kinds[kind] = state
    }

    private mutating func noteRejection(
        _ trial: BatchIsolation.Trial, _ left: [DeliveryRecord], _ kind: DeliveryKind, _ reason: String
    ) -> BatchIsolation.Culprit? {
        var rest = trial
        rest.rows = left
        kinds[kind]?.reason = reason
        return kinds[kind]?.isolation?.rejected(rest, reason: reason)
    }

    private mutating func noteAcceptance(
        _ results: [(call: Call, report: SinkReport)], except troubled: Set<DeliveryKind>, _ now: Int64,
        _ spread: Double
    ) {
        var hasAccepted = false
        for (call, report) in results where report.hasAccepted(call.rows) {
            hasAccepted = true
            let calmKinds = Set(call.rows.map(\.kind)).subtracting(troubled)
            for kind in calmKinds {
                guard let trial = call.trial else {
                    if kinds[kind]?.isolation == nil { kinds[kind] = nil }
                    continue
                }
                kinds[kind]?.isAccepted = true
                kinds[kind]?.isolation?.accepted(trial)
                kinds[kind]?.pace.note(.well, now: now, spread: spread)
                if kinds[kind]?.isolation?.isOver == true { kinds[kind] = nil }
            }
        }
        guard hasAccepted else { return }
        for kind in kinds.keys {
            kinds[kind]?.isOtherAccepted = true
            kinds[kind]?.isolation?.acceptedElsewhere()
            kinds[kind]?.roundEndsNanoseconds = nil
            kinds[kind]?.rounds = 0
        }
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

extension SinkReport {
    /// Whether the endpoint itself cannot be used.
    fileprivate var isOfEndpoint: Bool {
        switch farEnd {
        case .well, .rejected: false
        case .unavailable, .unauthorised: scope == .endpoint
        }
    }

    /// Whether the endpoint took any of the facts of a call.
    fileprivate func hasAccepted(_ rows: [DeliveryRecord]) -> Bool {
        rows.contains { row in
            switch outcomes[row.id] {
            case .done, .sent: true
            case .refused(let facts): facts.count < row.facts
            case .failed, .void, nil: false
            }
        }
    }
}

extension SinkReport.FarEnd {
    fileprivate var gravity: Int {
        switch self {
        case .well, .rejected: 0
        case .unavailable: 1
        case .unauthorised: 2
        }
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
