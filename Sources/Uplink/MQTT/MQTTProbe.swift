import Synchronization

/// Asks a broker, under a client id of its own and without a session, how many messages it has dropped.
public enum MQTTProbe {
    public enum Answer: Sendable, Equatable {
        /// Messages to any subscriber, since the broker's start.
        case dropped(Int64)
        /// There is a connection, and the broker does not tell.
        case silent
        case failed(reason: String)
    }

    /// Of Mosquitto (mosquitto(8), "Broker Status"): messages dropped because a queue was full. It is retained.
    public static let droppedTopic = "$SYS/broker/publish/messages/dropped"

    private struct State {
        var connectedAt: ContinuousClock.Instant?
        var dropped: Int64?
    }

    /// - Parameters:
    ///   - configuration: how the broker is reached; its client id, session, subscriptions and will are not used.
    ///   - seconds: how long to wait for the connection, and then for the answer.
    public static func droppedMessages(_ configuration: MQTTConfiguration, seconds: Double = 5) async -> Answer {
        var probe = configuration
        probe.clientID = "edge-aggregator-doctor-\(UInt32.random(in: 0 ... .max))"
        probe.availabilityTopic = ""
        probe.subscriptions = [droppedTopic]
        probe.keepsSession = false
        let state = SharedState()
        let connection: MQTTConnection
        do throws(MQTTConnection.Failure) {
            connection = try MQTTConnection(
                configuration: probe,
                onConnect: { state.value.withLock { $0.connectedAt = $0.connectedAt ?? .now } },
                onMessage: { topic, payload in
                    guard topic == droppedTopic else { return true }
                    state.value.withLock { $0.dropped = Int64(String(decoding: payload, as: UTF8.self)) }
                    return true
                })
        } catch {
            return .failed(reason: error.reason)
        }
        connection.start()
        let begin = ContinuousClock.now
        var answer = Answer.silent
        while !Task.isCancelled {
            let (connectedAt, dropped) = state.value.withLock { ($0.connectedAt, $0.dropped) }
            if let dropped {
                answer = .dropped(dropped)
                break
            }
            if ContinuousClock.now - (connectedAt ?? begin) > .seconds(seconds) {
                if let failure = connection.failure { answer = .failed(reason: failure.reason) }
                break
            }
            if case .unauthorised(let reason) = connection.failure {
                answer = .failed(reason: reason)
                break
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
        if connection.failure == nil { await connection.end() } else { connection.abandon() }
        return answer
    }

    private final class SharedState: Sendable {
        let value = Mutex(State())
    }
}

extension MQTTConnection.Failure {
    var reason: String {
        switch self {
        case .notConnected(let reason), .unauthorised(let reason), .denied(let reason): reason
        }
    }
}
