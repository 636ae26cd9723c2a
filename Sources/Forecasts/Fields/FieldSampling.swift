import Foundation

extension GridField {
    /// The value between the four points around a place, in proportion to how near each is. Points without a value (land,
    /// for currents) are left out, unless they are nearer than half of what counts: then there is no value.
    ///
    /// - Parameter isDirection: degrees of a compass: they are averaged as directions.
    /// - Returns: nil outside the grid, and where there is no value.
    public func value(latitude: Double, longitude: Double, isDirection: Bool) -> Double? {
        guard let (row, down) = Self.place(latitude, grid.latitude, around: false),
            let (column, right) = Self.place(longitude, grid.longitude, around: grid.isAround)
        else { return nil }
        let width = grid.longitude.count
        var sum = 0.0
        var sine = 0.0
        var cosine = 0.0
        var weights = 0.0
        for (y, x, weight) in [
            (0, 0, (1 - down) * (1 - right)), (0, 1, (1 - down) * right), (1, 0, down * (1 - right)),
            (1, 1, down * right),
        ] where weight > 0 {
            let value = Double(values[min(row + y, grid.latitude.count - 1) * width + (column + x) % width])
            guard !value.isNaN else { continue }
            weights += weight
            sum += weight * value
            sine += weight * sin(value * .pi / 180)
            cosine += weight * cos(value * .pi / 180)
        }
        guard weights >= 0.5 else { return nil }
        guard isDirection else { return sum / weights }
        guard sine != 0 || cosine != 0 else { return nil }
        let degrees = atan2(sine, cosine) * 180 / .pi
        return degrees < 0 ? degrees + 360 : degrees
    }

    /// The last point that is not behind a place, and how far the place is on the way to the next one, 0...1.
    private static func place(_ value: Double, _ axis: RegularAxis, around: Bool) -> (Int, Double)? {
        var steps = (value - axis.first) / axis.step
        if around {
            let turn = 360 / axis.step
            steps -= (steps / turn).rounded(.down) * turn
        } else {
            // Longitudes have several names.
            let turn = 360 / axis.step
            let slack = 1e-6
            for shift in [0, turn, -turn]
            where (steps + shift) >= -slack && (steps + shift) <= Double(axis.count - 1) + slack {
                steps = min(max(0, steps + shift), Double(axis.count - 1))
                let low = min(Int(steps), axis.count - 1)
                return (low, steps - Double(low))
            }
            return nil
        }
        let low = min(Int(steps), axis.count - 1)
        return (low, min(1, steps - Double(low)))
    }
}

extension ForecastKind.Variable {
    /// A value between two times.
    ///
    /// - Parameter share: 0 for the first, 1 for the second.
    public func between(_ first: Double?, _ second: Double?, share: Double) -> Double? {
        if share <= 0 { return first }
        if share >= 1 { return second }
        guard let first, let second else { return nil }
        guard isDirection else { return first + (second - first) * share }
        // The short way round.
        var difference = (second - first).truncatingRemainder(dividingBy: 360)
        if difference > 180 { difference -= 360 }
        if difference < -180 { difference += 360 }
        let degrees = (first + difference * share).truncatingRemainder(dividingBy: 360)
        return degrees < 0 ? degrees + 360 : degrees
    }
}
