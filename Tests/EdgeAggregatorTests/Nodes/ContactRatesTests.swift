import Testing

@testable import EdgeAggregator

/// How many contacts of nodes get a line in the log.
struct ContactRatesTests {
    private let start = ContinuousClock.now

    @Test func aNodeHasSoManyLinesAMinuteAndTheNextTellsWhatIsMissing() {
        var rates = ContactRates(.init(perNode: 3, rejected: 10), at: start)
        let first = (0..<8).map { _ in rates.take("co2/a", isRejected: false, at: start) }
        #expect(first == [0, 0, 0, nil, nil, nil, nil, nil])
        // Another node's lines are its own.
        #expect(rates.take("co2/b", isRejected: false, at: start) == 0)
        // A third of a minute is a line.
        #expect(rates.take("co2/a", isRejected: false, at: start + .seconds(20)) == 5)
        #expect(rates.take("co2/a", isRejected: false, at: start + .seconds(20)) == nil)
        #expect(rates.take("co2/a", isRejected: false, at: start + .seconds(80)) == 1)
    }

    @Test func rejectedContactsTakeNoLinesFromANodeOfTheSameName() {
        var rates = ContactRates(.init(perNode: 2, rejected: 100), at: start)
        for _ in 0..<5 { _ = rates.take("co2/a", isRejected: true, at: start) }
        #expect(rates.take("co2/a", isRejected: false, at: start) == 0)
    }

    @Test func madeUpNamesShareALimitAndTakeNoRoom() {
        var rates = ContactRates(.init(perNode: 30, rejected: 10), at: start)
        let count = ContactRates.maximumNodes * 3
        let lines = (0..<count).filter { rates.take("co2/\($0)", isRejected: true, at: start) != nil }
        #expect(lines.count == 10)
        // What was forgotten and what is remembered are all that was left out.
        let forgotten = rates.takeForgotten()
        let quiet = rates.quiet(since: .seconds(60), at: start + .seconds(60))
        #expect(quiet.count <= ContactRates.maximumNodes)
        let remembered = quiet.map(\.leftOut).reduce(0, +)
        #expect(forgotten + remembered == count - 10)
        let again = rates.takeForgotten()
        #expect(again == 0)
        #expect(rates.take("co2/real", isRejected: false, at: start) == 0)
    }

    @Test func whatWasLeftOutIsToldOnceAfterSilence() {
        var rates = ContactRates(.init(perNode: 1, rejected: 10), at: start)
        for _ in 0..<4 { _ = rates.take("isems/n 1", isRejected: false, at: start) }
        #expect(rates.quiet(since: .seconds(60), at: start + .seconds(59)).isEmpty)
        let quiet = rates.quiet(since: .seconds(60), at: start + .seconds(60))
        #expect(quiet.map(\.leftOut) == [3])
        #expect(quiet.first?.key == ContactRates.Key(node: "isems/n 1", isRejected: false))
        #expect(rates.quiet(since: .seconds(60), at: start + .seconds(120)).isEmpty)
        #expect(rates.take("isems/n 1", isRejected: false, at: start + .seconds(120)) == 0)
    }
}
