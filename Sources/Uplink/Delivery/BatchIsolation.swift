import Store

/// Finds the facts of one kind for which an endpoint rejects whole batches. A value without I/O.
///
/// A rejected batch is halved until one fact is left: a suspect. It is set aside only after the endpoint has accepted other facts and has
/// rejected the suspect alone again, ``confirmations`` times, with growing waits. An endpoint that rejects everything (a missing database,
/// a login page) therefore never makes a fact be set aside. Facts behind a suspect are sent meanwhile, except to an endpoint that
/// wants them in the order of their times.
///
/// Nothing of this is stored. After a restart the search begins again.
struct BatchIsolation: Sendable {
    /// What is sent next.
    struct Trial: Sendable, Equatable {
        var rows: [DeliveryRecord]
        /// Whether it is a suspect again.
        var isRetry = false
        /// Whether it begins in the middle of its row. Then it only shows whether the endpoint accepts it, and is sent again later.
        var isProbe = false

        var facts: Int64 { rows.reduce(0) { $0 + $1.facts } }
    }

    /// A fact that is to be set aside.
    struct Culprit: Sendable, Equatable {
        /// Its row, cut to the fact.
        let row: DeliveryRecord
        let reason: String
        /// Whether only facts of other kinds show that the endpoint is well.
        var isByOtherKinds = false
    }

    /// What shows that the endpoint accepts anything.
    enum Evidence: Int, Sendable, Comparable {
        case none, otherKinds, ownKind

        static func < (left: Evidence, right: Evidence) -> Bool { left.rawValue < right.rawValue }
    }

    private struct Suspect: Sendable {
        let delivery: Int64
        let fact: Int64
        var reason: String
        /// Since it was first rejected.
        var evidence: Evidence
        /// Whether the endpoint has accepted facts of the kind since it last rejected this one.
        var isFresh: Bool
        var confirmations = 0
        /// It is not tried again before.
        var nextNanoseconds: Int64
    }

    /// Suspects that are looked for before the endpoint is left alone for a while.
    static let maximumSuspects = 8
    /// Rejections of a suspect after the first. Each contradiction, which shows that the endpoint rejects at random, adds two.
    static let confirmations = 3
    private static let maximumConfirmations = 9
    /// How far behind the suspects a fact is looked for that the endpoint accepts, beyond the last one that is due.
    private static let maximumReach: Int64 = 4096
    /// Where order matters: suspects in a row, and rounds in which only the first fact is tried.
    private static let maximumOrderedSuspects = 1024
    private static let roundsAtFront = 3

    /// Facts of the next batch.
    private(set) var maximumFacts: Int64
    /// Whether batches have their full size again.
    private(set) var isOver = false
    /// Whether all that is due was tried, as of the last call of ``nextTrial(_:now:trustsOthers:)``.
    private(set) var isAlone = false
    private let limits: SinkLimits
    private let policy: RetryPolicy
    private var suspects: [Suspect] = []
    /// The last fact that was tried alone, of rows that have suspects or were probed.
    private var tried: [Int64: Int64] = [:]
    /// Facts at the front that were in the last rejected batch, and what was accepted since.
    private var rejectedFacts: Int64
    private var acceptedSince: Evidence
    private var confirmationsNeeded = Self.confirmations
    /// As of the last call of ``nextTrial(_:now:trustsOthers:)``.
    private var trustsOthers = false
    /// Rounds that ended without an accepted fact.
    private var round = 0
    /// Whether one suspect is enough to look further ahead.
    private var isBrief = false
    /// Far facts that were tried since the last one that was accepted.
    private var farTrials = 0

    /// - Parameters:
    ///   - rejectedFacts: of the batch that was rejected; the first trial has half of them.
    ///   - isMixed: whether other kinds were in the batch too. Then to send this kind alone is the first halving.
    ///   - acceptedSince: what the endpoint has accepted since it rejected these facts first.
    init(
        rejectedFacts: Int64, isMixed: Bool, acceptedSince: Evidence, limits: SinkLimits, policy: RetryPolicy
    ) {
        maximumFacts = max(1, isMixed ? rejectedFacts : rejectedFacts / 2)
        self.limits = limits
        self.policy = policy
        self.rejectedFacts = rejectedFacts
        // Of a mixed batch another kind may be at fault.
        self.acceptedSince = isMixed ? .none : acceptedSince
    }

    var hasSuspects: Bool { !suspects.isEmpty }
    /// What the endpoint said of the first suspect.
    var reason: String? { suspects.first?.reason }
    /// When a suspect may be tried again, by the steady clock; nil while none may.
    var nextNanoseconds: Int64? { suspects.filter { canBeRetried($0) }.map(\.nextNanoseconds).min() }

    /// Whether a fact is looked for far behind the suspects.
    var looksFar: Bool { round > 0 && !limits.isInOrder }
    /// Due rows that must be read for the next trial, at most.
    var rowsNeeded: Int { rowsNearby + (looksFar ? Int(reach) : 0) }
    /// The same while the endpoint is left alone.
    var rowsNearby: Int { limits.deliveries + max(suspectLimit, suspects.count) }

    private var reach: Int64 { min(Int64(Self.maximumSuspects) << Int64(min(round, 20)), Self.maximumReach) }

    private var suspectLimit: Int {
        guard limits.isInOrder else { return isBrief ? 1 : Self.maximumSuspects }
        guard round >= Self.roundsAtFront else { return 1 }
        return min(Self.maximumSuspects << min(round - Self.roundsAtFront, 20), Self.maximumOrderedSuspects)
    }

    /// Begins again with the first fact, since the endpoint may have changed meanwhile. Where it has accepted facts behind a suspect, it only
    /// looks for others that it accepts.
    mutating func startRound() {
        if limits.isInOrder || !suspects.contains(where: { $0.evidence == .ownKind }) { (suspects, tried) = ([], [:]) }
        (maximumFacts, rejectedFacts, acceptedSince) = (1, 0, .none)
        (isBrief, farTrials) = (true, 0)
        round += 1
    }

    // MARK: - What is sent

    /// The next trial; nil when nothing is left to try in this round, or when suspects wait for their time.
    ///
    /// - Parameters:
    ///   - due: rows of the kind, in the order in which they are sent; the last may be far behind the others.
    ///   - trustsOthers: whether accepted facts of other kinds show that the endpoint is well.
    mutating func nextTrial(_ due: [DeliveryRecord], now: Int64, trustsOthers: Bool) -> Trial? {
        forgetWhatIsGone(due)
        self.trustsOthers = trustsOthers
        isAlone = due.allSatisfy { untried($0) > $0.lastID }
        guard hasSuspects else { return batch(due) }
        // A fact that was tried while another was at the front of its row is sent once more, and settled.
        if let row = due.first(where: { isBeforeSuspects($0) }) { return Self.single(row.firstID, of: row) }
        if let trial = retry(due, now) { return trial }
        let needsEvidence = suspects.contains { !$0.isFresh }
        if suspects.count < suspectLimit {
            if !limits.isInOrder, let trial = batch(due.filter { tried[$0.id] == nil }) { return trial }
            if needsEvidence, let row = due.first(where: { untried($0) <= $0.lastID }) {
                return Self.single(untried(row), of: row)
            }
        }
        return needsEvidence && looksFar ? farTrial(due) : nil
    }

    private func retry(_ due: [DeliveryRecord], _ now: Int64) -> Trial? {
        for suspect in suspects where canBeRetried(suspect) && suspect.nextNanoseconds <= now {
            guard let row = due.first(where: { $0.id == suspect.delivery }) else { continue }
            var trial = Self.single(suspect.fact, of: row)
            trial.isRetry = true
            return trial
        }
        return nil
    }

    /// What was accepted lately counts. Where nothing else is due, so does what was accepted before.
    private func canBeRetried(_ suspect: Suspect) -> Bool {
        guard !suspect.isFresh else { return true }
        switch suspect.evidence {
        case .none: return false
        case .otherKinds: return isAlone && trustsOthers
        case .ownKind: return isAlone
        }
    }

    private func isBeforeSuspects(_ row: DeliveryRecord) -> Bool {
        let facts = suspects.filter { $0.delivery == row.id }.map(\.fact)
        return !facts.isEmpty && !facts.contains(row.firstID)
    }

    private func batch(_ due: [DeliveryRecord]) -> Trial? {
        var left = maximumFacts
        var trial = Trial(rows: [])
        for row in due where left > 0 && trial.rows.count < limits.deliveries {
            trial.rows.append(row.cut(to: row.firstID...min(row.lastID, row.firstID + left - 1)))
            left -= trial.rows[trial.rows.count - 1].facts
        }
        return trial.rows.isEmpty ? nil : trial
    }

    /// The last fact that is due, then those that are 8, 16, 32 … behind the first; at the front of their rows where possible.
    private mutating func farTrial(_ due: [DeliveryRecord]) -> Trial? {
        let last = due.reduce(0) { $0 + $1.facts } - 1
        var distances = [last]
        var distance = Int64(Self.maximumSuspects)
        while distance < last, distance <= reach {
            distances.append(distance)
            distance *= 2
        }
        var trials: [Trial] = []
        for distance in distances {
            guard let (row, fact) = Self.fact(at: distance, due) else { continue }
            let trial = Self.single(tried[row.id] == nil ? row.firstID : fact, of: row)
            if !isSuspect(trial), !trials.contains(trial) { trials.append(trial) }
        }
        guard farTrials < trials.count else { return nil }
        defer { farTrials += 1 }
        return trials[farTrials]
    }

    private static func fact(at distance: Int64, _ due: [DeliveryRecord]) -> (DeliveryRecord, Int64)? {
        var left = distance
        for row in due {
            guard left >= row.facts else { return (row, row.firstID + left) }
            left -= row.facts
        }
        return nil
    }

    private static func single(_ fact: Int64, of row: DeliveryRecord) -> Trial {
        Trial(rows: [row.cut(to: fact...fact)], isProbe: fact > row.firstID)
    }

    private func untried(_ row: DeliveryRecord) -> Int64 { max(row.firstID, (tried[row.id] ?? .min) &+ 1) }

    // MARK: - What came of it

    /// The endpoint has dealt with all of a trial: accepted it, or named what it rejects of it, or there was nothing to send.
    mutating func settled(_ trial: Trial, isAccepted: Bool) {
        noteTried(trial)
        if trial.isRetry {
            removeSuspects { Self.isOf(trial, $0) }
            if isAccepted { noteContradiction() }
        } else if !trial.isProbe, suspects.isEmpty, rejectedFacts > 0 {
            rejectedFacts = max(0, rejectedFacts - trial.facts)
            // All that was rejected together was accepted in parts.
            if rejectedFacts == 0, isAccepted { noteContradiction() }
        }
        isOver = suspects.isEmpty && maximumFacts >= Int64(limits.facts)
        if !trial.isRetry { maximumFacts = min(Int64(limits.facts), 2 * maximumFacts) }
    }

    /// Some of a trial could not be sent: it is passed over in this round.
    mutating func failed(_ trial: Trial) {
        noteTried(trial)
        if trial.isRetry { removeSuspects { Self.isOf(trial, $0) } }
    }

    /// The endpoint has accepted facts, before what it rejects from now on.
    mutating func note(_ evidence: Evidence) {
        acceptedSince = max(acceptedSince, evidence)
        for index in suspects.indices {
            suspects[index].evidence = max(suspects[index].evidence, evidence)
            if evidence == .ownKind { suspects[index].isFresh = true }
        }
        guard evidence == .ownKind else { return }
        (isBrief, farTrials) = (false, 0)
        if !limits.isInOrder { round = max(round, 1) }
    }

    /// The endpoint rejected a trial as a whole.
    ///
    /// - Parameter trial: as far as it has no outcome.
    /// - Returns: facts that are to be set aside, in their order.
    mutating func rejected(_ trial: Trial, reason: String, now: Int64, spread: Double) -> [Culprit] {
        guard trial.facts == 1, let row = trial.rows.first else {
            maximumFacts = max(1, trial.facts / 2)
            (rejectedFacts, acceptedSince) = (suspects.isEmpty ? trial.facts : 0, .none)
            return []
        }
        noteTried(trial)
        guard trial.isRetry else {
            let evidence = suspects.isEmpty && rejectedFacts > 0 ? acceptedSince : .none
            maximumFacts = 1
            (rejectedFacts, acceptedSince) = (0, .none)
            // Else it was one far behind.
            guard
                suspects.count < suspectLimit
                    || suspects.contains(where: { $0.delivery == row.id && $0.fact > row.firstID })
            else { return [] }
            suspects.append(
                Suspect(
                    delivery: row.id, fact: row.firstID, reason: reason, evidence: evidence, isFresh: false,
                    nextNanoseconds: next(1, now, spread)))
            return []
        }
        guard let index = suspects.firstIndex(where: { Self.isOf(trial, $0) }) else { return [] }
        suspects[index].confirmations += 1
        suspects[index].isFresh = false
        suspects[index].reason = reason
        suspects[index].nextNanoseconds = next(suspects[index].confirmations + 1, now, spread)
        return trial.isProbe ? [] : takeCulprits(row)
    }

    /// Suspects that are confirmed, from the front of a row.
    private mutating func takeCulprits(_ row: DeliveryRecord) -> [Culprit] {
        var culprits: [Culprit] = []
        var fact = row.firstID
        while let suspect = suspects.first(where: { $0.delivery == row.id && $0.fact == fact }),
            suspect.confirmations >= confirmationsNeeded
        {
            culprits.append(
                Culprit(
                    row: row.cut(to: fact...fact), reason: suspect.reason,
                    isByOtherKinds: suspect.evidence < .ownKind))
            removeSuspects { $0.delivery == row.id && $0.fact == fact }
            fact += 1
        }
        return culprits
    }

    private func next(_ failures: Int, _ now: Int64, _ spread: Double) -> Int64 {
        now + Int64(policy.delaySeconds(failures: failures, spread: spread) * 1e9)
    }

    private mutating func noteTried(_ trial: Trial) {
        guard trial.facts == 1, let row = trial.rows.first else { return }
        if !trial.isProbe || tried[row.id] == row.firstID - 1 {
            tried[row.id] = max(tried[row.id] ?? .min, row.firstID)
        }
    }

    private mutating func noteContradiction() {
        confirmationsNeeded = min(confirmationsNeeded + 2, Self.maximumConfirmations)
    }

    private func isSuspect(_ trial: Trial) -> Bool { suspects.contains { Self.isOf(trial, $0) } }

    private static func isOf(_ trial: Trial, _ suspect: Suspect) -> Bool {
        trial.rows.first?.id == suspect.delivery && trial.rows.first?.firstID == suspect.fact
    }

    private mutating func removeSuspects(_ isOut: (Suspect) -> Bool) {
        guard hasSuspects else { return }
        suspects.removeAll(where: isOut)
        guard suspects.isEmpty else { return }
        tried = [:]
        if limits.isInOrder { round = 0 }
    }

    /// Rows may be gone or may have changed since.
    private mutating func forgetWhatIsGone(_ due: [DeliveryRecord]) {
        let front = Dictionary(due.map { ($0.id, $0.firstID) }) { first, _ in first }
        removeSuspects { suspect in front[suspect.delivery].map { suspect.fact < $0 } ?? true }
        if suspects.isEmpty {
            tried = [:]
        } else {
            tried = tried.filter { row, fact in front[row].map { fact >= $0 } ?? false }
        }
    }
}
