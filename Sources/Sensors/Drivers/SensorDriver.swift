/// A kind of sensor: what it is asked and what its answers mean. A value without I/O of its own.
///
/// To add one: a file with a type like this, and a line in ``SensorCatalogue``.
public protocol SensorDriver: Sendable {
    /// - Throws: ``SensorError/badOption(_:)``.
    init(_ options: SensorOptions) throws(SensorError)
    /// Called before the first reading, and again after faults.
    mutating func begin(_ bus: some Bus) throws(SensorError)
    mutating func read(_ bus: some Bus) throws(SensorError) -> [Quantity]
    /// What the device says that it is, such as its serial number; known after ``begin(_:)``.
    var identity: String? { get }
    /// Tells a CO2 sensor, which has been for minutes in air of so many ppm, to take them for its measure.
    mutating func recalibrate(_ bus: some Bus, co2PPM: Int) throws(SensorError)
}

extension SensorDriver {
    public var identity: String? { nil }

    public mutating func begin(_ bus: some Bus) throws(SensorError) {}

    public mutating func recalibrate(_ bus: some Bus, co2PPM: Int) throws(SensorError) {
        throw .badOption("this kind of sensor cannot be recalibrated by command")
    }
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

    func text(_ name: String) -> String? { values[name] }

    func choice<Value>(_ name: String, _ all: [(String, Value)]) throws(SensorError) -> Value? {
        guard let text = values[name] else { return nil }
        guard let found = all.first(where: { $0.0 == text }) else {
            throw .badOption("\(name)=\(text) is none of \(all.map { $0.0 }.joined(separator: ", "))")
        }
        return found.1
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
