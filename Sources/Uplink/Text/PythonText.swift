/// Text as the former system wrote it, in Python: what reads its tables finds the same forms.
public enum PythonText {
    /// `repr` of a float: `4.096`, `20.0`, `1e-05`.
    public static func number(_ value: Double) -> String {
        if value == value.rounded(), abs(value) < 1e16 { return "\(Int64(value)).0" }
        return "\(value)"
    }

    /// A string as `json.dumps` writes it: everything beyond ASCII as `\uXXXX`.
    ///
    /// Memory: the bytes of `text` are borrowed within the closure; those that are added are copies.
    public static func addJSON(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        let isPlain = text.withUTF8 { utf8 in
            guard unsafe utf8.allSatisfy({ (0x20..<0x7F).contains($0) && $0 != 0x22 && $0 != 0x5C }) else {
                return false
            }
            unsafe bytes.append(contentsOf: utf8)
            return true
        }
        if !isPlain {
            for unit in text.utf16 { add(unit, to: &bytes) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func add(_ unit: UInt16, to bytes: inout [UInt8]) {
        switch unit {
        case 0x22: bytes += Array("\\\"".utf8)
        case 0x5C: bytes += Array("\\\\".utf8)
        case 0x0A: bytes += Array("\\n".utf8)
        case 0x0D: bytes += Array("\\r".utf8)
        case 0x09: bytes += Array("\\t".utf8)
        case 0x08: bytes += Array("\\b".utf8)
        case 0x0C: bytes += Array("\\f".utf8)
        case 0x20..<0x7F: bytes.append(UInt8(unit))
        default:
            let hex = String(unit, radix: 16)
            bytes +=
                Array("\\u".utf8) + Array(repeating: UInt8(ascii: "0"), count: 4 - hex.utf8.count) + Array(hex.utf8)
        }
    }
}
