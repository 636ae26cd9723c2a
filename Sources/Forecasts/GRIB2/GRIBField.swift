/// One field of a message: where, what, when, and its values.
public struct GRIBField: Sendable {
    public let discipline: Int
    /// Seconds since 1970, UTC.
    public let referenceSeconds: Int64
    private let gridSection: ArraySlice<UInt8>
    private let productSection: ArraySlice<UInt8>
    private let representationSection: ArraySlice<UInt8>
    private let bitmap: GRIBBitmap
    private let data: ArraySlice<UInt8>

    /// Points of a field; a global grid of a quarter of a degree has a million. A message of a few octets may claim any number.
    public static let mostPoints = 8_388_608

    init(
        discipline: Int, referenceSeconds: Int64, grid: GRIBOctets, product: GRIBOctets, representation: GRIBOctets,
        bitmap: GRIBBitmap, data: GRIBOctets
    ) {
        self.discipline = discipline
        self.referenceSeconds = referenceSeconds
        gridSection = grid.bytes
        productSection = product.bytes
        representationSection = representation.bytes
        self.bitmap = bitmap
        self.data = data.bytes.dropFirst(5)
    }

    /// Of template 3.0.
    public func grid() throws(GRIBError) -> GRIBGrid {
        try GRIBGrid(GRIBOctets(gridSection, section: 3))
    }

    public func product() throws(GRIBError) -> GRIBProduct {
        try GRIBProduct(GRIBOctets(productSection, section: 4))
    }

    /// How its values are packed: the number of the template, 5.x.
    public func packingTemplate() throws(GRIBError) -> Int {
        try GRIBOctets(representationSection, section: 5).unsigned(10, 2)
    }

    /// The unit of its packing: two values that differ by less are packed as one.
    public func precision() throws(GRIBError) -> Double {
        let scale = try GRIBScale(GRIBOctets(representationSection, section: 5))
        return scale.step
    }

    /// The values in the order of the message, NaN where there is none.
    public func values() throws(GRIBError) -> [Float] {
        let points = try GRIBOctets(gridSection, section: 3).unsigned(7, 4)
        guard points <= Self.mostPoints else { throw .unsupported("\(points) points") }
        let section = GRIBOctets(representationSection, section: 5)
        let count = try section.unsigned(6, 4)
        guard count <= points else { throw .malformed("\(count) values for \(points) points") }
        let template = try section.unsigned(10, 2)
        let values: [Float] =
            switch template {
            case 0: try SimplePacking(section).values(data, count: count)
            case 2, 3: try ComplexPacking(section, isDifferenced: template == 3).values(data, count: count)
            case 40: try JPEG2000Packing(section).values(data, count: count)
            default: throw .unknownTemplate("5.\(template)")
            }
        return try bitmap.spread(values, points: points)
    }

    /// The values on their grid, rows from south to north.
    public func field() throws(GRIBError) -> GridField {
        try grid().arrange(values())
    }
}

/// Octets 12 to 20 of section 5, which all packings here share: a value is (R + X · 2^E) / 10^D.
struct GRIBScale {
    let reference: Double
    /// What all values are where there are no bits. The writers and readers in use (NCEP's g2c, ecCodes) do not scale it,
    /// against the letter of the regulation.
    let constant: Float
    let factor: Double
    /// Of X, or of the groups' references.
    let bits: Int
    /// How far apart values next to each other are.
    let step: Double

    init(_ section: GRIBOctets) throws(GRIBError) {
        let decimal = pow10(-(try section.signed(18, 2)))
        let exponent = try section.signed(16, 2)
        let r = try section.float32(12)
        guard r.isFinite else { throw .malformed("its reference value is \(r)") }
        reference = Double(r) * decimal
        constant = r
        factor = Double(sign: .plus, exponent: max(-1000, min(1000, exponent)), significand: 1) * decimal
        step = factor
        bits = try section.unsigned(20, 1)
        guard bits <= 32 else { throw .unsupported("values of \(bits) bits") }
    }
}
