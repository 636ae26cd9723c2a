import Logging
import Sensors
import Testing

@testable import EdgeAggregator

/// How the places of `max_listeners` are shared between network addresses.
@Suite struct ListenerRegistryTests {
    private struct Stopped: TimeSource {
        func now() -> TimeStamp {
            TimeStamp(utcNanoseconds: 0, monotonicNanoseconds: 0, bootID: "boot", isSynchronised: true)
        }
    }

    private let registry = ListenerRegistry(
        limits: ListenerRegistry.Limits(listeners: 4, connectionsPerListener: 2), firstCounter: 0, time: Stopped(),
        logger: Logger(label: "test"))

    private func connection(_ id: String, _ address: String, isNamed: Bool = false, silentSince seconds: Int64 = 0)
        throws -> ListenerConnection
    {
        ListenerConnection(
            listener: try #require(ListenerID(id)), remoteAddress: address, address: ClientAddress(address),
            isNamed: isNamed,
            now: TimeStamp(
                utcNanoseconds: 0, monotonicNanoseconds: seconds * 1_000_000_000, bootID: "boot", isSynchronised: true),
            close: {})
    }

    @Test func oneAddressMayHaveAllPlacesUntilAnotherNeedsOne() throws {
        let many = try (0..<4).map { try connection("many-\($0)", "192.0.2.1", silentSince: [3, 1, 2, 4][$0]) }
        for connection in many { _ = try registry.admit(connection) }
        // The address that has all places gets no more.
        let fifth = try connection("many-4", "192.0.2.1")
        #expect(throws: ListenerRegistry.Refusal.tooManyListeners) { _ = try registry.admit(fifth) }
        // Another address gets the place of the listener that has been silent the longest, and once more.
        let first = try connection("other-0", "192.0.2.2")
        _ = try registry.admit(first)
        #expect(many.map { $0.endedFor != nil } == [false, true, false, false])
        let second = try connection("other-1", "192.0.2.2")
        // 3 and 1 become 2 and 2; then nobody has more than the other would have.
        _ = try registry.admit(second)
        #expect(many.map { $0.endedFor != nil } == [false, true, true, false])
        let third = try connection("other-2", "192.0.2.2")
        #expect(throws: ListenerRegistry.Refusal.tooManyListeners) { _ = try registry.admit(third) }
        // What is told twice to leave is counted once.
        for connection in many { registry.remove(connection) }
        #expect(registry.connections.count == 2)
        for index in 5..<7 { _ = try registry.admit(try connection("many-\(index)", "192.0.2.1")) }
        #expect(registry.connections.count == 4)
    }

    @Test func twoConnectionsOfEachListenerAreNoWayAroundIt() throws {
        let pairs = try (0..<4).flatMap { number in
            try (0..<2).map { try connection("many-\(number)", "192.0.2.1", silentSince: [3, 1, 2, 4][number] + $0) }
        }
        for connection in pairs { _ = try registry.admit(connection) }
        _ = try registry.admit(try connection("other-0", "192.0.2.2"))
        // All connections of the listener that has been silent the longest end.
        #expect(pairs.map { $0.endedFor != nil } == [false, false, true, true, false, false, false, false])
        #expect(Set(registry.connections.map(\.listener.text)) == ["many-0", "many-2", "many-3", "other-0"])
    }

    @Test func whoConnectsAsSomebodyElseDoesNotMoveThePlace() throws {
        _ = try registry.admit(try connection("honest", "192.0.2.9"))
        // The attacker's second connection of it has been silent for longer than all others.
        _ = try registry.admit(try connection("honest", "192.0.2.1", silentSince: -100))
        for number in 0..<3 { _ = try registry.admit(try connection("many-\(number)", "192.0.2.1")) }
        _ = try registry.admit(try connection("other", "192.0.2.2"))
        #expect(registry.connections.filter { $0.listener.text == "honest" }.count == 2)
    }

    @Test func theNextAddressGivesAPlaceWhenTheFirstHasNone() throws {
        let registry = ListenerRegistry(
            limits: ListenerRegistry.Limits(listeners: 5), firstCounter: 0, time: Stopped(),
            logger: Logger(label: "test"))
        let named = try (0..<3).map { try connection("named-\($0)", "192.0.2.1", isNamed: true) }
        let others = try (0..<2).map { try connection("b-\($0)", "192.0.2.2", silentSince: Int64($0)) }
        for connection in named + others { _ = try registry.admit(connection) }
        _ = try registry.admit(try connection("c", "192.0.2.3"))
        #expect(others.map { $0.endedFor != nil } == [true, false])
        #expect(named.allSatisfy { $0.endedFor == nil })
    }

    @Test func whatTheDeviceDoesNotReadIsNoSilence() throws {
        let registry = ListenerRegistry(
            limits: ListenerRegistry.Limits(idleSeconds: 5), firstCounter: 0, time: Stopped(),
            logger: Logger(label: "test"))
        let paused = try connection("a", "192.0.2.1")
        paused.notePause(.seconds(60), at: Stopped().now())
        // Five seconds after it is read again.
        #expect(!registry.isIdle(paused, nowNanoseconds: 65_000_000_000))
        #expect(registry.isIdle(paused, nowNanoseconds: 65_000_000_001))
        let read = try connection("b", "192.0.2.1")
        #expect(registry.isIdle(read, nowNanoseconds: 5_000_000_001))
    }

    @Test func listenersThatTheSettingsNameKeepTheirPlaces() throws {
        let named = try (0..<4).map { try connection("named-\($0)", "192.0.2.1", isNamed: true) }
        for connection in named { _ = try registry.admit(connection) }
        let other = try connection("other", "192.0.2.2")
        #expect(throws: ListenerRegistry.Refusal.tooManyListeners) { _ = try registry.admit(other) }
        #expect(named.allSatisfy { $0.endedFor == nil })
    }

    @Test func anAddressMayHaveAFixedNumber() throws {
        let registry = ListenerRegistry(
            limits: ListenerRegistry.Limits(listeners: 4, connectionsPerListener: 2, connectionsPerAddress: 1),
            firstCounter: 0, time: Stopped(), logger: Logger(label: "test"))
        _ = try registry.admit(try connection("a", "2001:db8::1"))
        let sameNetwork = try connection("b", "2001:db8::2")
        #expect(throws: ListenerRegistry.Refusal.tooManyOfAddress) { _ = try registry.admit(sameNetwork) }
        _ = try registry.admit(try connection("b", "2001:db8:1::2"))
    }
}
