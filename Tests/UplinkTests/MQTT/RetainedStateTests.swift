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
        let former = RetainedState.Former(topic: "former", isOwn: false)
        let isAsked = state.ask(former)
        let isAskedAgain = state.ask(former)
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
        let isUsed = state.ask(.init(topic: "used", isOwn: true))
        #expect(!isUsed)
    }

    @Test func formerTopicsOfDevicesThatAreGoneAreForgotten() {
        let state = RetainedState()
        let topics = ["a", "b"].map { RetainedState.Former(topic: $0, isOwn: true) }
        for topic in topics { _ = state.ask(topic) }
        let known = state.notAsked(topics)
        let left = state.notAsked([topics[1]])
        let again = state.notAsked(topics)
        #expect(known.isEmpty && left.isEmpty && again.map(\.topic) == ["a"])
    }

    private func bytes(_ texts: String...) -> Set<[UInt8]> { Set(texts.map { Array($0.utf8) }) }

    /// Device `gone` has left the store, device `quiet` only the list.
    @Test func topicsOfDevicesThatAreGoneAreRemovedAndPayloadsOfOthersDropped() {
        let state = RetainedState()
        state.note("here/state", [1], device: "here")
        state.note("quiet/state", [1], device: "quiet")
        for topic in ["gone/state", "gone/config"] { state.note(topic, [1], device: "gone") }
        state.note("last_detection", [1])
        let hasOthers = state.keepPayloads(ofDevices: bytes("here"))
        #expect(hasOthers && !state.isNew("here/state", [1]) && !state.isNew("last_detection", [1]))
        // It is sent again when it comes back.
        #expect(state.isNew("quiet/state", [1]))
        // Also after the connection was lost in between.
        state.forget()
        let existing = bytes("here", "quiet")
        let gone = state.topics(ofNoneOf: existing, atMost: 10)
        #expect(Set(gone) == ["gone/state", "gone/config"])
        let some = state.topics(ofNoneOf: existing, atMost: 1)
        #expect(some.count == 1)
        for topic in gone { state.remove(topic) }
        let rest = state.topics(ofNoneOf: existing, atMost: 10)
        let hasMore = state.keepPayloads(ofDevices: existing)
        #expect(rest.isEmpty && !hasMore)
    }
}
