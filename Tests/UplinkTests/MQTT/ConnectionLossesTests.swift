import Testing

@testable import Uplink

/// Connections that end soon, and what is said of them.
@Suite struct ConnectionLossesTests {
    private let start = ContinuousClock.now
    private let id = "edge-aggregator-hut"

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    /// Connections of one second each, by the pause apart.
    private func quick(_ count: Int, reason: Int32 = 7) -> (losses: ConnectionLosses, seconds: Double) {
        var losses = ConnectionLosses()
        var now = 0.0
        for _ in 0..<count {
            losses.connected(at: at(now))
            now += 1
            losses.lost(reason: reason, at: at(now))
            now += losses.pauseSeconds
        }
        return (losses, now)
    }

    @Test func threeQuickOnesNameTheClientIDAsAPossibleCause() {
        #expect(quick(2).losses.warning(clientID: id, at: at(100)) == nil)
        let losses = quick(3).losses
        let warning = losses.warning(clientID: id, at: at(100)) ?? ""
        #expect(warning.contains("`\(id)`") && warning.contains("aggregator_uuid"))
        #expect(warning.contains("the link may be bad") && !losses.isTakenOver)
    }

    /// MQTT 5, §3.14.2.1: 142 is "session taken over".
    @Test func theBrokersOwnReasonNamesItAtOnce() {
        let losses = quick(1, reason: 142).losses
        let warning = losses.warning(clientID: id, at: at(100)) ?? ""
        #expect(warning.contains("the broker says") && losses.isTakenOver)
    }

    /// By docs/operations.md: to half a minute where the broker names the cause, to 8 s where it is a guess.
    @Test func pausesGrow() {
        let known = (1...6).map { quick($0, reason: 142).losses.pauseSeconds }
        #expect(known == [2, 4, 8, 16, 30, 30])
        let guessed = (1...6).map { quick($0).losses.pauseSeconds }
        #expect(guessed == [1, 1, 8, 8, 8, 8])
    }

    @Test func aBrokerThatIsAwayIsNotASecondClient() {
        var (losses, now) = quick(2)
        losses.couldNotConnect()
        losses.connected(at: at(now))
        losses.lost(reason: 7, at: at(now + 1))
        #expect(losses.warning(clientID: id, at: at(now + 1)) == nil && losses.pauseSeconds == 1)
    }

    @Test func aConnectionThatLastsIsUsedAndThenForgetsTheRest() {
        var (losses, now) = quick(4, reason: 142)
        losses.connected(at: at(now))
        #expect(losses.warning(clientID: id, at: at(now + 4)) != nil)
        #expect(losses.warning(clientID: id, at: at(now + 6)) == nil)
        // Both clients pause up to half a minute: a loss after two pauses is of the same kind.
        losses.lost(reason: 7, at: at(now + 61))
        #expect(losses.warning(clientID: id, at: at(now + 61)) != nil)
        losses.connected(at: at(now + 100))
        losses.lost(reason: 7, at: at(now + 1000))
        #expect(losses.warning(clientID: id, at: at(now + 1000)) == nil && losses.pauseSeconds == 1)
    }

    /// A link that is bad for a while ends the guess with the first connection that lasts half a minute.
    @Test func aGuessEndsWithTheFirstConnectionThatLasts() {
        var (losses, now) = quick(4)
        losses.connected(at: at(now))
        losses.lost(reason: 7, at: at(now + 31))
        #expect(losses.warning(clientID: id, at: at(now + 31)) == nil && losses.pauseSeconds == 1)
    }

    @Test func connectionsThatEndAfterMinutesAreOrdinary() {
        var losses = ConnectionLosses()
        for number in 0..<10 {
            losses.connected(at: at(Double(number) * 100))
            losses.lost(reason: 7, at: at(Double(number) * 100 + 45))
        }
        #expect(losses.warning(clientID: id, at: at(2000)) == nil)
    }
}
