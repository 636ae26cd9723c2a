/// Writes small JSON objects, names in the order given.
struct JSONText {
    private(set) var text = "{"

    mutating func add(_ name: String, _ value: String) { addRaw(name, Self.quoted(value)) }
    mutating func add(_ name: String, _ value: Int64) { addRaw(name, "\(value)") }
    /// NaN and infinity have no form in JSON: null stands for them.
    mutating func add(_ name: String, _ value: Double) { addRaw(name, value.isFinite ? "\(value)" : "null") }

    mutating func addRaw(_ name: String, _ json: String) {
        if text.utf8.count > 1 { text += "," }
        text += "\(Self.quoted(name)):\(json)"
    }

    var bytes: [UInt8] { Array((text + "}").utf8) }
    var object: String { text + "}" }

    /// RFC 8259 §7.
    static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: out += "\\\""
            case 0x5C: out += "\\\\"
            case 0..<0x20:
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
