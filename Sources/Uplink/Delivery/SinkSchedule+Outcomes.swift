import Store

/// What came of calls.
extension SinkSchedule {
    private struct Rejection {
        var facts: Int64
        var isMixed: Bool
        var reason: String
    }

    /// Takes the reports of calls that were made together. What was accepted counts as accepted before what was rejected.
    ///
    /// - Returns: facts that are to be set aside, in their order.
    mutating func note(
        _ results: [(call: Call, report: SinkReport)], now: Int64, spread: Double
    ) -> [BatchIsolation.Culprit] {
        noteEndpoint(results.map(\.report), now, spread)
        var troubled: Set<DeliveryKind> = []
        for (call, report) in results where report.farEnd != .well && !report.isOfEndpoint {
            troubled.formUnion(report.left(call.rows).map(\.kind))
        }
        noteSettled(results, except: troubled, now, spread)
        var culprits: [BatchIsolation.Culprit] = []
        var rejections: [DeliveryKind: Rejection] = [:]
        for (call, report) in results {
            let left = report.left(call.rows)
            let leftKinds = Set(left.map(\.kind))
            switch report.farEnd {
            case .well: break
            case .rejected(let reason):
                if let trial = call.trial, let kind = leftKinds.first {
                    culprits += noteRejection(of: trial, left, kind, reason, now, spread)
                    continue
                }
                for kind in leftKinds {
                    let facts = left.reduce(0) { $0 + ($1.kind == kind ? $1.facts : 0) }
                    rejections[kind] = Rejection(facts: facts, isMixed: leftKinds.count > 1, reason: reason)
                }
            case .unavailable, .unauthorised:
                guard report.scope == .kinds else { continue }
                for kind in leftKinds {
                    kinds[kind, default: KindState(pace: SinkPace(policy: policy))].pace.note(
                        report.farEnd, now: now, spread: spread)
                }
            }
        }
        for (kind, rejection) in rejections { noteRejection(of: kind, rejection, now, spread) }
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
        of kind: DeliveryKind, _ batch: Rejection, _ now: Int64, _ spread: Double
    ) {
        var state = kinds[kind] ?? KindState(pace: SinkPace(policy: policy))
        state.rejections += 1
        state.reason = batch.reason
        if state.rejections < Self.rejectionsBeforeHalving {
            state.pace.note(.rejected(reason: batch.reason), now: now, spread: spread)
        } else {
            state.pace.note(.well, now: now, spread: spread)
            state.isolation = BatchIsolation(
                rejectedFacts: batch.facts, isMixed: batch.isMixed, acceptedSince: state.acceptedSince,
                limits: limits, policy: policy)
        }
        kinds[kind] = state
    }

    private mutating func noteRejection(
        of trial: BatchIsolation.Trial, _ left: [DeliveryRecord], _ kind: DeliveryKind, _ reason: String, _ now: Int64,
        _ spread: Double
    ) -> [BatchIsolation.Culprit] {
        var rest = trial
        rest.rows = left
        kinds[kind]?.reason = reason
        let culprits = kinds[kind]?.isolation?.rejected(rest, reason: reason, now: now, spread: spread) ?? []
        setAsideByOthers[kind, default: 0] += culprits.count(where: \.isByOtherKinds)
        return culprits
    }

    /// - Parameter troubled: kinds of which facts were rejected or could not be sent.
    private mutating func noteSettled(
        _ results: [(call: Call, report: SinkReport)], except troubled: Set<DeliveryKind>, _ now: Int64,
        _ spread: Double
    ) {
        var accepted: Set<DeliveryKind> = []
        for (call, report) in results {
            let acceptedHere = report.acceptedKinds(call.rows)
            accepted.formUnion(acceptedHere)
            for kind in Set(call.rows.map(\.kind)).subtracting(troubled) {
                if let trial = call.trial {
                    noteSettled(trial, kind, report, isAccepted: acceptedHere.contains(kind), now, spread)
                } else if acceptedHere.contains(kind), kinds[kind]?.isolation == nil {
                    kinds[kind] = nil
                }
            }
        }
        for kind in accepted { setAsideByOthers[kind] = nil }
        for (kind, state) in kinds where !accepted.isEmpty {
            let evidence: BatchIsolation.Evidence = accepted.contains(kind) ? .ownKind : .otherKinds
            kinds[kind]?.acceptedSince = max(state.acceptedSince, evidence)
            kinds[kind]?.isolation?.note(evidence)
            if evidence == .ownKind {
                kinds[kind]?.isAccepted = true
                kinds[kind]?.rounds = 0
            } else if state.isolation?.isAlone != true || !trustsOthers(kind) {
                continue
            }
            kinds[kind]?.roundEndsNanoseconds = nil
        }
    }

    private mutating func noteSettled(
        _ trial: BatchIsolation.Trial, _ kind: DeliveryKind, _ report: SinkReport, isAccepted: Bool, _ now: Int64,
        _ spread: Double
    ) {
        guard !report.isOfEndpoint, report.left(trial.rows).isEmpty else { return }
        kinds[kind]?.pace.note(.well, now: now, spread: spread)
        guard report.isSettled(trial.rows) else {
            kinds[kind]?.isolation?.failed(trial)
            return
        }
        kinds[kind]?.isolation?.settled(trial, isAccepted: isAccepted)
        if kinds[kind]?.isolation?.isOver == true { kinds[kind] = nil }
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

    /// Rows of a call without an outcome.
    fileprivate func left(_ rows: [DeliveryRecord]) -> [DeliveryRecord] {
        rows.filter { outcomes[$0.id] == nil }
    }

    /// Kinds of which the endpoint took facts. What it rejects by name, or was not sent, shows nothing.
    fileprivate func acceptedKinds(_ rows: [DeliveryRecord]) -> Set<DeliveryKind> {
        Set(
            rows.filter { row in
                switch outcomes[row.id] {
                case .done, .sent: true
                case .refused(let facts): facts.count < row.facts
                case .failed, .void, nil: false
                }
            }.map(\.kind))
    }

    /// Whether nothing is left to do for the rows of a call.
    fileprivate func isSettled(_ rows: [DeliveryRecord]) -> Bool {
        rows.allSatisfy { row in
            switch outcomes[row.id] {
            case .done, .sent, .refused, .void: true
            case .failed, nil: false
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
