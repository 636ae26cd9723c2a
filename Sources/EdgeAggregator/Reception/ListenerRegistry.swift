import Logging
import Sensors
import ServiceLifecycle
import Synchronization

/// The connected listeners: who they are, how many may be, and when one has been silent for too long.
final class ListenerRegistry: Service {
    struct Limits: Sendable {
        /// Different listeners at a time.
        var listeners = 1000
        /// Connections of one listener at a time. Two are usual: the old one of a listener that lost its power hangs
        /// until it is found idle.
        var connectionsPerListener = 4
        /// Connections of one network address at a time; 0 for no limit but the fair share of ``ListenerRegistry/admit(_:)``.
        var connectionsPerAddress = 0
        var idleSeconds = 120
    }

    enum Refusal: String, Error {
        case tooManyListeners = "too many listeners"
        case tooManyConnections = "too many connections of this listener"
        case tooManyOfAddress = "too many connections of this address (max_connections_per_address)"
        case shuttingDown = "shutting down"
    }

    private struct State {
        var connections: [ListenerID: [ListenerConnection]] = [:]
        var perAddress: [ClientAddress: Int] = [:]
        /// Sessions of a listener since the start, for their names.
        var counters: [ListenerID: Int] = [:]
        /// Numbers up to this may have been given to listeners that are not in `counters` any more.
        var floor = 0
        /// Who has connected since ``takeVisitors()``; of more than so many listeners the rest is left out.
        var visitors: Set<ListenerID> = []
        var isShuttingDown = false
    }

    private let limits: Limits
    private let firstCounter: Int
    private let time: any TimeSource
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter firstCounter: the highest session number that this boot has seen already.
    init(limits: Limits, firstCounter: Int, time: any TimeSource, logger: Logger) {
        self.limits = limits
        self.firstCounter = firstCounter
        self.time = time
        self.logger = logger
    }

    /// Takes a connection in, or says why not.
    ///
    /// A listener has one place, however many connections it has. When all places are taken, an address that has fewer than
    /// another one gets a place of the address that has the most: one address may have all places only as long as nobody else
    /// needs one. All connections of the listener that had the place end.
    func admit(_ connection: ListenerConnection) throws(Refusal) -> Int {
        var replaced: [ListenerConnection] = []
        defer { for connection in replaced { connection.end(reason: "replaced by a listener of another address") } }
        return try state.withLock { (state) throws(Refusal) -> Int in
            guard !state.isShuttingDown else { throw .shuttingDown }
            let present = state.connections[connection.listener] ?? []
            guard present.count < limits.connectionsPerListener else { throw .tooManyConnections }
            let ofAddress = state.perAddress[connection.address] ?? 0
            guard limits.connectionsPerAddress == 0 || ofAddress < limits.connectionsPerAddress else {
                throw .tooManyOfAddress
            }
            if present.isEmpty, state.connections.count >= limits.listeners {
                replaced = Self.replaceable(state, by: connection.address)
                guard !replaced.isEmpty else { throw .tooManyListeners }
                for other in replaced { Self.remove(other, &state) }
            }
            state.perAddress[connection.address, default: 0] += 1
            state.connections[connection.listener, default: []].append(connection)
            if state.visitors.count < limits.listeners { state.visitors.insert(connection.listener) }
            return nextCounter(connection.listener, &state)
        }
    }

    /// The connections of the listener whose place another address gets: of the address with the most places that has a listener
    /// to replace, the one that has been silent the longest. Empty when no address has enough places.
    ///
    /// A listener's place counts for the address of its oldest connection: others cannot take a listener for theirs.
    private static func replaceable(_ state: State, by address: ClientAddress) -> [ListenerConnection] {
        let places = Dictionary(grouping: state.connections.values.filter { !$0.isEmpty }) { $0[0].address }
        let own = places[address]?.count ?? 0
        for (_, listeners) in places.sorted(by: { $0.value.count > $1.value.count }) where listeners.count > own + 1 {
            let candidates = listeners.filter { $0.allSatisfy { !$0.isNamed } }
            let silentSince = { (connections: [ListenerConnection]) in
                connections.map(\.silentSinceMonotonicNanoseconds).max() ?? 0
            }
            if let longest = candidates.map({ (connections: $0, since: silentSince($0)) }).min(by: {
                $0.since < $1.since
            }) {
                return longest.connections
            }
        }
        return []
    }

    /// The next session number of a listener that has no connection of its own (an upload).
    func nextCounter(_ listener: ListenerID) -> Int {
        state.withLock { nextCounter(listener, &$0) }
    }

    private func nextCounter(_ listener: ListenerID, _ state: inout State) -> Int {
        if state.counters.count > 64 * limits.listeners, state.counters[listener] == nil {
            // Ids without end would fill memory; numbers that go on from the highest are unique as well.
            let highest = state.counters.values.max() ?? firstCounter
            state.counters = [listener: highest]
            state.floor = max(state.floor, highest)
        }
        let counter = (state.counters[listener] ?? max(firstCounter, state.floor)) + 1
        state.counters[listener] = counter
        return counter
    }

    func remove(_ connection: ListenerConnection) {
        state.withLock { Self.remove(connection, &$0) }
    }

    private static func remove(_ connection: ListenerConnection, _ state: inout State) {
        guard let index = state.connections[connection.listener]?.firstIndex(where: { $0 === connection }) else {
            return
        }
        state.connections[connection.listener]?.remove(at: index)
        if state.connections[connection.listener]?.isEmpty == true { state.connections[connection.listener] = nil }
        let ofAddress = state.perAddress[connection.address] ?? 0
        state.perAddress[connection.address] = ofAddress > 1 ? ofAddress - 1 : nil
    }

    var connections: [ListenerConnection] {
        state.withLock { $0.connections.values.flatMap { $0 } }
    }

    /// Who has connected since this was asked last, also those that have left.
    func takeVisitors() -> Set<ListenerID> {
        state.withLock { state in
            defer { state.visitors = [] }
            return state.visitors
        }
    }

    var isShuttingDown: Bool { state.withLock { $0.isShuttingDown } }

    /// Ends every connection, since their bodies never end by themselves.
    func shutDown() {
        let connections = state.withLock { state in
            state.isShuttingDown = true
            return state.connections.values.flatMap { $0 }
        }
        for connection in connections { connection.end(reason: "shutdown") }
    }

    /// Whether nothing has come for too long, although it would have been read.
    func isIdle(_ connection: ListenerConnection, nowNanoseconds now: Int64) -> Bool {
        now - connection.silentSinceMonotonicNanoseconds > Int64(limits.idleSeconds) * 1_000_000_000
    }

    /// Ends connections from which nothing has come for too long: a listener without power never closes its own.
    func run() async throws {
        while !Task.isShuttingDownGracefully {
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(1)) }
            if Task.isCancelled { return }
            let now = time.now().monotonicNanoseconds
            for connection in connections {
                guard isIdle(connection, nowNanoseconds: now) else { continue }
                logger.notice(
                    "A listener has been silent for too long", metadata: ["listener": "\(connection.listener)"])
                connection.end(reason: "idle")
            }
        }
    }
}
