public import Foundation

/// The box's metrics of one moment.
public struct MetricBatch: Sendable, Hashable {
    /// UTC.
    public var timeNanoseconds: Int64
    /// Nil when the clock was set.
    public var unset: UnsetClock?
    /// The page of `/metrics`, compressed.
    public var payload: Data

    public init(timeNanoseconds: Int64, unset: UnsetClock?, payload: Data) {
        self.timeNanoseconds = timeNanoseconds
        self.unset = unset
        self.payload = payload
    }
}
