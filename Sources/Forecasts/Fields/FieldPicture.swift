/// A field as a map of letters, for a terminal: north is up, and the darker the letter the larger the value.
public struct FieldPicture: Sendable {
    private static let shades = Array(" .:-=+*#%@")
    private static let missing: Character = "·"

    /// Lines from north to south.
    public let lines: [String]
    public let least: Float
    public let most: Float

    /// - Parameters:
    ///   - columns: 8 or more; rows follow from the grid, at half as many to the degree, since letters are tall.
    public init(_ field: GridField, columns: Int = 72) {
        let (height, width) = (field.grid.latitude.count, field.grid.longitude.count)
        let across = max(1, min(max(8, columns), width))
        let down = max(1, min(height, Int((Double(across) * Double(height) / Double(width) / 2).rounded())))
        let values = field.values.filter(\.isFinite)
        let (low, high) = (values.min() ?? .nan, values.max() ?? .nan)
        // A damaged file's values may be further from each other than a Float can tell.
        let span = Double(high) - Double(low)
        (least, most) = (low, high)
        lines = (0..<down).map { line in
            let row = min(height - 1, (down - 1 - line) * height / down + height / down / 2)
            return String(
                (0..<across).map { place -> Character in
                    let value = field.values[row * width + place * width / across]
                    guard value.isFinite else { return Self.missing }
                    let share = span > 0 ? (Double(value) - Double(low)) / span : 0
                    return Self.shades[min(Self.shades.count - 1, Int(share * Double(Self.shades.count)))]
                })
        }
    }
}
