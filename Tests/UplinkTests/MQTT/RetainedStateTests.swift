import Testing

@testable import Uplink

/// What is sent again, and what of earlier releases is removed.
@Suite struct RetainedStateTests {
    @Test func nothingIsSentAgainUntilItChangesOrIsForgotten() {
        let state = RetainedState()
        #expect(state.isNew("t", [1]))
        state.note("t", [1])
        #expect(!state.isNew("t", [1]) && state.isNew("t", [2]))
        // `é` in two forms: one text for Swift, two topics for a broker.
        state.note("\u{E9}", [1])
        #expect(state.isNew("e\u{301}", [1]))
        state.forget()
        #expect(state.isNew("t", [1]))
    }

    @Test func theNewestDetectionStays() {
        let state = RetainedState()
        let isFirst = state.noteDetection(.init(id: 5, payload: [5]))
        let isOlder = state.noteDetection(.init(id: 4, payload: [4]))
        state.forget()
        #expect(isFirst && !isOlder && state.detection?.payload == [5])
    }

    @Test func onlyOwnMessagesUnderFormerTopicsAreRemoved() {
        let state = RetainedState()
        let isAsked = state.askFormer("former", isOwn: false)
        let isAskedAgain = state.askFormer("former", isOwn: false)
        #expect(isAsked && !isAskedAgain)
        let isForeign = state.foundFormer("former", isOwn: { false })
        let isUnknown = state.foundFormer("other", isOwn: { true })
        let isOwn = state.foundFormer("former", isOwn: { true })
        #expect(!isForeign && !isUnknown && isOwn)
        let found = state.takeFound()
        let rest = state.takeFound()
        #expect(found == ["former"] && rest.isEmpty)
        // A topic that a device has now is not a former one.
        state.note("used", [1])
        let isUsed = state.askFormer("used", isOwn: true)
        #expect(!isUsed)
    }
}
