import Foundation
import Hummingbird
import Sensors
import Store
import Uplink

/// How an endpoint is, and what waits for it.
struct SinkReading: Codable, Sendable {
    /// A kind of deliveries that is not sent with the others: its bucket or table cannot be used, or its batches are rejected.
    struct Kind: Codable, Sendable {
        var kind: String
        /// `flowing` while rejected batches are halved, `waiting`, `unauthorised`, or `not set` for a kind that the sink does not carry any more.
        var state: String
        var reason: String
        var nextAttemptInSeconds: Double?
        var isHalving: Bool
    }

    struct Waiting: Codable, Sendable {
        var kind: String
        var state: String
        var deliveries: Int64
        /// What they refer to: detections, ledger lines, files.
        var facts: Int64
        var bytes: Int64
        var oldestAt: String
    }

    var name: String
    /// `flowing`, `waiting`, `unauthorised`, or `not set` for one that is not in the settings any more.
    var state: String
    var reason: String?
    var failures: Int
    var nextAttemptInSeconds: Double?
    var lastSuccessAt: String?
    /// Since the beginning.
    var factsDone: Int64
    var factsRefused: Int64
    var factsGivenUp: Int64
    /// Since the daemon's start.
    var bytesSent: Int64
    /// Those with a state of their own; empty when all are sent alike.
    var kinds: [Kind]
    var waiting: [Waiting]

    static func all(_ statuses: [SinkStatus], store: Store, now: TimeStamp) async throws -> [SinkReading] {
        let backlog = try await store.backlog()
        let totals = try await store.deliveryTotals()
        let gone = Set(backlog.map(\.sink)).subtracting(statuses.map(\.name)).sorted()
        return statuses.map { SinkReading($0.name, $0, backlog, totals, now) }
            + gone.map { SinkReading($0, nil, backlog, totals, now) }
    }

    private init(
        _ name: String, _ sink: SinkStatus?, _ backlog: [DeliveryBacklog], _ totals: [DeliveryTotal], _ now: TimeStamp
    ) {
        let status = sink?.snapshot
        self.name = name
        state = status?.state.rawValue ?? "not set"
        reason = status?.reason
        failures = status?.failures ?? 0
        nextAttemptInSeconds = status.flatMap { status in
            status.nextNanoseconds > now.monotonicNanoseconds
                ? Double(status.nextNanoseconds - now.monotonicNanoseconds) / 1e9 : nil
        }
        lastSuccessAt = status?.lastSuccessNanoseconds.map(ISOTime.text)
        bytesSent = status?.bytes ?? 0
        let own = totals.filter { $0.sink == name }
        factsDone = own.reduce(0) { $0 + $1.done }
        factsRefused = own.reduce(0) { $0 + $1.refused }
        factsGivenUp = own.reduce(0) { $0 + $1.shed }
        waiting = backlog.filter { $0.sink == name }.map { row in
            Waiting(
                kind: row.kind.rawValue, state: row.state.rawValue, deliveries: row.deliveries, facts: row.facts,
                bytes: row.bytes, oldestAt: ISOTime.text(row.oldestNanoseconds))
        }
        kinds = (status?.kinds ?? []).map { kind in
            let wait = Double(kind.nextNanoseconds - now.monotonicNanoseconds) / 1e9
            return Kind(
                kind: kind.kind.rawValue, state: kind.state.rawValue, reason: kind.reason,
                nextAttemptInSeconds: wait > 0 ? wait : nil, isHalving: kind.isHalving)
        }
        // What was planned under other settings is not sent, and must not be overlooked.
        guard let sink else { return }
        let others = backlog.filter { $0.sink == name && !sink.carriedKinds.contains($0.kind) }.map(\.kind.rawValue)
        kinds += Set(others).sorted().map {
            Kind(
                kind: $0, state: "not set", reason: "the settings name no place for it at this endpoint",
                nextAttemptInSeconds: nil, isHalving: false)
        }
    }

    /// Facts in a state, or in all.
    func facts(_ state: DeliveryRecord.State? = nil) -> Int64 {
        waiting.filter { state == nil || $0.state == state?.rawValue }.reduce(0) { $0 + $1.facts }
    }

    /// One line for people.
    var text: String {
        var text = "\(name): \(state)"
        if let reason { text += " (\(reason))" }
        if let nextAttemptInSeconds { text += ", next attempt in \(Dashboard.span(nextAttemptInSeconds))" }
        text += ", \(factsDone) delivered"
        for kind in kinds where kind.state != "flowing" || kind.isHalving {
            text += ", \(kind.kind) \(kind.isHalving ? "rejected, batches are halved" : kind.state) (\(kind.reason))"
        }
        for row in waiting { text += ", \(row.facts) \(row.kind) \(row.state) since \(row.oldestAt)" }
        return text
    }
}

/// `/api/v1/sinks` and `/api/v1/deliveries`.
struct DeliveryResources: Sendable {
    let store: Store
    let statuses: [SinkStatus]
    let time: any TimeSource

    struct Delivery: Codable, Sendable {
        var id: Int64
        var sink: String
        var kind: String
        var state: String
        /// Numbers of the facts in the database.
        var firstId: Int64
        var lastId: Int64
        var attempts: Int
        var createdAt: String
        var nextAttemptAt: String?
        var error: String?
        var bytes: Int64

        init(_ row: DeliveryRecord) {
            id = row.id
            sink = row.sink
            kind = row.kind.rawValue
            state = row.state.rawValue
            firstId = row.firstID
            lastId = row.lastID
            attempts = row.attempts
            createdAt = ISOTime.text(row.createdNanoseconds)
            nextAttemptAt = row.nextNanoseconds > 0 ? ISOTime.text(row.nextNanoseconds) : nil
            error = row.error
            bytes = row.bytes
        }
    }

    struct Page: Codable, Sendable {
        var deliveries: [Delivery]
        /// The cursor of the next page; nil at the end.
        var next: Int64?
    }

    @Sendable
    func sinks(_ request: Request, _ context: EdgeContext) async throws -> Response {
        struct Answered: Encodable { let sinks: [SinkReading] }
        return try Answer.json(Answered(sinks: try await SinkReading.all(statuses, store: store, now: time.now())))
    }

    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let query = Query(request)
        var filter = DeliveryFilter()
        filter.sink = query.text("sink")
        filter.kind = try choice(query, "kind")
        filter.state = try choice(query, "state")
        filter.afterID = try query.int64("cursor")
        filter.limit = try query.limit()
        let rows = try await store.deliveries(filter)
        return try Answer.json(
            Page(deliveries: rows.map(Delivery.init), next: rows.count == filter.limit ? rows.last?.id : nil))
    }

    @Sendable
    func requeue(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let query = Query(request)
        let id = try query.int64("id")
        let before = try await refused()
        try await store.commit([.requeue(sink: query.text("sink"), ids: id.map { [$0] })])
        struct Answered: Encodable { let requeued: Int64 }
        return try Answer.json(Answered(requeued: before - (try await refused())))
    }

    private func refused() async throws -> Int64 {
        try await store.backlog().filter { $0.state == .refused }.reduce(0) { $0 + $1.deliveries }
    }

    private func choice<Choice: RawRepresentable & CaseIterable>(
        _ query: Query, _ name: String
    ) throws -> Choice? where Choice.RawValue == String {
        guard let text = query.text(name) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw QueryError(name: name, found: text, wanted: "one of \(words)")
        }
        return choice
    }
}
