import Synchronization

/// What the broker keeps of this box: what it has already, so that it is sent again only when it changes or is asked for; the
/// newest detection; and topics of earlier releases that may hold something yet.
///
/// Bounded: payloads are of the devices that are told of, and topics of those and of other devices that exist.
final class RetainedState: Sendable {
    struct Detection: Sendable {
        let id: Int64
        let payload: [UInt8]
    }

    /// A topic of earlier releases.
    struct Former: Sendable {
        let topic: String
        /// Whether it is below the box's own, where nobody else writes.
        let isOwn: Bool
    }

    private struct Topic {
        /// The bytes of the device's id; nil for a topic that is of no device.
        var device: [UInt8]?
        /// What the broker has there; nil when that is not known.
        var payload: [UInt8]?
    }

    private struct State {
        /// By the bytes of the topic: texts that Unicode calls equivalent are different topics.
        var topics: [[UInt8]: Topic] = [:]
        var isForgotten = true
        var detection: Detection?
        /// Topics of earlier releases, and whether a message there is known to be ours.
        var former: [[UInt8]: Bool] = [:]
        /// Those among them that are subscribed.
        var asked: [String] = []
        /// Those among them that hold a message of ours.
        var found: [String] = []

        func isInUse(_ topic: [UInt8]) -> Bool { topics[topic]?.payload != nil }
    }

    private let state = Mutex(State())

    /// The broker may have nothing, or somebody wants to hear everything again.
    func forget() {
        state.withLock { state in
            var next = State()
            next.detection = state.detection
            next.topics = state.topics.mapValues { Topic(device: $0.device) }
            state = next
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
        state.withLock { $0.topics[Array(topic.utf8)]?.payload != payload }
    }

    /// - Parameter device: the id of the device that the topic is of; nil for none.
    func note(_ topic: String, _ payload: [UInt8], device: String? = nil) {
        state.withLock { $0.topics[Array(topic.utf8)] = Topic(device: device.map { Array($0.utf8) }, payload: payload) }
    }

    // MARK: - Devices that are told of no more

    /// Drops the payloads of all other devices. True when there are such devices: those that left the list, and those that are
    /// gone.
    func keepPayloads(ofDevices ids: Set<[UInt8]>) -> Bool {
        state.withLock { state in
            var hasOthers = false
            for (topic, told) in state.topics {
                guard let device = told.device, !ids.contains(device) else { continue }
                state.topics[topic]?.payload = nil
                hasOthers = true
            }
            return hasOthers
        }
    }

    /// Topics of devices that do not exist any more, at most so many.
    func topics(ofNoneOf existing: Set<[UInt8]>, atMost limit: Int) -> [String] {
        state.withLock { state in
            state.topics.lazy.filter { $1.device.map { !existing.contains($0) } ?? false }.prefix(limit)
                .map { String(decoding: $0.key, as: UTF8.self) }
        }
    }

    /// The broker has nothing there any more.
    func remove(_ topic: String) { state.withLock { $0.topics[Array(topic.utf8)] = nil } }

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

    /// Those among them that were not asked for; others than these are forgotten.
    func notAsked(_ topics: [Former]) -> [Former] {
        state.withLock { state in
            let keys = Set(topics.map { Array($0.topic.utf8) })
            state.former = state.former.filter { keys.contains($0.key) }
            return topics.filter { state.former[Array($0.topic.utf8)] == nil }
        }
    }

    /// Notes a topic to be subscribed; false when it was before, or is in use now.
    func ask(_ former: Former) -> Bool {
        state.withLock { state in
            let key = Array(former.topic.utf8)
            guard state.former[key] == nil, !state.isInUse(key) else { return false }
            state.former[key] = former.isOwn
            state.asked.append(former.topic)
            return true
        }
    }

    /// A message has come. True when it is to be removed.
    ///
    /// - Parameter isOwn: asked where others may write too.
    func foundFormer(_ topic: String, isOwn: () -> Bool) -> Bool {
        state.withLock { state in
            let key = Array(topic.utf8)
            guard let isOwnTopic = state.former[key], !state.isInUse(key), isOwnTopic || isOwn() else { return false }
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
            return state.found.filter { !state.isInUse(Array($0.utf8)) }
        }
    }
}
