import Forecasts
import Foundation
import Sensors
import Store
import Synchronization
import Uplink

/// The collectors' way to the network: keeps the pace and the day's budget, and counts.
final class ForecastFetcher: Fetcher {
    struct Limits: Sendable {
        var requestsPerMinute: Int
        var parallel: Int
        var stallTimeoutSeconds: Int
        /// 0 for no limit.
        var dailyBytes: Int64
        var firstPauseSeconds: Double
        var certificateFile = ""
        var proxy = ""
    }

    private static let longestRequestSeconds = 900

    /// For progress bars and metrics; since the start.
    let bytes = Counter()
    let requests = Counter()
    /// Requests that failed or were answered with something else than success.
    let failures = Counter()
    private let limits: Limits
    private let transport: CurlTransport
    private let store: Store
    private let time: any TimeSource
    private let next = Mutex(ContinuousClock.now)

    init(_ limits: Limits, store: Store, time: any TimeSource) throws {
        self.limits = limits
        self.store = store
        self.time = time
        transport = try CurlTransport(connectionsPerHost: limits.parallel)
    }

    func stop() { transport.stop() }

    var firstPauseSeconds: Double { limits.firstPauseSeconds }

    private func day() -> String {
        String(CalendarTime.text(time.now().utcNanoseconds / 1_000_000_000).prefix(10))
    }

    /// What may still be fetched today.
    func remainingBytes() async throws(StoreError) -> Int64 {
        guard limits.dailyBytes > 0 else { return .max }
        return max(0, limits.dailyBytes - (try await store.forecastTraffic(day: day())))
    }

    func fetch(_ request: FetchRequest) async throws(FetchFailure) -> FetchAnswer {
        var remaining = Int64.max
        do { remaining = try await remainingBytes() } catch { throw .unreachable("the store cannot be read: \(error)") }
        guard remaining > 0 else {
            throw .overBudget(
                "the day's \(limits.dailyBytes / 1_000_000) MB are used up (forecasts_daily_mb); it goes on tomorrow")
        }
        try await keepPace()
        var outgoing = OutgoingRequest(request.method, request.url)
        // Without one, NOMADS answers with nothing.
        outgoing.headers = [("User-Agent", "edge-aggregator/\(Version.text)")]
        for (name, value) in request.headers.sorted(by: { $0.key < $1.key }) { outgoing.headers.append((name, value)) }
        if !request.body.isEmpty { outgoing.body = .bytes(request.body) }
        outgoing.options.stallTimeoutSeconds = limits.stallTimeoutSeconds
        // A server that drips goes on for ever otherwise; what has come is kept, and asked on from there.
        outgoing.options.totalTimeoutSeconds = Self.longestRequestSeconds
        outgoing.options.mostAnswerBytes = Int(clamping: min(Int64(request.mostBytes), remaining))
        outgoing.options.takesParts = true
        outgoing.options.certificateFile = limits.certificateFile
        outgoing.options.proxy = limits.proxy
        requests.add(1)
        do throws(TransportError) {
            let answer = try await transport.perform(outgoing)
            await count(answer.body.count)
            if !(200..<300).contains(answer.status) || answer.cut != nil { failures.add(1) }
            return FetchAnswer(status: answer.status, headers: answer.headers, body: answer.body, cut: answer.cut)
        } catch {
            failures.add(1)
            if error.code == .cancelled { throw .cancelled }
            throw .unreachable(error.reason)
        }
    }

    private func count(_ bytes: Int) async {
        self.bytes.add(Int64(bytes))
        // A count that is lost with the power costs a little more of the budget than was meant.
        try? await store.commit([.forecastTraffic(day: day(), bytes: Int64(bytes))])
    }

    /// Requests are spread evenly over the minute.
    private func keepPace() async throws(FetchFailure) {
        let distance = Duration.seconds(60) / limits.requestsPerMinute
        // A few may go at once, so that one question at a time does not wait.
        let credit = distance * limits.parallel * 4
        let turn = next.withLock { next in
            next = max(next, .now - credit) + distance
            return next
        }
        guard turn > .now else { return }
        do { try await Task.sleep(until: turn, clock: .continuous) } catch { throw .cancelled }
    }

    func pause(seconds: Double) async throws(FetchFailure) {
        do { try await Task.sleep(for: .seconds(seconds)) } catch { throw .cancelled }
    }
}
