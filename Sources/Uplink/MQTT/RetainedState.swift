import Synchronization

/// What the broker keeps of this box: what it has already, so that it is sent again only when it changes or is asked for; the
/// newest detection; and topics of earlier releases that may hold something yet.
final class RetainedState: Sendable {
    struct Detection: Sendable {
        let id: Int64
        let payload: [UInt8]
    }

    private struct State {
        /// By the bytes of the topic: texts that Unicode calls equivalent are different topics.
        var payloads: [[UInt8]: [UInt8]] = [:]
        var isForgotten = true
        var detection: Detection?
        /// Topics of earlier releases, and whether a message there is known to be ours.
        var former: [[UInt8]: Bool] = [:]
        /// Those among them that are subscribed.
        var asked: [String] = []
        /// Those among them that hold a message of ours.
        var found: [String] = []
    }

    private let state = Mutex(State())

    /// The broker may have nothing, or somebody wants to hear everything again.
    func forget() {
        state.withLock { state in
            let detection = state.detection
            state = State()
            state.detection = detection
        }
    }

    /// Whether ``forget()`` was called since this was asked last.
    func takeForgotten() -> Bool {
        state.withLock { state in
            defer { state.isForgotten = false }
            return state.isForgotten
        }
    }

    func isNew(_ topic: String, _ payload: [UInt8]) -> Bool {
        state.withLock { $0.payloads[Array(topic.utf8)] != payload }
    }

    func note(_ topic: String, _ payload: [UInt8]) {
        state.withLock { $0.payloads[Array(topic.utf8)] = payload }
    }

    // MARK: - The newest detection

    var detection: Detection? { state.withLock { $0.detection } }

    /// True when it is newer than the one that is known.
    func noteDetection(_ detection: Detection) -> Bool {
        state.withLock { state in
            guard detection.id > (state.detection?.id ?? 0) else { return false }
            state.detection = detection
            return true
        }
    }

    // MARK: - Topics of earlier releases

    /// Notes a topic to be subscribed; false when it was before, or is in use now.
    ///
    /// - Parameter isOwn: whether the topic is below the box's own, where nobody else writes.
    func askFormer(_ topic: String, isOwn: Bool) -> Bool {
        state.withLock { state in
            let key = Array(topic.utf8)
            guard state.former[key] == nil, state.payloads[key] == nil else { return false }
            state.former[key] = isOwn
            state.asked.append(topic)
            return true
        }
    }

    /// A message has come. True when it is to be removed.
    ///
    /// - Parameter isOwn: asked where others may write too.
    func foundFormer(_ topic: String, isOwn: () -> Bool) -> Bool {
        state.withLock { state in
            let key = Array(topic.utf8)
            guard let isOwnTopic = state.former[key], state.payloads[key] == nil, isOwnTopic || isOwn() else {
                return false
            }
            state.found.append(topic)
            return true
        }
    }

    /// The topics that were subscribed since this was asked last.
    func takeAsked() -> [String] {
        state.withLock { state in
            defer { state.asked = [] }
            return state.asked
        }
    }

    /// The topics whose message is to be removed.
    func takeFound() -> [String] {
        state.withLock { state in
            defer { state.found = [] }
            return state.found.filter { state.payloads[Array($0.utf8)] == nil }
        }
    }
}
