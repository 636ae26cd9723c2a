/// One moment, by both clocks of the box.
public struct TimeStamp: Sendable, Hashable {
    /// Since 1970, by the clock that may be wrong and may be set.
    public let utcNanoseconds: Int64
    /// Since the machine started, by the clock that never steps.
    public let monotonicNanoseconds: Int64
    /// Which start of the machine the steady clock counts from.
    public let bootID: String
    /// Whether the machine's clock was set by something that knows the time.
    public let isSynchronised: Bool

    public init(utcNanoseconds: Int64, monotonicNanoseconds: Int64, bootID: String, isSynchronised: Bool) {
        self.utcNanoseconds = utcNanoseconds
        self.monotonicNanoseconds = monotonicNanoseconds
        self.bootID = bootID
        self.isSynchronised = isSynchronised
    }

    /// What turns a steady time of this boot into UTC.
    public var utcOffsetNanoseconds: Int64 { utcNanoseconds - monotonicNanoseconds }
}

/// Where stamps come from; a test puts its own clock in.
public protocol TimeSource: Sendable {
    func now() -> TimeStamp
}
