/// One number of a reading: what was measured, in which unit.
public struct Quantity: Sendable, Hashable {
    /// Such as `co2`, `temperature`.
    public let name: String
    /// As people write it: `ppm`, `°C`, `%`, `hPa`, `V`; empty for a plain number.
    public let unit: String
    public var value: Double
    /// As measured, where a correction was made.
    public var raw: Double?
    /// How long before the reading it was so: a change has a time of its own.
    public var agoNanoseconds: Int64 = 0

    public init(_ name: String, _ value: Double, unit: String = "", raw: Double? = nil) {
        self.name = name
        self.unit = unit
        self.value = value
        self.raw = raw
    }
}
