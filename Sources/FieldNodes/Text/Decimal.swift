/// Numbers as nodes write them.
enum Decimal {
    /// Powers of ten that a double holds exactly.
    private static let powers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    ]

    /// The nearest double; nil when the text is no number.
    ///
    /// Nearly all are a few digits with a point. Up to fifteen digits and their power of ten are exact, so that one division
    /// rounds right (Clinger 1990, "How to Read Floating Point Numbers Accurately"); all others go the long way.
    static func value(_ text: Substring) -> Double? {
        value(bytes: text.utf8) ?? Double(text)
    }

    /// Memory: the caller owns the bytes until the return.
    static func value(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Double? {
        unsafe value(bytes: bytes) ?? Double(String(decoding: bytes, as: UTF8.self))
    }

    /// The short way; nil when it does not do.
    private static func value(bytes: some Collection<UInt8>) -> Double? {
        var digits: Int64 = 0
        var count = 0
        var behindPoint: Int?
        var isNegative = false
        for (place, byte) in bytes.enumerated() {
            switch byte {
            case 0x30...0x39:
                digits = digits * 10 + Int64(byte - 0x30)
                count += 1
                behindPoint? += 1
                if count > 15 { return nil }
            case UInt8(ascii: ".") where behindPoint == nil: behindPoint = 0
            case UInt8(ascii: "-") where place == 0: isNegative = true
            default: return nil
            }
        }
        guard count > 0 else { return nil }
        let value = Double(digits) / powers[behindPoint ?? 0]
        return isNegative ? -value : value
    }
}
