public import GRDB

/// A forecast field that is kept: a row of `aggregator_datasets`.
public struct DatasetRecord: Sendable, Hashable {
    public enum State: String, Sendable, Codable, DatabaseValueConvertible {
        /// The run that it is of is not whole yet; nobody is shown it.
        case partial
        case ready
        /// Its file goes, then the row.
        case expired
    }

    /// Of the row; 0 before it is written.
    public var number: Int64
    /// Made from the data: `wind-2026082900-f003`.
    public var id: String
    /// `wind`, `ocean-currents`, `waves`
    public var kind: String
    public var source: String
    /// When its run begins. Seconds since 1970, as all times here.
    public var runSeconds: Int64
    public var validFromSeconds: Int64
    public var validToSeconds: Int64
    /// Below the folder of the fields.
    public var path: String
    public var bytes: Int64
    public var isForecast: Bool
    public var createdSeconds: Int64
    public var readSeconds: Int64?
    public var state: State

    public init(
        id: String, kind: String, source: String, runSeconds: Int64, validFromSeconds: Int64, validToSeconds: Int64,
        path: String, bytes: Int64, isForecast: Bool, createdSeconds: Int64, state: State
    ) {
        number = 0
        self.id = id
        self.kind = kind
        self.source = source
        self.runSeconds = runSeconds
        self.validFromSeconds = validFromSeconds
        self.validToSeconds = validToSeconds
        self.path = path
        self.bytes = bytes
        self.isForecast = isForecast
        self.createdSeconds = createdSeconds
        self.state = state
    }
}

extension DatasetRecord: FetchableRecord {
    /// In the order that ``init(row:)`` takes them; times as seconds.
    static let columns = """
        number, id, data_type, source, unixepoch(forecast_date) + forecast_cycle * 3600, unixepoch(valid_time_start),
            unixepoch(valid_time_end), file_path, file_size_bytes, is_forecast, unixepoch(created_at),
            unixepoch(last_accessed_at), state
        """

    public init(row: Row) {
        self.init(
            id: row[1], kind: row[2], source: row[3], runSeconds: row[4], validFromSeconds: row[5],
            validToSeconds: row[6], path: row[7], bytes: row[8], isForecast: row[9], createdSeconds: row[10],
            state: row[12])
        number = row[0]
        readSeconds = row[11]
    }
}

/// An attempt to collect fields of a kind: a row of `aggregator_collection_status`.
public struct CollectionRecord: Sendable, Hashable {
    public enum Status: String, Sendable, Codable, DatabaseValueConvertible {
        case running, completed, failed
    }

    /// `wind-2026-11-21T06:00:00.012Z`
    public var id: String
    public var kind: String
    public var status: Status
    public var startedSeconds: Int64
    public var completedSeconds: Int64?
    /// Fields.
    public var collected: Int
    public var error: String?

    public init(
        id: String, kind: String, status: Status, startedSeconds: Int64, completedSeconds: Int64? = nil,
        collected: Int = 0, error: String? = nil
    ) {
        self.id = id
        self.kind = kind
        self.status = status
        self.startedSeconds = startedSeconds
        self.completedSeconds = completedSeconds
        self.collected = collected
        self.error = error
    }
}

extension CollectionRecord: FetchableRecord {
    static let columns = """
        collection_id, data_type, status, unixepoch(started_at), unixepoch(completed_at), records_collected, error_message
        """

    public init(row: Row) {
        self.init(
            id: row[0], kind: row[1], status: row[2], startedSeconds: row[3], completedSeconds: row[4],
            collected: row[5], error: row[6])
    }
}

/// What a far end is to be told of the catalogue: how a row is now, or that it is gone.
public enum CatalogueFact: Sendable, Hashable {
    case dataset(DatasetRecord)
    case datasetGone(id: String)
    case collection(CollectionRecord)
    case collectionGone(id: String)
}
