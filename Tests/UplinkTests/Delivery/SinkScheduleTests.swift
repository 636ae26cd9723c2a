import EdgeTesting
import Store
import Testing

@testable import Uplink

/// What becomes of an outbox at an endpoint that rejects whole batches: the facts that are at fault are made up first, and the schedule must
/// find exactly these.
@Suite struct SinkScheduleTests {
    private let limits = SinkLimits(
        deliveries: 10, facts: 400, concurrency: 2, kinds: [.detections, .observations, .analysis])

    private func row(_ id: Int64, _ kind: DeliveryKind, _ facts: ClosedRange<Int64>) -> DeliveryRecord {
        DeliveryRecord(id: id, sink: "x", kind: kind, firstID: facts.lowerBound, lastID: facts.upperBound)
    }

    /// Rows of 1 to 100 facts each, of the kinds in turn; facts are numbered through.
    private func rows(_ count: Int, _ random: inout SeededGenerator) -> [DeliveryRecord] {
        var next: Int64 = 1
        return (1...count).map { id in
            let kind = limits.kinds[id % limits.kinds.count]
            let facts = kind == .analysis ? 1 : Int64.random(in: 1...100, using: &random)
            defer { next += facts }
            return row(Int64(id), kind, next...(next + facts - 1))
        }
    }

    /// Facts at fault alone and in a row, facts that the endpoint names, and facts that are gone; outages, wrong tokens, restarts, and short
    /// times in which the endpoint rejects everything.
    @Test func findsExactlyTheFactsAtFault() {
        var random = SeededGenerator()
        for round in 0..<40 {
            let rows = rows(Int.random(in: 2...40, using: &random), &random)
            let last = rows[rows.count - 1].lastID
            func some(_ most: Int) -> Set<Int64> {
                var facts: Set<Int64> = []
                for _ in 0..<Int.random(in: 0...most, using: &random) {
                    let first = Int64.random(in: 1...last, using: &random)
                    facts.formUnion(first...min(last, first + Int64.random(in: 0...3, using: &random)))
                }
                return facts
            }
            let gaps = some(20)
            let culprits = some(12).subtracting(gaps)
            var endpoint = RejectingEndpoint(rows: rows, culprits: culprits, limits: limits)
            endpoint.gaps = gaps
            endpoint.named = some(8).subtracting(culprits).subtracting(gaps)
            endpoint.takesRowsBefore = round % 2 == 1
            var added: Set<Int64> = []
            for pass in 0..<20_000 {
                let answers: [RejectingEndpoint.Answer] = [.byFact, .byFact, .byFact, .unavailable, .unauthorised]
                endpoint.answer = pass > 500 ? .byFact : answers.randomElement(using: &random) ?? .byFact
                if pass % 97 == 96, pass < 1000 { endpoint.restart() }
                // Half a second in thirty, and a suspect is not tried again within a second.
                if pass % 50 == 0, endpoint.now > endpoint.rejectsUntil + 30 * RejectingEndpoint.second {
                    endpoint.rejectsUntil = endpoint.now + RejectingEndpoint.second / 2
                }
                // A fact without others waits until its kind has a new one.
                if pass % 100 == 99 {
                    guard !endpoint.rows.isEmpty else { break }
                    for kind in limits.kinds {
                        let fact = last + 1 + Int64(added.count)
                        added.insert(fact)
                        endpoint.rows.append(row(fact + 1000, kind, fact...fact))
                    }
                }
                endpoint.pass()
            }
            #expect(endpoint.rows.isEmpty)
            #expect(endpoint.setAside == culprits && endpoint.setAsideByName == endpoint.named)
            let good = Set(1...last).subtracting(culprits).subtracting(gaps).subtracting(endpoint.named)
            #expect(endpoint.stored == good.union(added))
            #expect(endpoint.mostCalls <= limits.concurrency)
        }
    }

    struct Shape: Sendable {
        let limits: SinkLimits
        let factsInRow: Int64
    }

    /// As S3 has them, as one row of many facts, and as Prometheus has them, which takes no late facts.
    private static let shapes = [
        Shape(limits: SinkLimits(deliveries: 1, facts: 1, concurrency: 2, kinds: [.recording]), factsInRow: 1),
        Shape(limits: SinkLimits(deliveries: 10, facts: 400, concurrency: 4, kinds: [.detections]), factsInRow: 256),
        Shape(
            limits: SinkLimits(deliveries: 40, facts: 40, concurrency: 1, kinds: [.metrics], isInOrder: true),
            factsInRow: 1),
    ]

    /// A sink of one kind: nothing else shows that the endpoint is well.
    @Test(arguments: shapes, [9, 40, 500] as [Int64])
    func whatIsBehindManyFactsAtFaultArrives(shape: Shape, count: Int64) {
        let kind = shape.limits.kinds[0]
        let last = count + 30
        let rows: [DeliveryRecord] = stride(from: 1, through: last, by: Int64.Stride(shape.factsInRow)).map { first in
            row(first, kind, first...min(last, first + shape.factsInRow - 1))
        }
        var endpoint = RejectingEndpoint(rows: rows, culprits: Set(1...count), limits: shape.limits)
        var newest = last
        for pass in 0..<30_000 where !endpoint.rows.isEmpty {
            endpoint.pass()
            if pass % 100 == 99 {
                newest += 1
                endpoint.rows.append(row(newest, kind, newest...newest))
            }
        }
        #expect(endpoint.rows.isEmpty)
        #expect(endpoint.setAside == Set(1...count) && endpoint.setAsideByName.isEmpty)
        #expect(endpoint.stored == Set((count + 1)...newest))
    }

    /// An endpoint that takes no late facts, and rejects everything for a while: no fact is skipped.
    @Test(arguments: [1, 10, 600] as [Int64])
    func skipsNothingWhereOrderMatters(seconds: Int64) {
        let shape = Self.shapes[2]
        var endpoint = RejectingEndpoint(
            rows: (1...50).map { row($0, .metrics, $0...$0) }, culprits: [], limits: shape.limits)
        endpoint.rejectsUntil = seconds * RejectingEndpoint.second
        for _ in 0..<2000 where !endpoint.rows.isEmpty { endpoint.pass() }
        #expect(endpoint.stored == Set(1...50) && endpoint.setAside.isEmpty && endpoint.setAsideByName.isEmpty)
    }

    /// The server's answer to a probe is about the fact alone, or nothing is sent at all: each is asked for a few times, not for ever.
    @Test func goesOnWhereTheFactsBehindASuspectAreNamedOrGone() {
        for takesRowsBefore in [false, true] {
            var endpoint = RejectingEndpoint(
                rows: [row(1, .detections, 1...40)], culprits: [1, 20], limits: limits)
            endpoint.named = Set(2...9).union(21...30)
            endpoint.gaps = Set(10...19)
            endpoint.takesRowsBefore = takesRowsBefore
            for _ in 0..<1000 where !endpoint.rows.isEmpty { endpoint.pass() }
            #expect(endpoint.rows.isEmpty && endpoint.setAside == [1, 20])
            #expect(endpoint.setAsideByName == endpoint.named && endpoint.stored == Set(31...40))
            #expect(endpoint.requests < 200)
        }
        // Nothing that is sent is accepted: the endpoint is left alone.
        var endpoint = RejectingEndpoint(rows: [row(1, .detections, 1...40)], culprits: [1], limits: limits)
        endpoint.gaps = Set(2...40)
        while endpoint.now < 600 * RejectingEndpoint.second { endpoint.pass() }
        #expect(endpoint.setAside.isEmpty && endpoint.requests < 60)
    }

    /// A bucket whose key is disabled takes no object, and removes them as before: the objects are at no fault.
    @Test func aKindThatIsRejectedAsAWholeWaits() {
        let limits = SinkLimits(deliveries: 1, facts: 1, concurrency: 2, kinds: [.field, .fieldRemoval])
        for isTogether in [true, false] {
            var endpoint = RejectingEndpoint(rows: [], culprits: [], limits: limits)
            endpoint.rejectedKinds = [.field]
            var number: Int64 = 0
            func field() -> DeliveryRecord {
                number += 1
                return row(number, .field, number...number)
            }
            if isTogether { for _ in 0..<30 { endpoint.rows.append(field()) } }
            var removals: Int64 = 100_000
            var due: Int64 = 0
            while endpoint.now < 4 * 3600 * RejectingEndpoint.second {
                if endpoint.now >= due {
                    due = endpoint.now + 10 * RejectingEndpoint.second
                    removals += 1
                    endpoint.rows.append(row(removals, .fieldRemoval, removals...removals))
                    if !isTogether, removals % 30 == 0 { endpoint.rows.append(field()) }
                }
                endpoint.pass()
            }
            // Where each comes alone, the first ones cannot be told from facts at fault.
            #expect(endpoint.setAside.count <= (isTogether ? 0 : 3))
            #expect(endpoint.schedule.summary.state == .waiting)
            #expect(endpoint.schedule.kindReports.map(\.kind) == [.field])
            #expect(endpoint.requests < Int(removals) - 100_000 + 4 * 60 * 20)
            #expect(endpoint.mostCalls <= 2)
            // The key is there again.
            endpoint.rejectedKinds = []
            let before = endpoint.setAside
            for _ in 0..<3000 where !endpoint.rows.isEmpty { endpoint.pass() }
            #expect(endpoint.rows.isEmpty && endpoint.setAside == before)
        }
    }

    /// One of two servers behind an address is ill for moments, in which every other call is rejected by chance. Confirmations are further
    /// apart than that.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func shortTimesOfRejectionMakeNothingBeSetAside(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let rows = rows(60, &random)
        let last = rows[rows.count - 1].lastID
        let culprits = Set((0..<10).map { _ in Int64.random(in: 1..<last, using: &random) })
        var endpoint = RejectingEndpoint(rows: rows, culprits: culprits, limits: limits)
        endpoint.chance = random
        for _ in 0..<20_000 where !endpoint.rows.isEmpty {
            if endpoint.now > endpoint.rejectsUntil + 10 * RejectingEndpoint.second {
                endpoint.rejectsUntil = endpoint.now + RejectingEndpoint.second * 9 / 10
            }
            endpoint.pass()
        }
        #expect(endpoint.stored == Set(1...last).subtracting(culprits))
        #expect(endpoint.setAside.isSubset(of: culprits))
    }

    /// Kinds that are halved count among the calls that a sink makes at a time, and all kinds have their turn.
    @Test(arguments: [1, 2, 4])
    func makesNoMoreCallsThanTheSinkAllows(concurrency: Int) {
        let one = SinkLimits(
            deliveries: 1, facts: 1, concurrency: concurrency, kinds: [.detections, .observations, .analysis])
        var rows = (1...30).map { row($0, .detections, $0...$0) }
        rows += (31...60).map { row($0, .observations, $0...$0) }
        rows += (61...90).map { row($0, .analysis, $0...$0) }
        var endpoint = RejectingEndpoint(rows: rows, culprits: [1, 31], limits: one)
        for _ in 0..<1000 where !endpoint.rows.isEmpty { endpoint.pass() }
        #expect(endpoint.rows.isEmpty && endpoint.setAside == [1, 31])
        #expect(endpoint.mostCalls == concurrency)
    }

    /// The waits are those of the retry policy, see `SinkPaceTests`.
    @Test func confirmationsAreFurtherAndFurtherApart() {
        var policy = RetryPolicy()
        policy.firstSeconds = 2
        let one = SinkLimits(deliveries: 1, facts: 1, concurrency: 1, kinds: [.analysis])
        let suspect = row(1, .analysis, 1...1)
        var isolation = BatchIsolation(
            rejectedFacts: 1, isMixed: false, acceptedSince: .ownKind, limits: one, policy: policy)
        var times: [Int64] = []
        for second in 0..<Int64(60) {
            let now = second * RejectingEndpoint.second
            guard let trial = isolation.nextTrial([suspect], now: now, trustsOthers: false) else { continue }
            times.append(second)
            let culprits = isolation.rejected(trial, reason: "400", now: now, spread: 1)
            guard culprits.isEmpty else { break }
        }
        #expect(times == [0, 2, 6, 14])
    }

    /// What is accepted in the same pass may have been accepted before: it does not show that the endpoint was well when it rejected the other.
    @Test func whatIsAcceptedInTheSamePassDoesNotCount() {
        let one = SinkLimits(deliveries: 1, facts: 1, concurrency: 2, kinds: [.detections, .analysis])
        var schedule = SinkSchedule(limits: one, policy: RetryPolicy())
        let suspect = row(1, .analysis, 1...1)
        let good = row(2, .detections, 2...2)
        let hour: Int64 = 3600 * 1_000_000_000
        for pass in 1...3 {
            let calls = schedule.calls(shared: [suspect], isolated: [:], now: Int64(pass) * hour, spread: 1)
            let results = calls.map { (call: $0, report: SinkReport(farEnd: .rejected(reason: "400"))) }
            _ = schedule.note(results, now: Int64(pass) * hour, spread: 1)
        }
        let first = schedule.calls(shared: [], isolated: [.analysis: [suspect]], now: 4 * hour, spread: 1)
        #expect(first.map(\.rows) == [[suspect]])
        let rejected = SinkReport(farEnd: .rejected(reason: "400"))
        _ = schedule.note([(first[0], rejected)], now: 4 * hour, spread: 1)
        let pause = schedule.calls(shared: [], isolated: [.analysis: [suspect]], now: 5 * hour, spread: 1)
        #expect(pause.isEmpty)
        // A new round, in which another kind is accepted.
        let calls = schedule.calls(shared: [good], isolated: [.analysis: [suspect]], now: 6 * hour, spread: 1)
        #expect(calls.map(\.rows) == [[suspect], [good]])
        let culprits = schedule.note(
            [(calls[0], rejected), (calls[1], SinkReport(outcomes: [2: .done]))], now: 6 * hour, spread: 1)
        // Nothing was accepted after the rejection: the suspect is not tried again in this round.
        let next = schedule.calls(shared: [], isolated: [.analysis: [suspect]], now: 7 * hour, spread: 1)
        #expect(culprits.isEmpty && next.isEmpty)
    }

    /// A missing database, a login page: whatever the facts are, nothing is at fault but the endpoint.
    @Test(arguments: [RejectingEndpoint.Answer.rejectsAll, .unavailable, .unauthorised])
    func setsNothingAsideWhereTheEndpointTakesNothing(answer: RejectingEndpoint.Answer) {
        var random = SeededGenerator()
        let rows = rows(20, &random)
        var endpoint = RejectingEndpoint(rows: rows, culprits: [3], limits: limits)
        endpoint.answer = answer
        for _ in 0..<2000 { endpoint.pass() }
        #expect(endpoint.setAside.isEmpty && endpoint.rows == rows)
        #expect(endpoint.schedule.summary.state == (answer == .unauthorised ? .unauthorised : .waiting))
        // It is repaired: all goes but the one.
        endpoint.answer = .byFact
        for _ in 0..<2000 where !endpoint.rows.isEmpty { endpoint.pass() }
        #expect(endpoint.setAside == [3] && endpoint.rows.isEmpty)
        endpoint.pass()
        #expect(endpoint.schedule.summary.state == .flowing && endpoint.schedule.kindReports.isEmpty)
    }

    /// An endpoint that rejects everything is left alone most of the time: waits grow to `delivery_retry_max_sec`.
    @Test func asksAnEndpointThatRejectsAllSeldom() {
        var endpoint = RejectingEndpoint(
            rows: [row(1, .detections, 1...100)], culprits: [], limits: limits)
        endpoint.answer = .rejectsAll
        while endpoint.now < 3600 * 1_000_000_000 { endpoint.pass() }
        // An hour in waits of at most a minute, each followed by at most eight facts alone; and the first halving.
        #expect(endpoint.requests < 8 * 70 + 20)
    }

    @Test func otherKindsGoOnWhileOneIsHalved() {
        var endpoint = RejectingEndpoint(
            rows: [row(1, .analysis, 1...1), row(2, .analysis, 2...2), row(3, .observations, 3...50)], culprits: [1],
            limits: limits)
        for _ in 0..<200 where !endpoint.rows.isEmpty { endpoint.pass() }
        #expect(endpoint.setAside == [1] && endpoint.stored == Set(2...50))
    }

    /// The endpoint takes nothing else, so nobody knows who is at fault. As soon as it does, the fact is set aside.
    @Test func aLoneFactWaitsUntilSomethingElseIsAccepted() {
        var endpoint = RejectingEndpoint(rows: [row(1, .analysis, 1...1)], culprits: [1], limits: limits)
        for _ in 0..<100 { endpoint.pass() }
        #expect(endpoint.setAside.isEmpty && endpoint.schedule.summary.reason == "analysis: 400")
        endpoint.rows.append(row(2, .detections, 5...9))
        for _ in 0..<20 where !endpoint.rows.isEmpty { endpoint.pass() }
        #expect(endpoint.setAside == [1] && endpoint.stored == Set(5...9))
    }

    /// The others may have gone before the halving begins; then no later fact can show that the endpoint is well.
    @Test func whatWasAcceptedBetweenRejectionsCounts() {
        let rows = (1...4).map { row($0, .analysis, $0...$0) }
        let one = SinkLimits(deliveries: 1, facts: 1, concurrency: 2, kinds: [.analysis])
        var endpoint = RejectingEndpoint(rows: rows, culprits: [1], limits: one)
        for _ in 0..<50 where !endpoint.rows.isEmpty { endpoint.pass() }
        #expect(endpoint.setAside == [1] && endpoint.stored == [2, 3, 4])
    }

    /// The database goes at any moment of the search.
    @Test func anEndpointThatRejectsEverythingFromNowOnMakesNothingBeSetAside() {
        var random = SeededGenerator()
        for _ in 0..<30 {
            var endpoint = RejectingEndpoint(rows: rows(30, &random), culprits: [5], limits: limits)
            for _ in 0..<Int.random(in: 1...40, using: &random) { endpoint.pass() }
            let before = endpoint.setAside
            endpoint.answer = .rejectsAll
            for _ in 0..<1000 { endpoint.pass() }
            #expect(before.isSubset(of: [5]) && endpoint.setAside.isSubset(of: [5]))
        }
    }

    /// Halving costs a few requests for each fact at fault, not one for each fact.
    @Test func costsFewRequests() {
        let rows: [DeliveryRecord] = (0..<40).map { (number: Int64) -> DeliveryRecord in
            let first = number * 100 + 1
            return row(number, .detections, first...(first + 99))
        }
        var endpoint = RejectingEndpoint(rows: rows, culprits: [1234], limits: limits)
        for _ in 0..<1000 where !endpoint.rows.isEmpty { endpoint.pass() }
        #expect(endpoint.setAside == [1234])
        // 4,000 facts in batches of 400 are 10 requests. Three rejections, nine halvings, nine doublings, four for the verdict.
        let most = 10 + 3 + 2 * 9 + 4
        #expect(endpoint.requests < most + 20)
    }

    /// One bucket, prefix or table that cannot be used stops its own kind alone, and each kind has its state and reason.
    @Test func aBucketThatCannotBeUsedStopsItsOwnKind() {
        var schedule = SinkSchedule(
            limits: SinkLimits(deliveries: 1, facts: 1, concurrency: 2, kinds: [.field, .recording]),
            policy: RetryPolicy())
        let field = row(1, .field, 1...1)
        let recording = row(2, .recording, 1...1)
        let calls = schedule.calls(shared: [field, recording], isolated: [:], now: 1, spread: 1)
        #expect(calls.map(\.rows) == [[field], [recording]])
        let culprits = schedule.note(
            [
                (calls[0], SinkReport(farEnd: .unauthorised(reason: "AccessDenied"), scope: .kinds)),
                (calls[1], SinkReport(outcomes: [2: .done])),
            ], now: 1, spread: 1)
        #expect(culprits.isEmpty && schedule.pace.waitNanoseconds(now: 1) == 0)
        #expect(schedule.sharedKinds(now: 2) == [.recording])
        #expect(schedule.kindReports.map(\.kind) == [.field] && schedule.kindReports[0].state == .unauthorised)
        #expect(schedule.summary.reason == "field: AccessDenied" && schedule.summary.state == .unauthorised)
        // It is asked again after a while, and goes on when the bucket can be used.
        #expect(schedule.sharedKinds(now: 301_000_000_000) == [.field, .recording])
        let again = schedule.calls(shared: [field], isolated: [:], now: 301_000_000_000, spread: 1)
        _ = schedule.note([(again[0], SinkReport(outcomes: [1: .done]))], now: 301_000_000_000, spread: 1)
        #expect(schedule.kindReports.isEmpty && schedule.summary.state == .flowing)
    }
}
