public import Logging
public import Sensors
public import ServiceLifecycle
public import Store

/// Brings one sink what waits for it, the most important first, and writes down what became of it.
///
/// Each sink has a worker of its own, so that a slow or dead one holds up nobody else. A delivery is done only when the
/// far end has said so; one that was sent while the box died is sent again, which the far end cannot see, since what it
/// is known by there is made from the data.
public struct SinkWorker: Service {
    let sink: any Sink
    public let status: SinkStatus
    private let store: Store
    private let time: any TimeSource
    private let logger: Logger
    private let policy: RetryPolicy
    private let doorbell: Doorbell

    public init(
        sink: any Sink, store: Store, time: any TimeSource, policy: RetryPolicy = RetryPolicy(), logger: Logger
    ) {
        self.sink = sink
        self.store = store
        self.time = time
        self.policy = policy
        self.logger = logger
        status = SinkStatus(name: sink.name)
        doorbell = store.doorbell()
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown { await work() }
    }

    /// Looks again at least so often, whatever rings.
    private static let longestWaitNanoseconds: Int64 = 60_000_000_000

    private func work() async {
        var pace = SinkPace(policy: policy)
        while !Task.isCancelled {
            if let reason = sink.pauseReason() {
                status.update { $0.reason = reason }
                await doorbell.wait(atMost: .seconds(5))
                continue
            }
            let wait = pace.waitNanoseconds(now: time.now().monotonicNanoseconds)
            if wait > 0 {
                try? await Task.sleep(for: .nanoseconds(wait))
                continue
            }
            let due: [DeliveryRecord]
            do throws(StoreError) {
                due = try await store.dueDeliveries(
                    sink: sink.name, kinds: sink.limits.kinds, nowNanoseconds: time.now().utcNanoseconds,
                    limit: sink.limits.deliveries * sink.limits.concurrency)
            } catch {
                logger.error("The outbox cannot be read", metadata: ["sink": "\(sink.name)", "error": "\(error)"])
                try? await Task.sleep(for: .seconds(5))
                continue
            }
            if due.isEmpty {
                await rest()
            } else {
                await send(due, &pace)
            }
        }
    }

    private func rest() async {
        status.update { $0.reason = nil }
        let now = time.now().utcNanoseconds
        let next = (try? await store.nextDueNanoseconds(sink: sink.name)) ?? nil
        let wait = min(Self.longestWaitNanoseconds, max(next.map { $0 - now } ?? .max, 100_000_000))
        await doorbell.wait(atMost: .nanoseconds(wait))
    }

    private func send(_ due: [DeliveryRecord], _ pace: inout SinkPace) async {
        let calls = Self.calls(due, limits: sink.limits)
        status.update { $0.inFlight = due.count }
        let reports = await withTaskGroup(of: SinkReport.self) { group in
            for call in calls { group.addTask { await sink.deliver(call) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        await writeDown(reports, due)
        status.update { $0.inFlight = 0 }
        guard !Task.isCancelled else { return }
        let now = time.now()
        let was = pace.state
        let farEnd = reports.map(\.farEnd).max { $0.gravity < $1.gravity } ?? .well
        pace.note(farEnd, now: now.monotonicNanoseconds, spread: Double.random(in: 0...1))
        tell(from: was, to: pace)
        status.update { [pace] status in
            status.state = pace.state
            status.reason = pace.reason
            status.failures = pace.failures
            status.nextNanoseconds = pace.nextNanoseconds
            status.requests += Int64(reports.count)
            status.failedRequests += Int64(reports.count { $0.farEnd != .well })
            status.bytes += reports.reduce(0) { $0 + $1.bytes }
            if reports.contains(where: { $0.farEnd == .well }) { status.lastSuccessNanoseconds = now.utcNanoseconds }
        }
    }

    private func writeDown(_ reports: [SinkReport], _ due: [DeliveryRecord]) async {
        let rows = Dictionary(uniqueKeysWithValues: due.map { ($0.id, $0) })
        let now = time.now().utcNanoseconds
        var settlements: [DeliverySettlement] = []
        var done: Int64 = 0
        var refusals: Int64 = 0
        for (id, outcome) in reports.flatMap(\.outcomes) {
            guard let row = rows[id] else { continue }
            switch outcome {
            case .done:
                done += row.facts
                settlements.append(DeliverySettlement(row, .done))
            case .sent(let throughID):
                done += throughID - row.firstID + 1
                settlements.append(DeliverySettlement(row, .done, throughID: throughID))
            case .failed(let reason):
                let delay = policy.delaySeconds(failures: row.attempts + 1, spread: Double.random(in: 0...1))
                let next = now + Int64(delay * 1e9)
                settlements.append(DeliverySettlement(row, .failed(reason: reason, nextNanoseconds: next)))
            case .refused(let facts):
                done += row.facts - Int64(facts.count)
                refusals += Int64(facts.count)
                settlements.append(DeliverySettlement(row, .refused(facts)))
                logger.warning(
                    "A far end refused something for good; it is set aside",
                    metadata: [
                        "sink": "\(sink.name)", "kind": "\(row.kind.rawValue)", "facts": "\(facts.count)",
                        "reason": "\(facts.values.first ?? "")",
                    ])
            case .void(let reason):
                settlements.append(DeliverySettlement(row, .void(reason: reason)))
            }
        }
        guard !settlements.isEmpty else { return }
        do {
            try await store.commit([.delivered(settlements, atNanoseconds: now)])
            status.update { [done, refusals] status in
                status.factsDone += done
                status.factsRefused += refusals
            }
        } catch {
            // They stay in the outbox, and are sent once more.
            logger.error(
                "Deliveries could not be written down; they will be repeated",
                metadata: ["sink": "\(sink.name)", "error": "\(error)"])
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func tell(from was: SinkPace.State, to pace: SinkPace) {
        guard was != pace.state else { return }
        let metadata: Logger.Metadata = ["sink": "\(sink.name)", "reason": "\(pace.reason ?? "")"]
        switch pace.state {
        case .flowing: logger.notice("A far end is there again", metadata: ["sink": "\(sink.name)"])
        case .waiting: logger.warning("A far end cannot be reached; it is tried again", metadata: metadata)
        case .unauthorised:
            logger.error("A far end does not let us in: check its token, user or keys", metadata: metadata)
        }
    }

    /// Cuts what is due into calls, each within the sink's limits.
    static func calls(_ due: [DeliveryRecord], limits: SinkLimits) -> [[DeliveryRecord]] {
        var calls: [[DeliveryRecord]] = []
        var call: [DeliveryRecord] = []
        var facts: Int64 = 0
        for row in due {
            if !call.isEmpty, call.count >= limits.deliveries || facts + row.facts > Int64(limits.facts) {
                calls.append(call)
                if calls.count == limits.concurrency { return calls }
                (call, facts) = ([], 0)
            }
            call.append(row)
            facts += row.facts
        }
        if !call.isEmpty { calls.append(call) }
        return calls
    }
}

extension SinkReport.FarEnd {
    fileprivate var gravity: Int {
        switch self {
        case .well: 0
        case .unavailable: 1
        case .unauthorised: 2
        }
    }
}
