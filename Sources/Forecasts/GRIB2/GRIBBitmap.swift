/// Section 6: which points of the grid have a value.
struct GRIBBitmap: Sendable {
    /// Nil when all have. The highest bit of the first octet is the first point.
    let bits: ArraySlice<UInt8>?

    init(_ section: GRIBOctets, before: GRIBBitmap?) throws(GRIBError) {
        switch try section.unsigned(6, 1) {
        case 0: bits = section.bytes.dropFirst(6)
        case 254:
            guard let before else { throw .malformed("it refers to an earlier bitmap, and there is none") }
            bits = before.bits
        case 255: bits = nil
        case let number: throw .unsupported("a predefined bitmap (\(number))")
        }
    }

    /// Spreads values over the points that have one.
    ///
    /// - Returns: `points` values, NaN where there is none.
    func spread(_ values: [Float], points: Int) throws(GRIBError) -> [Float] {
        guard let bits else {
            guard values.count == points else {
                throw .malformed("\(values.count) values for \(points) points")
            }
            return values
        }
        guard bits.count * 8 >= points else {
            throw .truncated("a bitmap of \(bits.count) octets for \(points) points")
        }
        var result = [Float](repeating: .nan, count: points)
        var next = 0
        for point in 0..<points where bits[bits.startIndex + point >> 3] & (0x80 >> UInt8(point & 7)) != 0 {
            guard next < values.count else { throw .malformed("the bitmap has more points than there are values") }
            result[point] = values[next]
            next += 1
        }
        guard next == values.count else { throw .malformed("the bitmap has fewer points than there are values") }
        return result
    }
}
