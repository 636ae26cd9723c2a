import Digests
import Foundation
import Sensors
import TextParts

/// Where objects go, and how.
public struct S3Configuration: Sendable {
    /// Such as `https://s3.eu-central-1.amazonaws.com`.
    public var endpoint: String
    public var region = "us-east-1"
    public var bucket: String
    /// Without slashes at its ends; may be empty.
    public var prefix = ""
    public var accessKey = ""
    public var secretKey = ""
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    public var isPathStyle = true
    public var checksum = S3Checksum.sha256
    /// Whether `If-None-Match: *` is sent; else the object is asked for first.
    public var isConditional = true
    /// From so many bytes on, a file goes in parts.
    public var multipartBytes: Int64 = 16 << 20
    /// 5 MiB at least.
    public var partBytes: Int64 = 8 << 20
    public var transport = TransportOptions()

    public init(endpoint: String, bucket: String) {
        self.endpoint = endpoint
        self.bucket = bucket
    }
}

/// Signs and sends single S3 requests.
struct S3Client: Sendable {
    let configuration: S3Configuration
    let transport: CurlTransport
    let time: any TimeSource

    /// SHA-256 of nothing.
    static let emptyHash = SHA256.hash([]).hexadecimal

    /// - Parameters:
    ///   - key: not encoded.
    ///   - headers: beyond those that every request has.
    func send(
        _ method: String, key: String, query: [(String, String)] = [], headers: [(name: String, value: String)] = [],
        body: OutgoingRequest.Body = .none, payloadHash: String = emptyHash
    ) async throws(TransportError) -> OutgoingAnswer {
        let place = place(key: key)
        let stamp = UTCText.basic(time.now().utcNanoseconds)
        var signed = headers
        signed += [("host", place.host), ("x-amz-content-sha256", payloadHash), ("x-amz-date", stamp)]
        let signer = SignatureV4(
            accessKey: configuration.accessKey, secretKey: configuration.secretKey, region: configuration.region)
        let authorization = signer.authorization(
            method: method, path: place.path, query: query, headers: signed, payloadHash: payloadHash, stamp: stamp)
        let queryText = SignatureV4.canonicalQuery(query)
        let url = "\(place.scheme)://\(place.host)\(place.path)" + (queryText.isEmpty ? "" : "?\(queryText)")
        // libcurl writes the host itself, in the same form.
        let sent = signed.filter { $0.name != "host" } + [("Authorization", authorization)]
        return try await transport.perform(
            OutgoingRequest(method, url, headers: sent, body: body, options: configuration.transport))
    }

    /// Where an object is, for people and for telling one upload from another.
    func address(key: String) -> String {
        let place = place(key: key)
        return "\(place.scheme)://\(place.host)\(place.path)"
    }

    private func place(key: String) -> (scheme: String, host: String, path: String) {
        let pieces = configuration.endpoint.parts(atText: "://")
        let scheme = pieces.count == 2 ? String(pieces[0]) : "https"
        var rest = pieces.last.map(String.init) ?? ""
        while rest.hasSuffix("/") { rest.removeLast() }
        let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/"))
        var host = slash.map { String(rest[..<$0]) } ?? rest
        let base = slash.map { String(rest[$0...]) } ?? ""
        // The standard port is not named in the host field.
        if scheme == "https", host.hasSuffix(":443") { host.removeLast(4) }
        if scheme == "http", host.hasSuffix(":80") { host.removeLast(3) }
        let encoded = SignatureV4.encode(key, keepsSlashes: true)
        if configuration.isPathStyle {
            return (scheme, host, "\(base)/\(configuration.bucket)/\(encoded)")
        }
        return (scheme, "\(configuration.bucket).\(host)", "\(base)/\(encoded)")
    }
}
