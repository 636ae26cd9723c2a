/// A UUID of version 5, made of a name: the same name in the same namespace always gives the same UUID (RFC 9562, section 5.5).
///
/// ```swift
/// let box = NameBasedUUID(name: "north-1", namespace: .dns)
/// let row = NameBasedUUID(name: "wind-2026082900-f003", namespace: box)
/// ```
public struct NameBasedUUID: Sendable, Hashable, CustomStringConvertible {
    /// The namespace of domain names (RFC 9562, section 6.6): 6ba7b810-9dad-11d1-80b4-00c04fd430c8.
    public static let dns = NameBasedUUID(bytes: [
        0x6B, 0xA7, 0xB8, 0x10, 0x9D, 0xAD, 0x11, 0xD1, 0x80, 0xB4, 0x00, 0xC0, 0x4F, 0xD4, 0x30, 0xC8,
    ])

    /// Sixteen bytes, in the order in which they are printed.
    public let bytes: [UInt8]

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// - Parameters:
    ///   - name: Its UTF-8 form is hashed as it is.
    ///   - namespace: Names are unique in it.
    public init(name: String, namespace: NameBasedUUID) {
        var state = HashState(.sha1)
        state.update(namespace.bytes)
        state.update(name.utf8)
        // A digest of SHA-1 (RFC 3174) has 20 bytes, of which the first 16 are taken.
        var bytes = Array(state.finalize(byteCount: 20).bytes.prefix(16))
        bytes[6] = bytes[6] & 0x0F | 0x50
        bytes[8] = bytes[8] & 0x3F | 0x80
        self.bytes = bytes
    }

    /// Lower-case hexadecimal digits in groups of 8, 4, 4, 4 and 12.
    public var description: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append(UInt8(ascii: "-")) }
            text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return String(decoding: text, as: UTF8.self)
    }
}
