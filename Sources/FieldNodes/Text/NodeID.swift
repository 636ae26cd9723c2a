/// Which fleet a node is of. Raw values stand in the database and in addresses.
public enum NodeKind: String, Sendable, CaseIterable, Codable {
    case co2
    case isems
    case piwardrive
}

/// The checked name of a node.
///
/// Of a CO2 unit it is `[A-Za-z0-9._-]{1,64}`, not beginning with a point: folders are made of it. Others' names are never
/// part of a path, and are free text: 1 to 64 bytes of UTF-8 without control characters and `/`.
public struct NodeID: Hashable, Sendable, CustomStringConvertible {
    public static let longestBytes = 64

    public let kind: NodeKind
    public let text: String

    /// Nil when the text is not such a name.
    public init?(_ kind: NodeKind, _ text: some StringProtocol) {
        guard (1...Self.longestBytes).contains(text.utf8.count) else { return nil }
        switch kind {
        case .co2:
            // `manual` holds what people put beside the units' folders.
            guard FileName.isPlain(text), text != "manual" else { return nil }
        case .isems, .piwardrive:
            let isFree = text.unicodeScalars.allSatisfy { scalar in
                scalar.value >= 0x20 && scalar != "/" && !(0x7F...0x9F).contains(scalar.value)
                    && scalar.properties.generalCategory != .format
                    && scalar.value != 0x2028 && scalar.value != 0x2029
            }
            guard isFree, text.unicodeScalars.first != " ", text.unicodeScalars.last != " " else { return nil }
        }
        self.kind = kind
        self.text = String(text)
    }

    /// By the bytes: Swift's `==` takes texts that Unicode calls equivalent, such as the two forms of `é`, for the same name.
    public static func == (first: NodeID, second: NodeID) -> Bool {
        first.kind == second.kind && first.text.utf8.elementsEqual(second.text.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(Array(text.utf8))
    }

    /// `co2/co2unit-30aea42a5140`: the source of its observations.
    public var description: String { "\(kind.rawValue)/\(text)" }
}

/// Names of files that are let through.
public enum FileName {
    /// `[A-Za-z0-9._-]{1,64}`, not beginning with a point.
    public static func isPlain(_ name: some StringProtocol) -> Bool {
        let bytes = name.utf8
        guard (1...64).contains(bytes.count), bytes.first != UInt8(ascii: ".") else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }
}
