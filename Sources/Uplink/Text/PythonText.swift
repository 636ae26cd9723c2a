/// Text as the former system wrote it, in Python: what reads its tables finds the same forms.
public enum PythonText {
    /// `repr` of a float: `4.096`, `20.0`, `1e-05`.
    public static func number(_ value: Double) -> String {
        if value == value.rounded(), abs(value) < 1e16 { return "\(Int64(value)).0" }
        return "\(value)"
    }

    /// A string as `json.dumps` writes it: everything beyond ASCII as `\uXXXX`.
    public static func json(_ text: String) -> String {
        var out = "\""
        for unit in text.utf16 {
            switch unit {
            case 0x22: out += "\\\""
            case 0x5C: out += "\\\\"
            case 0x0A: out += "\\n"
            case 0x0D: out += "\\r"
            case 0x09: out += "\\t"
            case 0x08: out += "\\b"
            case 0x0C: out += "\\f"
            case 0x20..<0x7F: out.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
            default:
                let hex = String(unit, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            }
        }
        return out + "\""
    }
}
