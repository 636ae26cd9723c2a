/// Template 5.0: every value has the same number of bits.
struct SimplePacking {
    private let scale: GRIBScale

    init(_ section: GRIBOctets) throws(GRIBError) {
        scale = try GRIBScale(section)
    }

    func values(_ data: ArraySlice<UInt8>, count: Int) throws(GRIBError) -> [Float] {
        guard scale.bits > 0 else { return [Float](repeating: scale.constant, count: count) }
        let bits = BitField(data)
        guard bits.bitCount >= count * scale.bits else {
            throw .truncated("\(data.count) octets for \(count) values of \(scale.bits) bits")
        }
        // Memory: `bits` owns the packed bytes until the closure returns, and the new array owns `room`. All values fit into both.
        return try unsafe bits.withBase { base throws(GRIBError) in
            var cursor = BitField.Cursor(at: 0, width: scale.bits)
            return unsafe [Float](unsafeUninitializedCapacity: count) { room, filled in
                for place in 0..<count {
                    unsafe room.initializeElement(
                        at: place, to: Float(scale.reference + Double(cursor.next(base)) * scale.factor))
                }
                filled = count
            }
        }
    }
}
