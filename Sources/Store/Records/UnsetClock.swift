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
