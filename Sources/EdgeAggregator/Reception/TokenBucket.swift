/// A number of events that fills up again by itself, up to what some minutes bring.
///
/// A value type: the caller tells the time.
struct TokenBucket: Sendable {
    private let perMinute: Double
    private let capacity: Double
    private var available: Double
    private var updatedNanoseconds: Int64

    /// Full. Nil when there is no limit (`perMinute` 0).
    ///
    /// - Parameters:
    ///   - burstMinutes: how many minutes' worth may happen at once.
    ///   - nowNanoseconds: of a steady clock, here and below.
    init?(perMinute: Int, burstMinutes: Int = 1, nowNanoseconds: Int64) {
        guard perMinute > 0 else { return nil }
        self.perMinute = Double(perMinute)
        capacity = Double(perMinute * max(1, burstMinutes))
        available = capacity
        updatedNanoseconds = nowNanoseconds
    }

    /// Whole events that may happen now; negative after more were taken than there were.
    mutating func available(nowNanoseconds: Int64) -> Int {
        refill(nowNanoseconds)
        return Int(available.rounded(.down))
    }

    /// Takes events, also more than there are, down to a minute's worth of debt.
    ///
    /// - Returns: how long it lasts until none is owed; nil when none is.
    @discardableResult
    mutating func take(_ count: Int, nowNanoseconds: Int64) -> Duration? {
        refill(nowNanoseconds)
        available = max(available - Double(count), -perMinute)
        return available < 0 ? .seconds(-available / perMinute * 60) : nil
    }

    private mutating func refill(_ now: Int64) {
        let elapsed = Double(max(0, now - updatedNanoseconds)) / 60e9
        updatedNanoseconds = now
        available = min(capacity, available + elapsed * perMinute)
    }
}
