/// Counts connections to a broker that end soon after they began, and names a likely cause: another client with the same
/// client id. A broker ends the older connection of such clients (MQTT 5, §3.1.4), and each of them connects again.
///
/// MQTT 5 has a reason for that, which some brokers send (142, "session taken over", §3.14.2.1). Mosquitto 2.0 sends nothing: then
/// it is one possible cause among others, such as a bad link.
struct ConnectionLosses: Sendable {
    static let sessionTakenOver: Int32 = 142
    /// Shorter connections count.
    static let quickSeconds = 30.0
    /// The same once the broker has named the cause. Longer than two pauses, since both clients pause.
    static let quickSecondsOnceKnown = 90.0
    /// So many in a row name the cause.
    static let minimumCount = 3
    /// A connection that lasts as long is used again.
    static let settledSeconds = 5.0
    static let maximumPauseSeconds = 30.0
    /// The same where the cause is a guess: a link that is only bad is to be used.
    static let maximumPauseSecondsOfGuess = 8.0

    /// In a row.
    private(set) var count = 0
    /// Whether the broker has said so.
    private(set) var isTakenOver = false
    private var connectedAt: ContinuousClock.Instant?

    mutating func connected(at now: ContinuousClock.Instant) { connectedAt = now }

    /// The broker cannot be reached: then it is no second client that ends the connections.
    mutating func couldNotConnect() {
        connectedAt = nil
        (count, isTakenOver) = (0, false)
    }

    /// - Parameter reason: of MQTT 5, or an error of libmosquitto.
    mutating func lost(reason: Int32, at now: ContinuousClock.Instant) {
        guard let began = connectedAt else { return }
        connectedAt = nil
        let limit = isTakenOver ? Self.quickSecondsOnceKnown : Self.quickSeconds
        if reason == Self.sessionTakenOver {
            (count, isTakenOver) = (count + 1, true)
        } else if now - began < .seconds(limit) {
            count += 1
        } else {
            (count, isTakenOver) = (0, false)
        }
    }

    private var isNamed: Bool { isTakenOver || count >= Self.minimumCount }

    /// Before the next attempt. It grows, so that of two clients with one id each has the broker for a while.
    var pauseSeconds: Double {
        guard isNamed else { return 1 }
        let maximum = isTakenOver ? Self.maximumPauseSeconds : Self.maximumPauseSecondsOfGuess
        return min(maximum, Double(1 << min(count, 6)))
    }

    /// What is likely wrong, in words; nil when nothing is, or while a connection has settled.
    func warning(clientID: String, at now: ContinuousClock.Instant) -> String? {
        guard isNamed else { return nil }
        if let connectedAt, now - connectedAt >= .seconds(Self.settledSeconds) { return nil }
        let advice = "give each device an aggregator_uuid of its own"
        if isTakenOver {
            return "the broker says that another client connected with the same client id `\(clientID)`: \(advice)"
        }
        return
            "the connection ended \(count) times soon after it began: the link may be bad, or another device may use "
            + "the same client id `\(clientID)` (\(advice))"
    }
}
