public import GRDB

/// What a sensor or the board said at a moment. Its identity is (source, quantity, time).
public struct ObservationRecord: Sendable, Hashable {
    /// The source of what the box says of itself.
    public static let board = "board"

    /// Grows with each observation; for cursors.
    public var id: Int64?
    /// The sensor's name in the settings, or `board`.
    public var source: String
    /// Such as `co2`, `temperature`.
    public var quantity: String
    /// Such as `ppm`, `Cel`; empty for a plain number.
    public var unit: String
    /// UTC.
    public var timeNanoseconds: Int64
    public var value: Double
    /// As measured, where a correction was made.
    public var raw: Double?
    /// `live`; `unsynchronised` while the clock is not set, and then `corrected` or `assumed`.
    public var timeQuality: String
    public var bootID: String
    public var monotonicNanoseconds: Int64

    public init(
        source: String, quantity: String, unit: String, timeNanoseconds: Int64, value: Double, raw: Double? = nil,
        timeQuality: String, bootID: String, monotonicNanoseconds: Int64
    ) {
        self.source = source
        self.quantity = quantity
        self.unit = unit
        self.timeNanoseconds = timeNanoseconds
        self.value = value
        self.raw = raw
        self.timeQuality = timeQuality
        self.bootID = bootID
        self.monotonicNanoseconds = monotonicNanoseconds
    }
}

extension ObservationRecord: FetchableRecord {
    /// Of the columns that ``columns`` names.
    public init(row: Row) {
        self.init(
            source: row["source"], quantity: row["quantity"], unit: row["unit"], timeNanoseconds: row["time_ns"],
            value: row["value"], raw: row["raw"], timeQuality: row["time_quality"], bootID: row["boot_id"],
            monotonicNanoseconds: row["monotonic_ns"])
        id = row["id"]
    }

    static let selection = """
        SELECT observations.id, source, quantity, unit, time_ns, value, raw, time_quality, boot_id, monotonic_ns
        FROM observations JOIN series ON series.id = series_id JOIN boots ON boots.id = boot
        """
}
