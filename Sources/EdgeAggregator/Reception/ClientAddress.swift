import Foundation
import TextParts

/// The network address by which a client is counted: an IPv4 address, or the /64 network of an IPv6 address, since one client
/// has all addresses of such a network (RFC 6177).
struct ClientAddress: Hashable, Sendable {
    let text: String

    /// - Parameter address: without a port, as the connection or a trusted proxy names it. What is no address is taken as it is.
    ///
    /// Memory: the text and the address are borrowed for the calls; the bytes are copied.
    init(_ address: String) {
        var sixteen = in6_addr()
        guard unsafe inet_pton(AF_INET6, address, &sixteen) == 1 else {
            text = String(address.prefix(64))
            return
        }
        let bytes = unsafe withUnsafeBytes(of: &sixteen, Array.init)
        if bytes.starts(with: [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]) {
            // An IPv4 address in IPv6's form (RFC 4291 §2.5.5.2).
            text = bytes[12...].map { "\($0)" }.joined(separator: ".")
        } else {
            text = bytes[..<8].map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined() + "::/64"
        }
    }

    /// An address without the port and the brackets that some proxies write: `192.0.2.1:5000`, `[2001:db8::1]:5000`,
    /// `[2001:db8::1]`.
    static func withoutPort(_ text: String) -> String {
        if text.utf8.first == UInt8(ascii: "["), let (address, _) = text.halves(at: "]") {
            return String(address.dropFirst())
        }
        guard let (address, port) = text.halves(atLast: ":"), !address.isEmpty, Int(port) != nil,
            !address.utf8.contains(UInt8(ascii: ":"))
        else { return text }
        return String(address)
    }
}
