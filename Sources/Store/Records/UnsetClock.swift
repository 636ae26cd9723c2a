/// The clock that stamped something, while nothing had set it.
public struct UnsetClock: Sendable, Hashable, Codable {
    public let bootID: String
    /// UTC as it was believed, less the steady time.
    public let offsetNanoseconds: Int64

    public init(bootID: String, offsetNanoseconds: Int64) {
        self.bootID = bootID
        self.offsetNanoseconds = offsetNanoseconds
    }
}

/// A moment of a boot whose clock is not set, by the steady clock.
public struct UnsetMoment: Sendable, Hashable, Codable {
    public let bootID: String
    public let monotonicNanoseconds: Int64

    public init(bootID: String, monotonicNanoseconds: Int64) {
        self.bootID = bootID
        self.monotonicNanoseconds = monotonicNanoseconds
    }
}
