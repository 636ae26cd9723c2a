import Store
import Testing

@testable import Uplink

@Suite struct SinkPaceTests {
    private let policy: RetryPolicy = {
        var policy = RetryPolicy()
        policy.firstSeconds = 2
        policy.mostSeconds = 60
        return policy
    }()

    @Test func doublesUpToTheCapAndSpreads() {
        #expect((1...8).map { policy.delaySeconds(failures: $0, spread: 1) } == [2, 4, 8, 16, 32, 60, 60, 60])
        #expect(policy.delaySeconds(failures: 3, spread: 0) == 4)
        #expect(policy.delaySeconds(failures: 1000, spread: 1) == 60)
    }

    @Test func heedsWhatTheFarEndAsksForAndAlarmsWhenItIsNotLetIn() {
        var pace = SinkPace(policy: policy)
        pace.note(.unavailable(reason: "busy", retryAfterSeconds: 90), now: 1000, spread: 1)
        #expect(pace.state == .waiting && pace.waitNanoseconds(now: 1000) == 90_000_000_000)
        pace.note(.unauthorised(reason: "401"), now: 1000, spread: 1)
        #expect(pace.state == .unauthorised && pace.waitNanoseconds(now: 1000) == 300_000_000_000)
        pace.note(.well, now: 1000, spread: 1)
        #expect(pace.state == .flowing && pace.failures == 0 && pace.waitNanoseconds(now: 1000) == 0)
    }

    @Test func cutsWhatIsDueIntoCallsWithinTheLimits() {
        func row(_ number: Int64) -> DeliveryRecord {
            let first: Int64 = number * 10
            return DeliveryRecord(id: number, sink: "x", kind: .detections, firstID: first, lastID: first + 2)
        }
        let rows: [DeliveryRecord] = (1...10).map { row(Int64($0)) }
        let limits = SinkLimits(deliveries: 4, facts: 7, concurrency: 3, kinds: [.detections])
        // Three facts a row: two rows a call, three calls.
        let calls: [[Int64]] = SinkSchedule.batches(rows, limits: limits).map { call in call.map { $0.id } }
        let wanted: [[Int64]] = [[1, 2], [3, 4], [5, 6]]
        #expect(calls == wanted)
    }
}
