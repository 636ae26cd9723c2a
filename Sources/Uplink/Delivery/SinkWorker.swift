public import Logging
public import Sensors
public import ServiceLifecycle
public import Store

/// Brings one sink what waits for it, the most important first, and writes down what became of it. ``SinkSchedule`` decides what is sent
/// when.
///
/// Each sink has a worker of its own, so that a slow or dead one holds up nobody else. A delivery is done only when the
/// endpoint has said so; one that was sent while the device died is sent again, which the endpoint cannot see, since what it
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
        status = SinkStatus(name: sink.name, carriedKinds: sink.limits.kinds)
        doorbell = store.doorbell()
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown { await work() }
    }

    /// Looks again at least so often, whatever rings.
    private static let longestWaitNanoseconds: Int64 = 60_000_000_000

    private func work() async {
        var schedule = SinkSchedule(limits: sink.limits, policy: policy)
        while !Task.isCancelled {
            if let reason = sink.pauseReason() {
                status.update { $0.reason = reason }
                await doorbell.wait(atMost: .seconds(5))
                continue
            }
            let wait = schedule.pace.waitNanoseconds(now: time.now().monotonicNanoseconds)
            if wait > 0 {
                try? await Task.sleep(for: .nanoseconds(wait))
                continue
            }
            let calls: [SinkSchedule.Call]
            do throws(StoreError) {
                calls = try await next(&schedule)
            } catch {
                logger.error("The outbox cannot be read", metadata: ["sink": "\(sink.name)", "error": "\(error)"])
                try? await Task.sleep(for: .seconds(5))
                continue
            }
            if calls.isEmpty {
                tell(schedule)
                await rest(schedule)
            } else {
                await send(calls, &schedule)
            }
        }
    }

    private func next(_ schedule: inout SinkSchedule) async throws(StoreError) -> [SinkSchedule.Call] {
        let now = time.now()
        let shared = try await store.dueDeliveries(
            sink: sink.name, kinds: schedule.sharedKinds(now: now.monotonicNanoseconds),
            nowNanoseconds: now.utcNanoseconds, limit: SinkSchedule.sharedRows(sink.limits))
        var isolated: [DeliveryKind: [DeliveryRecord]] = [:]
        for kind in schedule.isolatedKinds(now: now.monotonicNanoseconds) {
            let wanted = schedule.isolatedRows(kind, now: now.monotonicNanoseconds)
            var rows = try await store.dueDeliveries(
                sink: sink.name, kinds: [kind], nowNanoseconds: now.utcNanoseconds, limit: wanted.first)
            if wanted.hasLast, rows.count == wanted.first,
                let last = try await store.lastDueDelivery(
                    sink: sink.name, kind: kind, nowNanoseconds: now.utcNanoseconds), last.id != rows.last?.id
            {
                rows.append(last)
            }
            isolated[kind] = rows
        }
        return schedule.calls(
            shared: shared, isolated: isolated, now: now.monotonicNanoseconds, spread: Double.random(in: 0...1))
    }

    private func rest(_ schedule: SinkSchedule) async {
        let now = time.now()
        let next =
            (try? await store.nextDueNanoseconds(
                sink: sink.name, kinds: schedule.sharedKinds(now: now.monotonicNanoseconds))) ?? nil
        let untilDue = next.map { max($0 - now.utcNanoseconds, 100_000_000) } ?? .max
        let untilKind = schedule.kindWaitNanoseconds(now: now.monotonicNanoseconds) ?? .max
        await doorbell.wait(atMost: .nanoseconds(min(Self.longestWaitNanoseconds, untilDue, untilKind)))
    }

    private func send(_ calls: [SinkSchedule.Call], _ schedule: inout SinkSchedule) async {
        status.update { $0.inFlight = calls.reduce(0) { $0 + $1.rows.count } }
        let results = await withTaskGroup(of: (SinkSchedule.Call, SinkReport).self) { group in
            for call in calls { group.addTask { (call, await sink.deliver(call.rows)) } }
            return await group.reduce(into: [(call: SinkSchedule.Call, report: SinkReport)]()) {
                $0.append(($1.0, $1.1))
            }
        }
        let now = time.now()
        // What is called off at shutdown says nothing of the endpoint.
        let culprits =
            Task.isCancelled
            ? [] : schedule.note(results, now: now.monotonicNanoseconds, spread: Double.random(in: 0...1))
        await writeDown(results, culprits)
        status.update { $0.inFlight = 0 }
        guard !Task.isCancelled else { return }
        let reports = results.map(\.report)
        for notice in reports.flatMap(\.notices) { logger.warning("\(notice)", metadata: ["sink": "\(sink.name)"]) }
        tell(schedule)
        status.update { status in
            status.requests += Int64(reports.count)
            status.failedRequests += Int64(reports.count { $0.farEnd != .well })
            status.bytes += reports.reduce(0) { $0 + $1.bytes }
            if reports.contains(where: { $0.farEnd == .well }) { status.lastSuccessNanoseconds = now.utcNanoseconds }
        }
    }

    private func writeDown(
        _ results: [(call: SinkSchedule.Call, report: SinkReport)], _ culprits: [BatchIsolation.Culprit]
    ) async {
        let now = time.now().utcNanoseconds
        var settlements: [DeliverySettlement] = []
        var done: Int64 = 0
        var refusals: Int64 = 0
        for (row, outcome) in culprits.map({ ($0.row, SinkOutcome.refused([$0.row.firstID: $0.reason])) })
            + results.flatMap({ $0.call.settled($0.report) })
        {
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
                    "The endpoint rejects something for good; it is set aside",
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

    /// Notes how the endpoint stands, and logs what has changed.
    private func tell(_ schedule: SinkSchedule) {
        let was = status.snapshot
        let (state, reason, failures, next) = schedule.summary
        let kinds = schedule.kindReports
        let said = reason ?? sink.warning()
        status.update { status in
            (status.state, status.reason, status.failures, status.nextNanoseconds) = (state, said, failures, next)
            status.kinds = kinds
        }
        for kind in status.snapshot.kinds
        where kind.isHalving && !was.kinds.contains(where: { $0.kind == kind.kind && $0.isHalving }) {
            logger.warning(
                "The endpoint rejects whole batches; they are halved until what is at fault is alone",
                metadata: ["sink": "\(sink.name)", "kind": "\(kind.kind.rawValue)", "reason": "\(kind.reason)"])
        }
        guard was.state != state else { return }
        let metadata: Logger.Metadata = ["sink": "\(sink.name)", "reason": "\(status.snapshot.reason ?? "")"]
        switch state {
        case .flowing: logger.notice("The endpoint takes deliveries again", metadata: ["sink": "\(sink.name)"])
        case .waiting: logger.warning("The endpoint takes no deliveries; they are tried again", metadata: metadata)
        case .unauthorised:
            logger.error("The endpoint does not let us in: check its token, user or keys", metadata: metadata)
        }
    }
}

extension SinkSchedule.Call {
    /// Its rows with what became of them, as far as the outbox can take it: a row is settled from its front.
    fileprivate func settled(_ report: SinkReport) -> [(DeliveryRecord, SinkOutcome)] {
        guard trial?.isProbe != true else { return [] }
        return rows.compactMap { row in report.outcomes[row.id].map { (row, $0) } }
    }
}
