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

extension S3Configuration {
    /// Where an object is, for people and for telling one upload from another.
    func address(key: String) -> String {
        let place = place(key: key)
        return "\(place.scheme)://\(place.host)\(place.path)"
    }

    func place(key: String) -> (scheme: String, host: String, path: String) {
        let pieces = endpoint.parts(atText: "://")
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
        if isPathStyle {
            return (scheme, host, "\(base)/\(bucket)/\(encoded)")
        }
        return (scheme, "\(bucket).\(host)", "\(base)/\(encoded)")
    }
}
