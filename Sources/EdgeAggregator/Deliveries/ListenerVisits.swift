import Synchronization

/// Listeners that have connected since the last look, so that one that left again before the look is told of too.
final class ListenerVisits: Sendable {
    struct Visitors: Sendable {
        /// Ids.
        let all: Set<String>
        /// Those among them that came since the last look.
        let new: Set<String>
    }

    /// Visitors of which the database knew nothing yet at the last look: a change is kept within a second.
    private let early = Mutex<Set<String>>([])

    func take(from registry: ListenerRegistry) -> Visitors {
        let new = Set(registry.takeVisitors().map(\.text))
        return Visitors(all: early.withLock { $0 }.union(new), new: new)
    }

    /// Keeps those that are not known for the next look, once.
    func keep(_ visitors: Visitors, except known: [String]) {
        early.withLock { $0 = visitors.new.subtracting(known) }
    }
}
