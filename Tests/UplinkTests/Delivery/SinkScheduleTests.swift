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

    @Test func findsExactlyTheFactsAtFault() {
        var random = SeededGenerator()
        for _ in 0..<40 {
            let rows = rows(Int.random(in: 2...40, using: &random), &random)
            let last = rows[rows.count - 1].lastID
            // The last fact is good, so that there is something that the endpoint accepts.
            let count = Int.random(in: 0...12, using: &random)
            let numbers = (0..<count).map { _ in Int64.random(in: 1...last, using: &random) }
            let culprits = Set(numbers).subtracting([last])
            var endpoint = RejectingEndpoint(rows: rows, culprits: culprits, limits: limits)
            for pass in 0..<5000 where !endpoint.rows.isEmpty {
                // An outage, a wrong token and a restart say nothing of the facts.
                let answers: [RejectingEndpoint.Answer] = [.byFact, .byFact, .byFact, .unavailable, .unauthorised]
                endpoint.answer = answers.randomElement(using: &random) ?? .byFact
                if pass % 97 == 96 { endpoint.restart() }
                endpoint.pass()
            }
            #expect(endpoint.rows.allSatisfy { endpoint.culprits.isSuperset(of: $0.firstID...$0.lastID) })
            #expect(endpoint.setAside.isSubset(of: endpoint.culprits))
            #expect(endpoint.stored == Set(1...last).subtracting(endpoint.culprits))
            guard endpoint.rows.isEmpty else { continue }
            #expect(endpoint.setAside == endpoint.culprits)
        }
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
