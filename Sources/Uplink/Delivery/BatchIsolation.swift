import Store

/// Finds the facts of one kind for which an endpoint rejects whole batches. A value without I/O.
///
/// A rejected batch is halved until one fact is left. A fact is set aside only after three answers: the endpoint rejected it, alone or in a
/// batch, then accepted something else, then rejected it alone. An endpoint that rejects everything (a missing database, a login page)
/// therefore never makes a fact be set aside. Facts are tried in their order, since some endpoints want times to grow.
///
/// Nothing of this is stored. After a restart the search begins again.
struct BatchIsolation: Sendable {
    /// What is sent next.
    struct Trial: Sendable, Equatable {
        var rows: [DeliveryRecord]
        /// Whether it is a suspect again, after something else was accepted.
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
    }

    private struct Suspect: Sendable {
        let delivery: Int64
        let fact: Int64
        let reason: String
        /// Whether the endpoint has accepted something else since.
        var isOtherAccepted = false
    }

    /// Facts that may be rejected alone, one after the other, before the endpoint is left alone for a while.
    static let maximumSuspects = 8

    /// Facts of the next batch.
    private(set) var maximumFacts: Int64
    /// Whether batches have their full size again.
    private(set) var isOver = false
    private let fullFacts: Int64
    private let maximumRows: Int
    private var suspects: [Suspect] = []
    /// Facts at the front that were in the last rejected batch.
    private var rejectedFacts: Int64
    /// Whether the endpoint has accepted something since it rejected them.
    private var isAcceptedSince: Bool

    /// - Parameters:
    ///   - rejectedFacts: of the batch that was rejected; the first trial has half of them.
    ///   - isMixed: whether other kinds were in the batch too. Then to send this kind alone is the first halving.
    ///   - isAcceptedSince: whether the endpoint has accepted something since it rejected these facts first.
    ///   - limits: of the sink.
    init(rejectedFacts: Int64, isMixed: Bool, isAcceptedSince: Bool, limits: SinkLimits) {
        maximumFacts = max(1, isMixed ? rejectedFacts : rejectedFacts / 2)
        fullFacts = Int64(limits.facts)
        maximumRows = limits.deliveries
        self.rejectedFacts = rejectedFacts
        // Of a mixed batch another kind may be at fault.
        self.isAcceptedSince = isAcceptedSince && !isMixed
    }

    /// Rows that must be read for the next trial, at most.
    static func rowsNeeded(_ limits: SinkLimits) -> Int { limits.deliveries + maximumSuspects }

    var hasSuspects: Bool { !suspects.isEmpty }
    /// What the endpoint said of the first suspect.
    var reason: String? { suspects.first?.reason }

    /// The next trial; nil when nothing is left to try in this round.
    ///
    /// - Parameter due: rows of the kind, in the order in which they are sent.
    mutating func nextTrial(_ due: [DeliveryRecord]) -> Trial? {
        forgetSuspects(notAtTheFrontOf: due)
        if let suspect = suspects.first, suspect.isOtherAccepted,
            let row = due.first(where: { $0.id == suspect.delivery })
        {
            return Trial(rows: [row.cut(to: suspect.fact...suspect.fact)], isRetry: true)
        }
        guard suspects.count < Self.maximumSuspects else { return nil }
        var left = suspects.isEmpty ? maximumFacts : 1
        var trial = Trial(rows: [])
        for row in due where left > 0 && trial.rows.count < maximumRows {
            let first = suspects.last { $0.delivery == row.id }.map { $0.fact + 1 } ?? row.firstID
            guard first <= row.lastID else { continue }
            if trial.rows.isEmpty { trial.isProbe = first > row.firstID }
            trial.rows.append(row.cut(to: first...min(row.lastID, first + left - 1)))
            left -= trial.rows[trial.rows.count - 1].facts
        }
        return trial.rows.isEmpty ? nil : trial
    }

    /// The endpoint accepted a trial, or a part of it.
    mutating func accepted(_ trial: Trial) {
        if trial.isRetry { removeSuspect(trial) }
        if !trial.isProbe { rejectedFacts = max(0, rejectedFacts - trial.facts) }
        acceptedElsewhere()
        guard suspects.isEmpty else { return }
        isOver = maximumFacts >= fullFacts
        maximumFacts = min(fullFacts, 2 * maximumFacts)
    }

    /// The endpoint accepted something else of the sink's.
    mutating func acceptedElsewhere() {
        isAcceptedSince = true
        for index in suspects.indices { suspects[index].isOtherAccepted = true }
    }

    /// The endpoint rejected a trial as a whole.
    ///
    /// - Parameter trial: as far as it has no outcome.
    /// - Returns: the fact that is to be set aside, if it is known now.
    mutating func rejected(_ trial: Trial, reason: String) -> Culprit? {
        guard trial.facts == 1, let row = trial.rows.first else {
            maximumFacts = max(1, trial.facts / 2)
            (rejectedFacts, isAcceptedSince) = (trial.facts, false)
            return nil
        }
        maximumFacts = 1
        guard trial.isRetry else {
            let isConfirmed = isAcceptedSince && suspects.isEmpty && rejectedFacts > 0
            suspects.append(
                Suspect(delivery: row.id, fact: row.firstID, reason: reason, isOtherAccepted: isConfirmed))
            isAcceptedSince = false
            return nil
        }
        removeSuspect(trial)
        // This explains why the batch was rejected.
        rejectedFacts = 0
        return Culprit(row: row, reason: reason)
    }

    /// Begins again with the first fact, since the endpoint may have changed meanwhile.
    mutating func startRound() {
        suspects = []
        maximumFacts = 1
        rejectedFacts = 0
    }

    private mutating func removeSuspect(_ trial: Trial) {
        suspects.removeAll { $0.delivery == trial.rows.first?.id && $0.fact == trial.rows.first?.firstID }
    }

    /// Only a fact at the front of its row can be set aside alone. Rows may be gone or may have changed since.
    private mutating func forgetSuspects(notAtTheFrontOf due: [DeliveryRecord]) {
        var front: [Int64: Int64] = Dictionary(due.map { ($0.id, $0.firstID) }) { first, _ in first }
        suspects.removeAll { suspect in
            guard front[suspect.delivery] == suspect.fact else { return true }
            front[suspect.delivery] = suspect.fact + 1
            return false
        }
    }
}

extension DeliveryRecord {
    /// The row with some of its facts only.
    func cut(to facts: ClosedRange<Int64>) -> DeliveryRecord {
        DeliveryRecord(
            id: id, sink: sink, kind: kind, firstID: facts.lowerBound, lastID: facts.upperBound, state: state,
            attempts: attempts, createdNanoseconds: createdNanoseconds, nextNanoseconds: nextNanoseconds, error: error,
            bytes: bytes)
    }
}
