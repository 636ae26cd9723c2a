/// Writes InfluxDB's line protocol.
///
/// Source: docs.influxdata.com, "Line protocol", special characters: measurements escape comma and space, tag keys, tag
/// values and field keys comma, equals sign and space, string fields quote and backslash. A tag cannot hold a line
/// break; one is written as a space, and a backslash as a slash.
public struct LineProtocol: Sendable {
    public enum Value: Sendable, Hashable {
        case text(String)
        case utf8([UInt8])
        case integer(Int64)
        /// NaN and infinity have no form: such a field is left out.
        case number(Double)
        case bool(Bool)
    }

    public private(set) var bytes: [UInt8] = []

    public init() {}

    mutating func append(_ other: LineProtocol) { bytes += other.bytes }

    /// Adds one point. Tags are written in the order given, empty ones left out.
    ///
    /// - Returns: false, and adds nothing, when no field is left.
    @discardableResult
    public mutating func add(
        _ table: String, tags: [(String, String)], fields: [(String, Value)], nanoseconds: Int64
    ) -> Bool {
        let start = bytes.count
        escape(table, Self.measurement)
        for (key, value) in tags where !value.isEmpty {
            bytes.append(UInt8(ascii: ","))
            escape(key, Self.key)
            bytes.append(UInt8(ascii: "="))
            escape(value, Self.key)
        }
        var isFirst = true
        for (key, value) in fields {
            if case .number(let number) = value, !number.isFinite { continue }
            bytes.append(isFirst ? UInt8(ascii: " ") : UInt8(ascii: ","))
            isFirst = false
            escape(key, Self.key)
            bytes.append(UInt8(ascii: "="))
            add(value)
        }
        guard !isFirst else {
            bytes.removeSubrange(start...)
            return false
        }
        bytes.append(UInt8(ascii: " "))
        bytes.append(contentsOf: String(nanoseconds).utf8)
        bytes.append(UInt8(ascii: "\n"))
        return true
    }

    /// Memory: the bytes of the text are borrowed within the closure.
    private mutating func add(_ value: Value) {
        switch value {
        case .text(var text):
            text.withUTF8 { unsafe addQuoted($0) }
        case .utf8(let text):
            unsafe text.withUnsafeBufferPointer { unsafe addQuoted($0) }
        case .integer(let integer):
            bytes.append(contentsOf: "\(integer)i".utf8)
        case .number(let number):
            bytes.append(contentsOf: "\(number)".utf8)
        case .bool(let bool):
            bytes.append(contentsOf: (bool ? "true" : "false").utf8)
        }
    }

    /// Memory: `utf8` is the caller's and is copied during this call.
    private mutating func addQuoted(_ utf8: UnsafeBufferPointer<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        var rest = unsafe utf8[...]
        while let special = unsafe rest.firstIndex(where: { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) {
            unsafe bytes.append(contentsOf: rest[..<special])
            bytes.append(UInt8(ascii: "\\"))
            unsafe bytes.append(rest[special])
            unsafe rest = rest[(special + 1)...]
        }
        unsafe bytes.append(contentsOf: rest)
        bytes.append(UInt8(ascii: "\""))
    }

    /// What a byte of a name or tag needs: nothing, a backslash before it, or another byte in its place.
    private enum Treatment { case plain, escaped, space, slash }

    private static func table(_ special: String) -> [Treatment] {
        var table = [Treatment](repeating: .plain, count: 256)
        for byte in special.utf8 { table[Int(byte)] = .escaped }
        (table[0x0A], table[0x0D]) = (.space, .space)
        // Servers differ in what a backslash before another escape means: there is none to differ about.
        table[Int(UInt8(ascii: "\\"))] = .slash
        return table
    }

    private static let measurement = table(", ")
    private static let key = table(",= ")

    private mutating func escape(_ text: String, _ table: [Treatment]) {
        guard !text.utf8.allSatisfy({ table[Int($0)] == .plain }) else {
            bytes.append(contentsOf: text.utf8)
            return
        }
        for byte in text.utf8 {
            switch table[Int(byte)] {
            case .plain: bytes.append(byte)
            case .escaped:
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case .space: bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: " ")])
            case .slash: bytes.append(UInt8(ascii: "/"))
            }
        }
    }
}
