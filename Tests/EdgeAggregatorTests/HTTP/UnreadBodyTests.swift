import Testing

@testable import EdgeAggregator

/// When the rest of a body is discarded, and when the connection is closed. Order of events: RFC 9112 §9.3, §9.6; RFC 9110 §10.1.1.
@Suite struct UnreadBodyTests {
    private func receiving(maximum: Int = 100, announced: Int? = nil, waits: Bool = false) -> UnreadBody {
        var body = UnreadBody(maximumBytes: maximum)
        body.requestBegan(announcedBytes: announced, expectsContinue: waits)
        return body
    }

    @Test func aRequestThatWasReadIsAnsweredAndNothingElse() {
        var body = receiving(announced: 5)
        #expect(body.received(5) == .deliver)
        let closesAtEnd = body.requestEnded()
        #expect(!closesAtEnd && !body.closesAfterResponse)
        #expect(body.responseEnded() == .nothing)
        #expect(body.closing() == .now)
    }

    @Test func theRestIsDiscardedAndTheConnectionUsedAgain() {
        var body = receiving(announced: 90)
        #expect(body.received(10) == .deliver)
        #expect(!body.closesAfterResponse)
        #expect(body.responseEnded() == .discard)
        #expect(body.received(80) == .discard)
        let closesAtEnd = body.requestEnded()
        #expect(!closesAtEnd && !body.isDiscarding)
        body.requestBegan(announcedBytes: 3, expectsContinue: false)
        #expect(body.received(3) == .deliver)
    }

    @Test func whatWantsToCloseWaitsForTheRest() {
        var body = receiving(announced: 90)
        #expect(body.responseEnded() == .discard)
        #expect(body.closing() == .afterRest)
        #expect(body.received(90) == .discard)
        let closesAtEnd = body.requestEnded()
        #expect(closesAtEnd)
    }

    @Test func theRestIsBounded() {
        var body = receiving(maximum: 100)
        #expect(body.received(5000) == .deliver)
        #expect(body.responseEnded() == .discard)
        #expect(body.received(60) == .discard)
        #expect(body.received(40) == .discard)
        #expect(body.received(1) == .close)
    }

    @Test func aRestThatIsKnownToBeTooLongEndsTheConnectionInTheAnswer() {
        var body = receiving(maximum: 100, announced: 1000)
        #expect(body.received(899) == .deliver)
        #expect(body.closesAfterResponse)
        #expect(body.responseEnded() == .discardThenClose)
        #expect(body.received(100) == .discard)
        #expect(body.received(1) == .close)
    }

    @Test func whoWaitsForLeaveToSendIsNotWaitedFor() {
        var waiting = receiving(announced: 50, waits: true)
        #expect(waiting.closesAfterResponse)
        #expect(waiting.responseEnded() == .close)
        // One that did not wait as long as that sends anyway.
        var sending = receiving(announced: 50, waits: true)
        #expect(sending.received(10) == .deliver)
        #expect(!sending.closesAfterResponse)
        #expect(sending.responseEnded() == .discard)
    }

    /// The next request is already being received when the one before is answered: nothing of it is a rest.
    @Test func requestsInARowAreNotMistakenForARest() {
        var body = receiving(announced: 0)
        _ = body.requestEnded()
        body.requestBegan(announcedBytes: 1_000_000, expectsContinue: true)
        #expect(!body.closesAfterResponse)
        #expect(body.responseEnded() == .nothing)
        #expect(body.received(10) == .deliver)
        #expect(body.closing() == .now)
    }

    @Test func shutdownWaitsForNoRest() {
        var discarding = receiving()
        #expect(discarding.responseEnded() == .discard)
        let closes = discarding.shutDown()
        #expect(closes)
        #expect(discarding.closing() == .now)
        var later = receiving()
        let closesYet = later.shutDown()
        #expect(!closesYet)
        #expect(later.responseEnded() == .close)
    }

    @Test func aStreamThatIsClosedWithoutAnAnswerIsClosedAtOnce() {
        var body = receiving()
        #expect(body.received(100) == .deliver)
        #expect(body.closing() == .now)
        var none = receiving(maximum: 0)
        #expect(none.responseEnded() == .close)
    }
}
