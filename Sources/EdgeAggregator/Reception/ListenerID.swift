/// The checked name of a listener: `[A-Za-z0-9._-]{1,64}`, and not `.` or `..`.
///
/// File and folder names are made of it, so nothing else is ever let through.
struct ListenerID: Hashable, Sendable, CustomStringConvertible {
    static let longest = 64
    let text: String

    /// Nil when the text is not a listener id.
    init?(_ text: some StringProtocol) {
        let bytes = text.utf8
        guard (1...Self.longest).contains(bytes.count), text != ".", text != ".." else { return nil }
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                continue
            default:
                return nil
            }
        }
        self.text = String(text)
    }

    var description: String { text }
}
