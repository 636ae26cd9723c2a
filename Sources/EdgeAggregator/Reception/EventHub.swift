import Synchronization

/// Tells listeners of `/events` what happens, as it happens.
///
/// A subscriber that does not keep up loses the oldest events, and nobody else is slowed.
final class EventHub: Sendable {
    struct Event: Sendable {
        let name: String
        /// A JSON object.
        let data: String
    }

    static let queueLength = 256
    let longestSubscribers: Int

    private struct State {
        var next = 0
        var subscribers: [Int: AsyncStream<Event>.Continuation] = [:]
    }

    private let state = Mutex(State())

    init(longestSubscribers: Int = 64) {
        self.longestSubscribers = longestSubscribers
    }

    var subscriberCount: Int { state.withLock { $0.subscribers.count } }

    /// Nil when there are too many subscribers already.
    func subscribe() -> AsyncStream<Event>? {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Event.self, bufferingPolicy: .bufferingNewest(Self.queueLength))
        let id = state.withLock { state -> Int? in
            guard state.subscribers.count < longestSubscribers else { return nil }
            state.next += 1
            state.subscribers[state.next] = continuation
            return state.next
        }
        guard let id else { return nil }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.subscribers.removeValue(forKey: id) }
        }
        return stream
    }

    func publish(_ event: Event) {
        let subscribers = state.withLock { Array($0.subscribers.values) }
        for subscriber in subscribers { subscriber.yield(event) }
    }

    /// Ends every subscription.
    func finish() {
        let subscribers = state.withLock { Array($0.subscribers.values) }
        for subscriber in subscribers { subscriber.finish() }
    }
}
