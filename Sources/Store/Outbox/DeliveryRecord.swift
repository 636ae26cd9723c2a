public import GRDB

/// A row of the outbox: something that a sink is to be sent. It refers to facts by their numbers, and is gone when it
/// is done. Facts that follow each other share a row, so that a week without a link is thousands of rows, not millions.
public struct DeliveryRecord: Sendable, Hashable {
    public enum State: String, Sendable, Codable, CaseIterable {
        case waiting
        /// Until the times that it carries are settled.
        case held
        /// Set aside: the far end will never take it as it is.
        case refused
    }

    public let id: Int64
    public let sink: String
    public let kind: DeliveryKind
    /// Numbers of the facts, both inclusive.
    public let firstID: Int64
    public let lastID: Int64
    public let state: State
    public let attempts: Int
    /// UTC.
    public let createdNanoseconds: Int64
    /// UTC; not before then.
    public let nextNanoseconds: Int64
    /// Of the last attempt, in words.
    public let error: String?
    public let bytes: Int64

    public init(
        id: Int64, sink: String, kind: DeliveryKind, firstID: Int64, lastID: Int64, state: State = .waiting,
        attempts: Int = 0, createdNanoseconds: Int64 = 0, nextNanoseconds: Int64 = 0, error: String? = nil,
        bytes: Int64 = 0
    ) {
        self.id = id
        self.sink = sink
        self.kind = kind
        self.firstID = firstID
        self.lastID = lastID
        self.state = state
        self.attempts = attempts
        self.createdNanoseconds = createdNanoseconds
        self.nextNanoseconds = nextNanoseconds
        self.error = error
        self.bytes = bytes
    }

    public var facts: Int64 { lastID - firstID + 1 }
}

extension DeliveryRecord: FetchableRecord {
    static let columns = "id, sink, kind, first_id, last_id, state, attempts, created_ns, next_ns, error, bytes"

    /// Of ``columns``, in their order.
    public init(row: Row) throws {
        guard let kind = DeliveryKind(rawValue: row[2]), let state = State(rawValue: row[5]) else {
            throw DatabaseError(message: "a delivery of an unknown kind or state: \(row)")
        }
        self.init(
            id: row[0], sink: row[1], kind: kind, firstID: row[3], lastID: row[4], state: state, attempts: row[6],
            createdNanoseconds: row[7], nextNanoseconds: row[8], error: row[9], bytes: row[10])
    }
}

/// What became of a delivery, as far as it was sent: meanwhile it may have grown.
public struct DeliverySettlement: Sendable, Hashable {
    public let id: Int64
    /// The last of its facts that the outcome is about.
    public let throughID: Int64
    public let outcome: DeliveryOutcome

    public init(_ delivery: DeliveryRecord, _ outcome: DeliveryOutcome, throughID: Int64? = nil) {
        id = delivery.id
        self.throughID = throughID ?? delivery.lastID
        self.outcome = outcome
    }

    init(id: Int64, throughID: Int64, outcome: DeliveryOutcome) {
        self.id = id
        self.throughID = throughID
        self.outcome = outcome
    }
}

/// What became of a delivery.
public enum DeliveryOutcome: Sendable, Hashable {
    /// The far end has it.
    case done
    /// It could not be sent; the reason may go away.
    case failed(reason: String, nextNanoseconds: Int64)
    /// The far end will not take these of its facts, and has the others.
    case refused([Int64: String])
    /// The fact is gone: there is nothing to send. The ledger says why.
    case void(reason: String)
}

/// What waits for one sink, by kind.
public struct DeliveryBacklog: Sendable, Hashable, Codable, FetchableRecord {
    public let sink: String
    public let kind: DeliveryKind
    public let state: DeliveryRecord.State
    public let deliveries: Int64
    public let facts: Int64
    public let bytes: Int64
    /// Of the oldest; UTC.
    public let oldestNanoseconds: Int64

    enum CodingKeys: String, CodingKey {
        case sink, kind, state, deliveries, facts, bytes
        case oldestNanoseconds = "oldest_ns"
    }
}

/// What a sink has been sent since the beginning.
public struct DeliveryTotal: Sendable, Hashable, Codable, FetchableRecord {
    public let sink: String
    public let kind: DeliveryKind
    /// Facts.
    public let done: Int64
    public let refused: Int64
    public let shed: Int64
}
