import Digests
import Foundation
import TextParts

/// Signs requests as Amazon's "Signature Version 4" has it ("Authenticating Requests (AWS Signature Version 4)", AWS
/// General Reference and S3 API Reference).
///
/// For S3 the path is encoded once and never normalised; `x-amz-content-sha256` is always sent and signed.
public struct SignatureV4: Sendable {
    public let accessKey: String
    public let secretKey: String
    public let region: String
    public let service: String

    public init(accessKey: String, secretKey: String, region: String, service: String = "s3") {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.region = region
        self.service = service
    }

    /// The `Authorization` field.
    ///
    /// - Parameters:
    ///   - path: encoded already, beginning with `/`.
    ///   - query: names and values, not encoded yet.
    ///   - headers: everything that is signed, `host` and `x-amz-date` among it; names in any case.
    ///   - payloadHash: SHA-256 of the body in hexadecimal, or `UNSIGNED-PAYLOAD`.
    ///   - stamp: the time, as in `x-amz-date`: `20130524T000000Z`.
    public func authorization(
        method: String, path: String, query: [(String, String)], headers: [(name: String, value: String)],
        payloadHash: String, stamp: String
    ) -> String {
        let fields = Self.canonical(headers)
        let signedNames = fields.map(\.name).joined(separator: ";")
        let canonicalRequest = [
            method, path, Self.canonicalQuery(query), fields.map { "\($0.name):\($0.value)\n" }.joined(), signedNames,
            payloadHash,
        ].joined(separator: "\n")
        let day = String(stamp.prefix(8))
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let toSign = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(SHA256.hash(canonicalRequest.utf8).hexadecimal)"
        var key = Array("AWS4\(secretKey)".utf8)
        for part in [day, region, service, "aws4_request"] {
            key = SHA256.authenticationCode(for: Array(part.utf8).span, key: key.span).bytes
        }
        let signature = SHA256.authenticationCode(for: Array(toSign.utf8).span, key: key.span).hexadecimal
        return "AWS4-HMAC-SHA256 Credential=\(accessKey)/\(scope),SignedHeaders=\(signedNames),Signature=\(signature)"
    }

    /// Lower-case names in order, values without outer and repeated white space, values of one name joined by commas.
    private static func canonical(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)] {
        var values: [String: [String]] = [:]
        for header in headers {
            let value = header.value.replacingText("\t", with: " ").parts(at: " ").joined(separator: " ")
            values[header.name.lowercased(), default: []].append(value)
        }
        return values.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { ($0.key, $0.value.joined(separator: ",")) }
    }

    /// Encoded, and in the order of the encoded names, then values.
    public static func canonicalQuery(_ query: [(String, String)]) -> String {
        query.map { (encode($0.0), encode($0.1)) }
            .sorted {
                $0.0 == $1.0
                    ? $0.1.utf8.lexicographicallyPrecedes($1.1.utf8) : $0.0.utf8.lexicographicallyPrecedes($1.0.utf8)
            }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    /// Percent-encodes all but `A-Z a-z 0-9 - . _ ~` (RFC 3986 §2.3), and slashes if they are kept.
    public static func encode(_ text: String, keepsSlashes: Bool = false) -> String {
        var out: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                out.append(byte)
            case UInt8(ascii: "/") where keepsSlashes: out.append(byte)
            default:
                let digits = Array("0123456789ABCDEF".utf8)
                out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
