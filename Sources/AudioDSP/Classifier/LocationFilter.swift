#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Which species can be expected at a place in a week, by BirdNET's location model.
///
/// Run it once for a place and a week and keep the answer.
public final class LocationFilter {
    /// The value for "all year".
    public static let allYear = -1
    private let library: TensorFlowLiteLibrary
    private let path: String
    private let outputs: Int

    /// - Parameter outputs: how many labels the sound model has; the location model must have as many.
    public init(library: TensorFlowLiteLibrary, path: String, outputs: Int) {
        self.library = library
        self.path = path
        self.outputs = outputs
    }

    /// The week of BirdNET's year of 48 weeks, 1...48, in which a day (1...366) lies.
    public static func week(dayOfYear: Int, daysInYear: Int) -> Int {
        min(max(Int((Double(dayOfYear) / Double(daysInYear) * 48).rounded(.up)), 1), 48)
    }

    /// The probability of each label, 0...1.
    ///
    /// - Parameters:
    ///   - latitude: degrees, -90...90.
    ///   - longitude: degrees, -180...180.
    ///   - week: 1...48, or ``allYear``.
    public func probabilities(latitude: Double, longitude: Double, week: Int) throws(ClassifierError) -> [Float] {
        let interpreter = try Interpreter(model: MappedModel(library: library, path: path), weights: nil)
        let place = [Float(latitude), Float(longitude), Float(week)]
        try interpreter.setInput(place.span)
        let count = try interpreter.outputCount()
        guard count == outputs else {
            throw ClassifierError(
                .modelUnfit, path: path, reason: "it has \(count) species, the sound model \(outputs)")
        }
        var probabilities = [Float](repeating: 0, count: count)
        var output = probabilities.mutableSpan
        try interpreter.invoke(into: &output)
        return probabilities
    }
}
