import Store

@testable import Uplink

/// An outbox and an endpoint made up for tests: rows are settled from their front, as the store does it.
struct RejectingEndpoint {
    enum Answer: Equatable {
        case byFact
        /// Rejects whatever it is sent, as a server without the database does.
        case rejectsAll
        case unavailable
        case unauthorised
    }

    var rows: [DeliveryRecord]
    /// For these it rejects the whole call that they are in.
    var culprits: Set<Int64>
    var answer = Answer.byFact
    private(set) var stored: Set<Int64> = []
    private(set) var setAside: Set<Int64> = []
    private(set) var requests = 0
    private(set) var now: Int64 = 0
    let limits: SinkLimits
    var schedule: SinkSchedule

    init(rows: [DeliveryRecord], culprits: Set<Int64>, limits: SinkLimits) {
        self.rows = rows
        self.culprits = culprits
        self.limits = limits
        schedule = Self.schedule(limits)
    }

    private static func schedule(_ limits: SinkLimits) -> SinkSchedule {
        var policy = RetryPolicy()
        policy.firstSeconds = 1
        policy.mostSeconds = 60
        return SinkSchedule(limits: limits, policy: policy)
    }

    /// The daemon is killed: what is in memory is gone.
    mutating func restart() { schedule = Self.schedule(limits) }

    /// One pass of a worker; waiting takes no time here.
    mutating func pass() {
        now += schedule.pace.waitNanoseconds(now: now)
        let calls = nextCalls()
        guard !calls.isEmpty else {
            now += schedule.kindWaitNanoseconds(now: now) ?? 1_000_000_000
            return
        }
        let results = calls.map { (call: $0, report: deliver($0.rows)) }
        let found = schedule.note(results, now: now, spread: 1)
        for culprit in found { settle(culprit.row, rejected: true) }
        for (call, report) in results where call.trial?.isProbe != true {
            for row in call.rows where report.outcomes[row.id] == .done { settle(row, rejected: false) }
        }
    }

    private mutating func nextCalls() -> [SinkSchedule.Call] {
        let shared = schedule.sharedKinds(now: now)
        let due = Array(rows.filter { shared.contains($0.kind) }.prefix(SinkSchedule.sharedRows(limits)))
        var isolated: [DeliveryKind: [DeliveryRecord]] = [:]
        for kind in schedule.isolatedKinds(now: now) {
            isolated[kind] = Array(rows.filter { $0.kind == kind }.prefix(BatchIsolation.rowsNeeded(limits)))
        }
        return schedule.calls(shared: due, isolated: isolated, now: now, spread: 1)
    }

    private mutating func deliver(_ sent: [DeliveryRecord]) -> SinkReport {
        requests += 1
        let facts = sent.flatMap { Array($0.firstID...$0.lastID) }
        switch answer {
        case .unavailable: return SinkReport(farEnd: .unavailable(reason: "503", retryAfterSeconds: nil))
        case .unauthorised: return SinkReport(farEnd: .unauthorised(reason: "401"))
        case .rejectsAll: return SinkReport(farEnd: .rejected(reason: "400"))
        case .byFact where facts.contains(where: culprits.contains): return SinkReport(farEnd: .rejected(reason: "400"))
        case .byFact:
            stored.formUnion(facts)
            return SinkReport(outcomes: Dictionary(sent.map { ($0.id, .done) }) { first, _ in first })
        }
    }

    private mutating func settle(_ row: DeliveryRecord, rejected: Bool) {
        guard let index = rows.firstIndex(where: { $0.id == row.id }) else { return }
        precondition(rows[index].firstID == row.firstID, "a row is settled from its front")
        if rejected { setAside.formUnion(row.firstID...row.lastID) }
        if row.lastID == rows[index].lastID {
            rows.remove(at: index)
        } else {
            rows[index] = rows[index].cut(to: (row.lastID + 1)...rows[index].lastID)
        }
    }
}
