import AudioDSP
import Foundation
import Hummingbird
import Sensors
import Store

/// `GET /api/v1/listeners`, `/coverage`, `/ledger`, `/status`.
struct ListenerResources: Sendable {
    let house: ReceptionHouse
    let snapshot: StatusSnapshot

    struct Connection: Encodable {
        let remoteAddress: String
        let connectedAt: String
        let lastReceivedAt: String
        let bytes: Int64
        let frames: Int64
        let framesMissing: Int64
        let framesDuplicate: Int64
        let framesOld: Int64
        let framesRealigned: Int64
        let gaps: Int64
        let filledGaps: Int64
        let gapSeconds: Double
        let sampleRate: Int?
        let channels: Int?
        let encoding: String?
        let recording: String?

        init(_ connection: ListenerConnection) {
            let status = connection.status
            remoteAddress = connection.remoteAddress
            connectedAt = ISOTime.text(status.openedNanoseconds)
            lastReceivedAt = ISOTime.text(status.lastReceivedNanoseconds)
            bytes = status.bytes
            frames = status.counters.framesReceived
            framesMissing = status.counters.framesMissing
            framesDuplicate = status.counters.framesDuplicate
            framesOld = status.counters.framesOld
            framesRealigned = status.counters.framesRealigned
            gaps = status.gaps
            filledGaps = status.filledGaps
            gapSeconds = status.gapSeconds
            sampleRate = status.format?.sampleRate
            channels = status.format?.channels
            encoding = status.format?.encoding.rawValue
            recording = status.recordingName
        }
    }

    struct Listener: Encodable {
        let id: String
        let isConnected: Bool
        let firstSeenAt: String
        let lastSeenAt: String
        let recordings: Int
        let detections: Int
        let connections: [Connection]
    }

    @Sendable
    func listeners(_ request: Request, _ context: EdgeContext) async throws -> Response {
        struct Page: Encodable {
            let listeners: [Listener]
            let next: String?
        }
        let query = Query(request)
        let limit = try query.limit(1000)
        let connected = Dictionary(grouping: house.registry.connections) { $0.listener.text }
        let known = try await house.store.listeners(after: query.text("cursor"), limit: limit)
        let listeners = known.map { known in
            let connections = (connected[known.id] ?? []).map(Connection.init)
            return Listener(
                id: known.id, isConnected: !connections.isEmpty, firstSeenAt: ISOTime.text(known.firstSeenNanoseconds),
                lastSeenAt: connections.map(\.lastReceivedAt).max() ?? ISOTime.text(known.lastSeenNanoseconds),
                recordings: known.recordings, detections: known.detections, connections: connections)
        }
        return try Answer.json(
            Page(listeners: listeners, next: listeners.count == limit ? listeners.last?.id : nil))
    }

    @Sendable
    func coverage(_ request: Request, _ context: EdgeContext) async throws -> Response {
        struct Part: Encodable {
            let listener: String
            let recordings: Int
            let firstAt: String?
            let lastAt: String?
            let spannedSeconds: Double
            let accountedSeconds: Double
            let heardSeconds: Double
            let filledSeconds: Double
            let gaps: [String: Double]
            let losses: [String: Double]
        }
        struct Page: Encodable {
            let from: String
            let to: String
            let listeners: [Part]
            let next: String?
        }
        let query = Query(request)
        let limit = try query.limit(1000)
        let cursor = query.text("cursor")
        let now = house.time.now().utcNanoseconds
        let to = try query.time("to") ?? now + 86_400_000_000_000
        let from = try query.time("from") ?? min(now, to) - 7 * 86_400_000_000_000
        guard from < to else {
            throw QueryError(name: "from", found: query.text("from") ?? "", wanted: "a time before `to`")
        }
        let seconds = { (nanoseconds: Int64) in Double(nanoseconds) / 1e9 }
        let parts = try await house.store.coverage(
            fromNanoseconds: from, toNanoseconds: to, listener: query.text("listener")
        ).filter { cursor == nil || $0.listenerID > cursor ?? "" }.prefix(limit).map { coverage in
            Part(
                listener: coverage.listenerID, recordings: coverage.recordings,
                firstAt: coverage.firstNanoseconds.map(ISOTime.text),
                lastAt: coverage.lastNanoseconds.map(ISOTime.text),
                spannedSeconds: seconds(coverage.spannedNanoseconds),
                accountedSeconds: seconds(coverage.accountedNanoseconds),
                heardSeconds: seconds(coverage.heardNanoseconds), filledSeconds: seconds(coverage.filledNanoseconds),
                gaps: coverage.gaps.mapValues(seconds), losses: coverage.losses.mapValues(seconds))
        }
        return try Answer.json(
            Page(
                from: ISOTime.text(from), to: ISOTime.text(to), listeners: parts,
                next: parts.count == limit ? parts.last?.listener : nil))
    }

    @Sendable
    func ledger(_ request: Request, _ context: EdgeContext) async throws -> Response {
        struct Line: Encodable {
            let id: Int64
            let listener: String
            let session: String?
            let recording: String?
            let kind: String
            let reason: String
            let startAt: String
            let seconds: Double
            let frames: Int64
            let bytes: Int64
        }
        struct Page: Encodable {
            let ledger: [Line]
            let next: Int64?
        }
        let query = Query(request)
        let limit = try query.limit()
        let lines = try await house.store.ledger(
            listener: query.text("listener"), kind: query.text("kind"), beforeID: try query.int64("cursor"),
            limit: limit
        ).map { entry in
            Line(
                id: entry.id ?? 0, listener: entry.listenerID, session: entry.sessionID, recording: entry.recordingName,
                kind: entry.kind, reason: entry.reason, startAt: ISOTime.text(entry.startNanoseconds),
                seconds: Double(entry.durationNanoseconds) / 1e9, frames: entry.frames, bytes: entry.bytes)
        }
        return try Answer.json(Page(ledger: lines, next: lines.count == limit ? lines.last?.id : nil))
    }

    @Sendable
    func status(_ request: Request, _ context: EdgeContext) async throws -> Response {
        try Answer.json(try await snapshot.take())
    }
}
