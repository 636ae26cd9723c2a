import Foundation
import HTTPTypes
import Hummingbird
import TextParts

/// An address, or all that share its first bits (RFC 4632): `10.0.0.2`, `10.0.0.0/24`, `fd00::/8`.
struct AddressRange: Equatable, Sendable {
    private let bytes: [UInt8]
    private let bits: Int

    init?(_ text: String) {
        let pieces = text.parts(at: "/", maximumSplits: 1, omittingEmpty: false)
        guard let bytes = Self.bytes(String(pieces[0])) else { return nil }
        var bits = bytes.count * 8
        if pieces.count == 2 {
            guard let wanted = Int(pieces[1]), (0...bits).contains(wanted) else { return nil }
            bits = wanted
        }
        self.bytes = bytes
        self.bits = bits
    }

    func contains(_ address: String) -> Bool {
        guard let other = Self.bytes(address), other.count == bytes.count else { return false }
        for bit in 0..<bits where (bytes[bit / 8] ^ other[bit / 8]) >> (7 - UInt8(bit % 8)) & 1 != 0 { return false }
        return true
    }

    /// 4 or 16; an IPv4 address in IPv6's clothes (RFC 4291 §2.5.5.2) is one of 4.
    ///
    /// Memory: the text and the addresses are borrowed for the calls; the results are copies.
    private static func bytes(_ text: String) -> [UInt8]? {
        var four = in_addr()
        if unsafe inet_pton(AF_INET, text, &four) == 1 { return unsafe withUnsafeBytes(of: &four, Array.init) }
        var sixteen = in6_addr()
        guard unsafe inet_pton(AF_INET6, text, &sixteen) == 1 else { return nil }
        let bytes = unsafe withUnsafeBytes(of: &sixteen, Array.init)
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]
        return bytes.starts(with: mapped) ? Array(bytes[12...]) : bytes
    }
}

/// Who really asks, where proxies stand between.
struct TrustedProxies: Sendable {
    let ranges: [AddressRange]

    /// The address of whoever asks: the connection's, or, when that is a trusted proxy, the last one named in X-Forwarded-For that
    /// is not one itself. What others write there is not believed.
    func client(connection: String, forwardedFor: [String]) -> String {
        guard isTrusted(connection) else { return connection }
        let named = forwardedFor.flatMap { $0.parts(at: ",") }.map {
            ClientAddress.withoutPort(String($0).trimmingSpaces)
        }
        for address in named.reversed() where !isTrusted(address) { return address.isEmpty ? connection : address }
        return named.first ?? connection
    }

    func isTrusted(_ address: String) -> Bool { ranges.contains { $0.contains(address) } }
}

/// Finds out, before anything else, who asks.
struct ClientAddresses: RouterMiddleware {
    let proxies: TrustedProxies

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.client = proxies.client(connection: context.client, forwardedFor: request.forwardedFor)
        return try await next(request, context)
    }
}

extension Request {
    private static let forwardedForName = HTTPField.Name("X-Forwarded-For")

    fileprivate var forwardedFor: [String] { Self.forwardedForName.map { headers[values: $0] } ?? [] }

    /// Whether somebody stood between, by what the request says.
    var isForwarded: Bool { !forwardedFor.isEmpty }
}
