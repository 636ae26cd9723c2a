import Foundation
import TextParts

/// The host in a `Host` field (RFC 9110 §7.2): a name or a literal address, without its port.
enum RequestedHost: Equatable, Sendable {
    /// A literal IPv4 or IPv6 address. Nobody can make a name of his own resolve to it, so no browser sends it for a page of somebody else.
    case address
    /// In lower case, without the dot that may end it.
    case name(String)

    /// - Parameter authority: `host[:port]`, an IPv6 address in brackets. Nil when it is neither.
    init?(_ authority: String) {
        if authority.utf8.first == UInt8(ascii: "[") {
            guard let end = authority.utf8.firstIndex(of: UInt8(ascii: "]")),
                Self.isPort(authority[authority.utf8.index(after: end)...])
            else {
                return nil
            }
            let inside = Substring(authority.utf8[..<end].dropFirst())
            // A zone (RFC 6874) only says through which interface the sender reaches the address.
            guard Self.isAddress(String(inside.before("%")), family: AF_INET6) else { return nil }
            self = .address
            return
        }
        let colon = authority.utf8.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
        guard Self.isPort(authority[colon...]) else { return nil }
        let host = authority[..<colon]
        guard let name = HostName(String(host)) else { return nil }
        self = Self.isAddress(name.text, family: AF_INET) ? .address : .name(name.text)
    }

    /// Empty, or a colon and digits; the digits may be missing.
    private static func isPort(_ text: Substring) -> Bool {
        text.isEmpty
            || text.utf8.first == UInt8(ascii: ":") && text.utf8.dropFirst().allSatisfy { (48...57).contains($0) }
    }

    /// Memory: the text and `bytes` are borrowed for the call; only its result leaves.
    static func isAddress(_ text: String, family: Int32) -> Bool {
        var bytes = in6_addr()
        return unsafe inet_pton(family, text, &bytes) == 1
    }
}

/// A host name in the form in which names are compared: lower case, without the dot that may end it (RFC 1034 §3.1).
struct HostName: Hashable, Sendable {
    let text: String

    /// Nil when the text is not 1 to 253 letters, digits, dots, hyphens and underscores.
    init?(_ text: String) {
        var name = text.lowercased()
        if name.utf8.last == UInt8(ascii: ".") { name.removeLast() }
        guard (1...253).contains(name.utf8.count),
            name.utf8.allSatisfy({ (97...122).contains($0) || (48...57).contains($0) || "-._".utf8.contains($0) })
        else { return nil }
        self.text = name
    }
}

/// The names by which the box may be asked where no token is asked for.
struct KnownHosts: Sendable, Equatable {
    /// Those of `host_names`, and those in `listen` and `tls_listen`.
    let configured: Set<HostName>

    /// - Parameters:
    ///   - authority: the value of a `Host` field.
    ///   - ownName: the box's own host name at this moment.
    func contains(_ authority: String, ownName: String) -> Bool {
        switch RequestedHost(authority) {
        case nil: return false
        case .address: return true
        case .name(let name):
            if name == "localhost" || configured.contains(where: { $0.text == name }) { return true }
            guard let own = HostName(ownName)?.text, let label = own.parts(at: ".").first else { return false }
            // What mDNS answers to (RFC 6762 §3) has one label before `.local`.
            return [own, String(label), "\(label).local"].contains(name)
        }
    }

    /// As the kernel has it now: a network or balena may name the box after the start.
    ///
    /// Memory: `bytes` is this function's and borrowed for the call, which ends the name with a zero byte where there is room.
    static var ownName: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&bytes, bytes.count - 1) == 0 else { return "" }
        return String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
