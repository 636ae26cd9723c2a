import EdgeTesting
import Store

@testable import Uplink

/// An outbox and an endpoint made up for tests: rows are settled from their front, as the store does it. What the endpoint has against
/// each fact is made up first.
struct RejectingEndpoint {
    enum Answer: Equatable {
        case byFact
        /// Rejects whatever it is sent, as a server without the database does.
        case rejectsAll
        case unavailable
        case unauthorised
    }

    static let second: Int64 = 1_000_000_000

    var rows: [DeliveryRecord]
    /// For these it rejects the whole call that they are in.
    var culprits: Set<Int64>
    /// These it names, and takes the others.
    var named: Set<Int64> = []
    /// These are gone from the store: there is nothing to send.
    var gaps: Set<Int64> = []
    /// Of these kinds it rejects all.
    var rejectedKinds: Set<DeliveryKind> = []
    /// Whether it takes the rows of a call up to the first that it rejects.
    var takesRowsBefore = false
    /// Until then it rejects everything, by ``now``, or every other call by chance.
    var rejectsUntil: Int64 = 0
    var chance: SeededGenerator?
    var answer = Answer.byFact
    private(set) var stored: Set<Int64> = []
    private(set) var setAside: Set<Int64> = []
    private(set) var setAsideByName: Set<Int64> = []
    private(set) var requests = 0
    /// Calls that were made together at most.
    private(set) var mostCalls = 0
    private(set) var now: Int64 = 0
    private var newest: Int64 = 0
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
            now += schedule.kindWaitNanoseconds(now: now) ?? Self.second
            return
        }
        mostCalls = max(mostCalls, calls.count)
        // What an answer takes.
        now += Self.second / 50
        let results = calls.map { (call: $0, report: deliver($0.rows)) }
        let found = schedule.note(results, now: now, spread: 1)
        for culprit in found {
            settle(culprit.row)
            setAside.insert(culprit.row.firstID)
        }
        for (call, report) in results where call.trial?.isProbe != true {
            for row in call.rows {
                switch report.outcomes[row.id] {
                case .done, .void: settle(row)
                case .refused(let facts):
                    settle(row)
                    setAsideByName.formUnion(facts.keys)
                case .sent, .failed, nil: break
                }
            }
        }
    }

    private mutating func nextCalls() -> [SinkSchedule.Call] {
        let shared = schedule.sharedKinds(now: now)
        let due = Array(rows.filter { shared.contains($0.kind) }.prefix(SinkSchedule.sharedRows(limits)))
        var isolated: [DeliveryKind: [DeliveryRecord]] = [:]
        for kind in schedule.isolatedKinds(now: now) {
            let wanted = schedule.isolatedRows(kind, now: now)
            let all = rows.filter { $0.kind == kind }
            isolated[kind] = Array(all.prefix(wanted.first))
            if wanted.hasLast, all.count > wanted.first { isolated[kind]?.append(all[all.count - 1]) }
        }
        return schedule.calls(shared: due, isolated: isolated, now: now, spread: 1)
    }

    private mutating func deliver(_ sent: [DeliveryRecord]) -> SinkReport {
        var report = SinkReport()
        let full = sent.filter { row in (row.firstID...row.lastID).contains { !gaps.contains($0) } }
        for row in sent where !full.contains(row) { report.outcomes[row.id] = .void(reason: "gone") }
        guard !full.isEmpty else { return report }
        requests += 1
        if answer == .unavailable { return SinkReport(farEnd: .unavailable(reason: "503", retryAfterSeconds: nil)) }
        if answer == .unauthorised { return SinkReport(farEnd: .unauthorised(reason: "401")) }
        let isUnlucky = now < rejectsUntil && takesChance()
        let bad = isUnlucky ? 0 : full.firstIndex(where: rejects) ?? full.count
        let taken = takesRowsBefore ? full[..<bad] : bad < full.count ? [] : full[...]
        for row in taken { report.outcomes[row.id] = take(row) }
        if bad < full.count { report.farEnd = .rejected(reason: "400") }
        return report
    }

    private mutating func takesChance() -> Bool {
        guard var random = chance else { return true }
        defer { chance = random }
        return Bool.random(using: &random)
    }

    private func rejects(_ row: DeliveryRecord) -> Bool {
        answer == .rejectsAll || rejectedKinds.contains(row.kind)
            || (row.firstID...row.lastID).contains { culprits.contains($0) && !gaps.contains($0) }
    }

    private mutating func take(_ row: DeliveryRecord) -> SinkOutcome {
        var refused: [Int64: String] = [:]
        for fact in row.firstID...row.lastID where !gaps.contains(fact) {
            if named.contains(fact) {
                refused[fact] = "this one"
            } else if limits.isInOrder, fact < newest, !stored.contains(fact) {
                refused[fact] = "out of order"
            } else {
                stored.insert(fact)
                newest = max(newest, fact)
            }
        }
        return refused.isEmpty ? .done : .refused(refused)
    }

    private mutating func settle(_ row: DeliveryRecord) {
        guard let index = rows.firstIndex(where: { $0.id == row.id }) else { return }
        precondition(rows[index].firstID == row.firstID, "a row is settled from its front")
        if row.lastID == rows[index].lastID {
            rows.remove(at: index)
        } else {
            rows[index] = rows[index].cut(to: (row.lastID + 1)...rows[index].lastID)
        }
    }
}
