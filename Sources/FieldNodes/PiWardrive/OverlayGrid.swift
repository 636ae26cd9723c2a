/// How many places fall into each cell of a grid over all of them; kept up to date a place at a time.
///
/// Cell i = floor((latitude - least) / span × bins), the last one for the greatest, and the same for longitude; cells are
/// told by their centre, south to north, then west to east. Where all places are on one line or point, the grid is a cell
/// thick there.
public struct OverlayGrid: Sendable {
    public struct Bounds: Sendable, Equatable {
        public var latitude: ClosedRange<Double>
        public var longitude: ClosedRange<Double>

        public init(latitude: ClosedRange<Double>, longitude: ClosedRange<Double>) {
            self.latitude = latitude
            self.longitude = longitude
        }

        /// Whether a place lies within and is not what makes the bounds as wide as they are.
        func holdsInside(_ place: AccessPoint.Place) -> Bool {
            place.latitude > latitude.lowerBound && place.latitude < latitude.upperBound
                && place.longitude > longitude.lowerBound && place.longitude < longitude.upperBound
        }

        func contains(_ place: AccessPoint.Place) -> Bool {
            latitude.contains(place.latitude) && longitude.contains(place.longitude)
        }
    }

    public static let bins = 1...500

    public let bounds: Bounds
    public let bins: Int
    /// By row × bins + column.
    private var counts: [Int32: Int32] = [:]

    public init(bounds: Bounds, bins: Int) {
        self.bounds = bounds
        self.bins = bins
    }

    private static func index(_ value: Double, _ range: ClosedRange<Double>, _ bins: Int) -> Int {
        let span = range.upperBound - range.lowerBound
        guard span > 0 else { return 0 }
        return min(Int((value - range.lowerBound) / span * Double(bins)), bins - 1)
    }

    private func cell(_ place: AccessPoint.Place) -> Int32 {
        Int32(
            Self.index(place.latitude, bounds.latitude, bins) * bins
                + Self.index(place.longitude, bounds.longitude, bins))
    }

    /// Counts a place. False when it lies outside, or on the edge where it may have been the only one: then the grid must be
    /// made anew.
    public mutating func add(_ place: AccessPoint.Place) -> Bool {
        guard bounds.contains(place) else { return false }
        counts[cell(place), default: 0] += 1
        return true
    }

    /// Forgets a place that was counted.
    public mutating func remove(_ place: AccessPoint.Place) -> Bool {
        guard bounds.holdsInside(place) else { return false }
        let cell = cell(place)
        guard let count = counts[cell] else { return false }
        counts[cell] = count > 1 ? count - 1 : nil
        return true
    }

    public var cellCount: Int { counts.count }

    /// `[latitude, longitude, count]` for each populated cell.
    public var points: [(latitude: Double, longitude: Double, count: Int32)] {
        let latitudeStep = (bounds.latitude.upperBound - bounds.latitude.lowerBound) / Double(bins)
        let longitudeStep = (bounds.longitude.upperBound - bounds.longitude.lowerBound) / Double(bins)
        return counts.sorted { $0.key < $1.key }.map { cell, count in
            (
                bounds.latitude.lowerBound + (Double(Int(cell) / bins) + 0.5) * latitudeStep,
                bounds.longitude.lowerBound + (Double(Int(cell) % bins) + 0.5) * longitudeStep, count
            )
        }
    }
}
