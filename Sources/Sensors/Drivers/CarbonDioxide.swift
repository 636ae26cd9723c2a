extension Quantity {
    /// What a CO2 sensor says, if it is a reading.
    ///
    /// - Parameters:
    ///   - ppm: what it says. Outdoor air has about 420 ppm; 0 is what a sensor says before it has measured.
    ///   - limit: what it says when the air has that much or more, in ppm.
    /// - Throws: ``SensorError/warming(_:)`` for 0, ``SensorError/saturated(_:)`` from `limit` on.
    static func co2(_ ppm: Double, limit: Double) throws(SensorError) -> Quantity {
        guard ppm != 0 else { throw .warming("it says 0 ppm, which no air has: it has not measured yet") }
        guard ppm < limit else { throw .saturated("the CO2 is at or above the \(Int(limit)) ppm that it can measure") }
        return Quantity("co2", ppm, unit: "ppm")
    }
}
