import Forecasts
import Testing

@testable import EdgeAggregator

/// Which errors of a field stop a collection.
@Suite struct StepTallyTests {
    private struct DiskIsFull: Error {}

    @Test func oneFieldDoesNotStopTheOthers() {
        var tally = StepTally()
        for number in 0..<40 {
            if number % 4 == 3 {
                tally.note(CollectionFailure.failed("the index is of another run"))
            } else {
                tally.noteCollected()
            }
        }
        #expect(tally.stopReason == nil && tally.collected == 30 && tally.failed == 10)
        #expect(!tally.isWhole && tally.isDoneApartFromGaps)
        #expect(tally.report == "10 fields are not there: the index is of another run")
    }

    @Test func whatIsGoneFromTheServersStopsNothing() {
        var tally = StepTally()
        for _ in 0..<100 { tally.note(CollectionFailure.missing("the server answers 404")) }
        #expect(tally.stopReason == nil && tally.isDoneApartFromGaps && !tally.isWhole)
    }

    /// A server that cannot be reached has the field for all that is known: the collection is tried again soon.
    @Test func aNetworkFailureIsNoGap() {
        var tally = StepTally()
        for _ in 0..<10 { tally.noteCollected() }
        tally.note(CollectionFailure.unreachable("the server answers 503, 5 times"))
        #expect(tally.stopReason == nil && tally.failed == 1 && !tally.isDoneApartFromGaps)
        #expect(tally.report == "1 fields are not there: the server answers 503, 5 times")
    }

    @Test func failuresInARowStop() {
        var tally = StepTally()
        for _ in 0..<4 { tally.note(CollectionFailure.failed("first")) }
        #expect(tally.stopReason == nil && tally.isDoneApartFromGaps)
        tally.note(CollectionFailure.failed("last"))
        #expect(tally.stopReason == "first" && tally.report == "first" && !tally.isDoneApartFromGaps)
    }

    @Test(arguments: [
        CollectionFailure.overBudget("forecasts_daily_mb"), .cancelled, .unauthorised("the account"),
    ])
    func whatConcernsAllStopsAtOnce(_ failure: CollectionFailure) {
        var tally = StepTally()
        tally.noteCollected()
        tally.note(failure)
        #expect(tally.stopReason == failure.description && !tally.isDoneApartFromGaps)
    }

    @Test func errorsOfTheDiskStopAtOnce() {
        var tally = StepTally()
        tally.note(DiskIsFull())
        #expect(tally.stopReason != nil)
    }

    @Test func substitutesAreReported() {
        var tally = StepTally()
        tally.noteCollected(substitution: "the index is of another run")
        tally.noteCollected()
        #expect(tally.isWhole && tally.collected == 2)
        #expect(tally.report == "1 fields are of the run before: the index is of another run")
    }
}
