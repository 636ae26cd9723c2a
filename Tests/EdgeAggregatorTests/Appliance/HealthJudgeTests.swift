import EdgeTesting
import Foundation
import Testing

@testable import EdgeAggregator
@testable import Store

/// When the database is examined, and when the daemon ends itself. Times are given, none passes.
@Suite struct HealthJudgeTests {
    private let start = ContinuousClock.now

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    private func trouble(
        _ cause: StoreOutcomes.Cause, attempts: Int = 1, from first: Double = 0, to last: Double = 0,
        work: StoreOutcomes.Work = .transaction
    ) -> StoreOutcomes.Trouble {
        StoreOutcomes.Trouble(
            work: work, cause: cause, reason: "reason", first: at(first), last: at(last), attempts: attempts)
    }

    private func next(
        _ judge: inout HealthJudge, _ troubles: [StoreOutcomes.Trouble], _ seconds: Double,
        lastSuccess: Double? = nil
    ) -> HealthJudge.Action {
        var snapshot = StoreOutcomes.Snapshot()
        snapshot.troubles = troubles
        snapshot.lastSuccess = lastSuccess.map(at)
        return judge.next(snapshot, now: at(seconds))
    }

    @Test func endsOnlyForWhatTheNextStartRepairs() {
        var judge = HealthJudge()
        #expect(next(&judge, [], 0) == .nothing)
        for cause in [StoreOutcomes.Cause.noRoom, .locked] {
            #expect(next(&judge, [trouble(cause, attempts: 10_000, to: 100_000)], 100_000) == .nothing)
        }
        // A folder, and sound, say nothing of the database.
        for work in [StoreOutcomes.Work.folder("/x"), .sound] {
            #expect(next(&judge, [trouble(.disk, attempts: 1000, to: 1000, work: work)], 1000) == .nothing)
        }
    }

    @Test func damageThatPersistsEndsAndDamageOnceIsExamined() {
        var judge = HealthJudge()
        #expect(next(&judge, [trouble(.damage)], 0) == .examine)
        // One examination at a time.
        #expect(next(&judge, [trouble(.damage, attempts: 2, to: 6)], 6) == .nothing)
        #expect(next(&judge, [trouble(.damage, attempts: 3, to: 4)], 6) == .nothing)
        #expect(next(&judge, [trouble(.damage, attempts: 3, to: 6)], 6) == .end(.damage, reason: "reason"))
    }

    @Test func whatTheErrorDoesNotTellTwoExaminationsDo() {
        let outcomes = StoreOutcomes()
        var judge = HealthJudge()
        let many = [trouble(.unclear, attempts: 100, to: 100)]
        #expect(next(&judge, many, 100) == .examine)
        judge.take(HealthJudge.Found(began: at(100), result: .damaged("a table is missing")), of: outcomes)
        #expect(next(&judge, many, 101) == .nothing)
        #expect(next(&judge, [], 105) == .examine)
        judge.take(HealthJudge.Found(began: at(105), result: .damaged("a table is missing")), of: outcomes)
        #expect(next(&judge, many, 106) == .end(.damage, reason: "a table is missing"))
    }

    @Test func aWholeDatabaseForgivesButNotForEver() {
        let outcomes = StoreOutcomes()
        var judge = HealthJudge()
        for round in 0..<HealthJudge.mostExaminations {
            let now = Double(round) * 10
            #expect(next(&judge, [trouble(.damage, from: now, to: now)], now) == .examine)
            judge.take(HealthJudge.Found(began: at(now), result: .whole), of: outcomes)
        }
        // Not for errors that may be a statement's own.
        #expect(next(&judge, [trouble(.unclear, from: 50, to: 50)], 50) == .examine)
        judge.take(HealthJudge.Found(began: at(50), result: .unknown), of: outcomes)
        #expect(next(&judge, [trouble(.damage, from: 60, to: 60)], 60) == .end(.damage, reason: "reason"))
        #expect(next(&judge, [trouble(.damage, from: 900, to: 900)], 900) == .examine)
    }

    @Test func aDiskThatRefusesEverythingForMinutesEnds() {
        var judge = HealthJudge()
        let refused = [trouble(.disk, attempts: 150, to: 300)]
        #expect(next(&judge, refused, 299) == .nothing)
        #expect(next(&judge, refused, 300, lastSuccess: 200) == .nothing)
        #expect(next(&judge, refused, 300, lastSuccess: -1) == .end(.disk, reason: "reason"))
        #expect(next(&judge, refused, 300) == .end(.disk, reason: "reason"))
    }

    @Test func aMovedDatabaseEnds() {
        var judge = HealthJudge()
        #expect(next(&judge, [trouble(.moved, attempts: 2, work: .place)], 2) == .nothing)
        #expect(next(&judge, [trouble(.moved, attempts: 3, work: .place)], 3) == .end(.moved, reason: "reason"))
    }

    @Test func anEndForRepairIsNoBadStart() throws {
        let folder = try TestFolders.temporary("edge-starts")
        defer { TestFolders.remove(folder) }
        let start = StartGuard(baseFolder: folder, mostBadStarts: 2, bootID: "life")
        for _ in 0..<10 {
            #expect(start.begin() == .normal)
            start.excuse()
        }
        #expect(start.badStarts == 0)
        _ = start.begin()
        _ = start.begin()
        start.excuse()
        #expect(start.badStarts == 1)
    }
}
