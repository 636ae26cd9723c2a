import Testing

@testable import EdgeAggregator

@Suite struct PostponementsTests {
    @Test func triesForThreeQuartersOfAnHourAndThenNoMore() {
        var postponed = Postponements()
        let start = ContinuousClock.now
        var now = start
        var pauses: [Int] = []
        while postponed.postpone("r", now: now) {
            var seconds = 0
            while postponed.waiting(at: now + .seconds(seconds)) == ["r"] { seconds += 1 }
            pauses.append(seconds)
            now += .seconds(seconds)
        }
        #expect(pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300, 300, 300])
        #expect(postponed.isLastAttempt("r"))
        // It stays so.
        let isTriedOnceMore = postponed.postpone("r", now: now)
        #expect(!isTriedOnceMore && postponed.waiting(at: now).isEmpty)
        postponed.forget("r")
        let isTriedAgain = postponed.postpone("r", now: now)
        #expect(isTriedAgain && !postponed.isLastAttempt("r"))
    }

    @Test func keepsABoundedNumber() {
        var postponed = Postponements()
        let now = ContinuousClock.now
        for number in 0..<3000 {
            let isTriedAgain = postponed.postpone("r\(number)", now: now + .milliseconds(number))
            #expect(isTriedAgain)
        }
        #expect(postponed.waiting(at: now).count == Postponements.maximumRecordings)
    }
}
