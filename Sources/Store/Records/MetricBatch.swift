public import Foundation

/// The box's metrics of one moment.
public struct MetricBatch: Sendable, Hashable {
    /// UTC.
    public var timeNanoseconds: Int64
    public var isClockSet: Bool
    /// The page of `/metrics`, compressed.
    public var payload: Data

    public init(timeNanoseconds: Int64, isClockSet: Bool, payload: Data) {
        self.timeNanoseconds = timeNanoseconds
        self.isClockSet = isClockSet
        self.payload = payload
    }
}
