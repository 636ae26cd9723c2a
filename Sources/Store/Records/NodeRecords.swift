public import GRDB
import TextParts

/// Which node: its fleet, and its checked name in it.
public struct NodeKey: Sendable, Hashable {
    public var kind: String
    public var name: String

    public init(kind: String, name: String) {
        self.kind = kind
        self.name = name
    }

    /// By the bytes, as SQLite compares names: Swift's `==` takes texts that Unicode calls equivalent for the same.
    public static func == (first: NodeKey, second: NodeKey) -> Bool {
        first.kind.utf8.elementsEqual(second.kind.utf8) && first.name.utf8.elementsEqual(second.name.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(Array(kind.utf8))
        hasher.combine(Array(name.utf8))
    }

    /// `co2/co2unit-30aea42a5140`
    public var source: String { "\(kind)/\(name)" }
}

/// A node of the field.
public struct NodeRecord: Sendable, Hashable {
    /// What the operator says of it.
    public enum Admission: String, Sendable, Codable, CaseIterable, DatabaseValueConvertible {
        /// It was heard of, and nobody has said whether it may send.
        case waiting
        case admitted
        case refused
    }

    public var id: Int64
    public var key: NodeKey
    /// What people call it; empty for nothing.
    public var label: String
    public var admission: Admission
    /// UTC.
    public var firstSeenNanoseconds: Int64
    public var lastSeenNanoseconds: Int64
    public var remoteAddress: String
    public var messages: Int64
    /// UTC; of its newest reading.
    public var readingNanoseconds: Int64?
    public var latitude: Double?
    public var longitude: Double?
    /// Percent.
    public var battery: Double?
    /// dBm.
    public var signal: Double?
    public var version: Int64
}

extension NodeRecord: FetchableRecord {
    public init(row: Row) {
        self.init(
            id: row["id"], key: NodeKey(kind: row["kind"], name: row["name"]), label: row["label"],
            admission: row["admission"], firstSeenNanoseconds: row["first_seen_ns"],
            lastSeenNanoseconds: row["last_seen_ns"], remoteAddress: row["remote_address"], messages: row["messages"],
            readingNanoseconds: row["reading_ns"], latitude: row["latitude"], longitude: row["longitude"],
            battery: row["battery"], signal: row["signal"], version: row["version"])
    }
}

/// That a node was heard of.
public struct NodeSighting: Sendable, Hashable {
    public var key: NodeKey
    /// UTC.
    public var seenNanoseconds: Int64
    /// Nil for what it was called before.
    public var label: String?
    public var remoteAddress: String
    /// Of a node that is new, or waits.
    public var admission: NodeRecord.Admission
    /// How many messages this tells of.
    public var messages: Int64

    public init(
        key: NodeKey, seenNanoseconds: Int64, label: String? = nil, remoteAddress: String = "",
        admission: NodeRecord.Admission, messages: Int64 = 1
    ) {
        self.messages = messages
        self.key = key
        self.seenNanoseconds = seenNanoseconds
        self.label = label
        self.remoteAddress = remoteAddress
        self.admission = admission
    }
}

/// Quantities of a kind of reading, and their units.
public struct ReadingLayout: Sendable, Hashable {
    public let names: [String]
    public let units: [String]
    /// `co2 ppm,temperature °C`, as it stands in the database.
    let text: String

    /// - Parameter columns: names and units have neither space nor comma.
    public init(_ columns: [(name: String, unit: String)]) {
        names = columns.map(\.name)
        units = columns.map(\.unit)
        text = columns.map { "\($0.name) \($0.unit)" }.joined(separator: ",")
    }

    init(text: String) {
        self.text = text
        let columns = text.parts(at: ",").map { $0.parts(at: " ", maximumSplits: 1) }
        names = columns.map { String($0.first ?? "") }
        units = columns.map { $0.count > 1 ? String($0[1]) : "" }
    }
}

/// Readings of one node, each many numbers of one moment. Its identity is (node, layout, time).
public struct ReadingBatch: Sendable {
    public var key: NodeKey
    public var layout: ReadingLayout
    /// UTC.
    public private(set) var times: [Int64] = []
    /// As many for each time as the layout has; NaN for what is missing.
    public private(set) var numbers: [Double] = []
    /// One for each time.
    public private(set) var texts: [String?] = []
    /// `node` when the node stamped them, else as of observations.
    public var timeQuality = "node"
    /// Of what the box stamped itself.
    public var bootID: String?
    public var monotonicNanoseconds: Int64?
    /// Whether counts and sums over all readings there ever were are kept.
    public var keepsSums = false
    /// Nil where readings that are there stay as they are. Else one that lacks numbers of these, and has the same elsewhere, was
    /// made of a part of its line: it is replaced, and the whole one is delivered. The places named here are computed from
    /// others, so they may differ.
    public var completesApartFrom: Set<Int>?

    public init(key: NodeKey, layout: ReadingLayout) {
        self.key = key
        self.layout = layout
    }

    public var isEmpty: Bool { times.isEmpty }
    public var count: Int { times.count }

    /// - Parameter numbers: as many as the layout has.
    public mutating func add(timeNanoseconds: Int64, _ values: [Double], text: String? = nil) {
        precondition(values.count == layout.names.count, "a reading has a number for each quantity")
        times.append(timeNanoseconds)
        numbers.append(contentsOf: values)
        texts.append(text)
    }
}

/// A reading as it is kept.
public struct ReadingRecord: Sendable, Hashable {
    public var id: Int64
    public var key: NodeKey
    public var layout: ReadingLayout
    /// UTC.
    public var timeNanoseconds: Int64
    /// By the layout; NaN for what is missing.
    public var numbers: [Double]
    public var text: String?
    public var timeQuality: String

    /// An observation for each number that there is.
    public var observations: [ObservationRecord] {
        numbers.indices.compactMap { place in
            guard numbers[place].isFinite else { return nil }
            var observation = ObservationRecord(
                source: key.source, quantity: layout.names[place], unit: layout.units[place],
                timeNanoseconds: timeNanoseconds, value: numbers[place], timeQuality: timeQuality, bootID: "",
                monotonicNanoseconds: 0)
            observation.id = id
            return observation
        }
    }
}

/// Something that a node wrote in its own log.
public struct NodeErrorRecord: Sendable, Hashable {
    /// Of its line in the file, in bytes.
    public var position: Int64
    /// UTC, as the node's clock said; nil when it did not know.
    public var timeNanoseconds: Int64?
    public var level: String
    public var type: String
    public var message: String
    public var path = ""

    public init(position: Int64, timeNanoseconds: Int64?, level: String, type: String, message: String) {
        self.position = position
        self.timeNanoseconds = timeNanoseconds
        self.level = level
        self.type = type
        self.message = message
    }
}

/// A line that could not be taken.
public struct RejectedLineRecord: Sendable, Hashable {
    public var key: NodeKey
    public var line: String
    public var reason: String
    public var lastNanoseconds: Int64
    /// How often it came.
    public var count: Int64 = 1

    public init(key: NodeKey, line: String, reason: String, lastNanoseconds: Int64) {
        self.key = key
        self.line = line
        self.reason = reason
        self.lastNanoseconds = lastNanoseconds
    }
}

/// What a unit last knew of an access point. Its identity is (unit, BSSID).
public struct AccessPointRecord: Sendable, Hashable {
    public var bssid: String
    public var ssid: String
    public var encryption: String
    /// Degrees; both, or neither.
    public var latitude: Double?
    public var longitude: Double?
    /// UTC, seconds since 1970.
    public var seenSeconds: Int64?

    public init(
        bssid: String, ssid: String, encryption: String, latitude: Double?, longitude: Double?, seenSeconds: Int64?
    ) {
        self.bssid = bssid
        self.ssid = ssid
        self.encryption = encryption
        self.latitude = latitude
        self.longitude = longitude
        self.seenSeconds = seenSeconds
    }
}
