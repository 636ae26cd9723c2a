import Foundation

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
}
