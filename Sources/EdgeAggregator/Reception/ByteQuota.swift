/// Slows a sender to a mean rate, with a burst of ten seconds' worth.
///
/// A token bucket. It never drops anything: it says how long to wait before reading on, which the sender feels as a
/// slow link.
struct ByteQuota: Sendable {
    static let burstSeconds = 10.0
    private let bytesPerSecond: Double
    private var available: Double
    private var updatedNanoseconds: Int64

    /// Nil when there is no quota (`bytesPerSecond` 0).
    init?(bytesPerSecond: Int, nowNanoseconds: Int64) {
        guard bytesPerSecond > 0 else { return nil }
        self.bytesPerSecond = Double(bytesPerSecond)
        available = self.bytesPerSecond * Self.burstSeconds
        updatedNanoseconds = nowNanoseconds
    }

    /// Takes `bytes` and returns how long to wait, nil for not at all.
    mutating func take(_ bytes: Int, nowNanoseconds: Int64) -> Duration? {
        let elapsed = Double(max(0, nowNanoseconds - updatedNanoseconds)) / 1e9
        updatedNanoseconds = nowNanoseconds
        available = min(available + elapsed * bytesPerSecond, bytesPerSecond * Self.burstSeconds) - Double(bytes)
        return available < 0 ? .seconds(-available / bytesPerSecond) : nil
    }
}
