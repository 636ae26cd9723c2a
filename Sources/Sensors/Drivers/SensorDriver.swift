/// A kind of sensor: what it is asked and what its answers mean. A value without I/O of its own.
///
/// To add one: a file with a type like this, and a line in ``SensorCatalogue``.
public protocol SensorDriver: Sendable {
    /// - Throws: ``SensorError/badOption(_:)``.
    init(_ options: SensorOptions) throws(SensorError)
    /// Called before the first reading, and again after faults.
    mutating func begin(_ bus: some Bus) throws(SensorError)
    mutating func read(_ bus: some Bus) throws(SensorError) -> [Quantity]
}

extension SensorDriver {
    public mutating func begin(_ bus: some Bus) throws(SensorError) {}
}

/// What the settings say of one sensor, beside where it is.
public struct SensorOptions: Sendable, Hashable {
    private let values: [String: String]

    public init(_ values: [String: String]) {
        self.values = values
    }

    func number(_ name: String, in range: ClosedRange<Double>) throws(SensorError) -> Double? {
        guard let text = values[name] else { return nil }
        guard let number = Double(text), range.contains(number) else {
            throw .badOption("\(name)=\(text) is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func flag(_ name: String) throws(SensorError) -> Bool? {
        guard let text = values[name] else { return nil }
        switch text {
        case "true", "yes", "1", "on": return true
        case "false", "no", "0", "off": return false
        default: throw .badOption("\(name)=\(text) is neither true nor false")
        }
    }
}
