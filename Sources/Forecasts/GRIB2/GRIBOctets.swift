/// A stretch of a message, read by octet numbers as the tables of the WMO count them: the first is 1. Every read is checked.
struct GRIBOctets {
    let bytes: ArraySlice<UInt8>
    /// For messages: which section it is.
    let section: Int

    init(_ bytes: ArraySlice<UInt8>, section: Int) {
        self.bytes = bytes
        self.section = section
    }

    var count: Int { bytes.count }

    func unsigned(_ octet: Int, _ width: Int) throws(GRIBError) -> Int {
        guard octet >= 1, width <= 8, octet - 1 + width <= bytes.count else {
            throw .truncated("section \(section) has \(bytes.count) octets, and octet \(octet + width - 1) is needed")
        }
        let start = bytes.startIndex + octet - 1
        var value: UInt64 = 0
        for place in start..<(start + width) { value = value << 8 | UInt64(bytes[place]) }
        guard let result = Int(exactly: value) else { throw .malformed("a length of \(value)") }
        return result
    }

    /// The highest bit is the sign, the others the amount (Manual on Codes, regulation 92.1.5).
    func signed(_ octet: Int, _ width: Int) throws(GRIBError) -> Int {
        let raw = try unsigned(octet, width)
        let sign = 1 << (width * 8 - 1)
        return raw & sign == 0 ? raw : -(raw & (sign - 1))
    }

    func float32(_ octet: Int) throws(GRIBError) -> Float {
        Float(bitPattern: UInt32(try unsigned(octet, 4)))
    }

    /// Whether all bits are set, which means that there is no value.
    func isMissing(_ octet: Int, _ width: Int) throws(GRIBError) -> Bool {
        guard width < 8 else { return false }
        return try unsigned(octet, width) == (1 << (width * 8)) - 1
    }
}
