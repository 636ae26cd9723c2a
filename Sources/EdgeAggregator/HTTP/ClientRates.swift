import Synchronization

/// Counts what each client does, as a bucket that fills by itself; so many clients at most.
final class ClientRates: Sendable {
    private struct Bucket {
        var tokens: Double
        var last: ContinuousClock.Instant
    }

    private let perMinute: Int
    private let mostClients: Int
    private let buckets = Mutex<[String: Bucket]>([:])
    private let refusals = Atomic<Int>(0)

    /// - Parameter perMinute: how often each may; also how often at once. 0 for no limit.
    init(perMinute: Int, mostClients: Int) {
        self.perMinute = perMinute
        self.mostClients = max(1, mostClients)
    }

    var refused: Int { refusals.load(ordering: .relaxed) }
    var knownClients: Int { buckets.withLock { $0.count } }

    /// Whether the client may, counting it if so.
    func take(_ client: String, at now: ContinuousClock.Instant = .now) -> Bool { change(client, now, takes: true) }

    /// Whether the client might.
    func has(_ client: String, at now: ContinuousClock.Instant = .now) -> Bool { change(client, now, takes: false) }

    private func change(_ client: String, _ now: ContinuousClock.Instant, takes: Bool) -> Bool {
        guard perMinute > 0 else { return true }
        let mayGo = buckets.withLock { buckets in
            let most = Double(perMinute)
            var bucket = buckets[client] ?? Bucket(tokens: most, last: now)
            bucket.tokens = min(most, bucket.tokens + (now - bucket.last).seconds * most / 60)
            bucket.last = now
            let mayGo = bucket.tokens >= 1
            if mayGo, takes { bucket.tokens -= 1 }
            guard takes || buckets[client] != nil else { return mayGo }
            if buckets[client] == nil, buckets.count >= mostClients,
                let oldest = buckets.min(by: { $0.value.last < $1.value.last })?.key
            {
                buckets[oldest] = nil
            }
            buckets[client] = bucket
            return mayGo
        }
        if !mayGo { refusals.add(1, ordering: .relaxed) }
        return mayGo
    }
}
