import Digests
import Sensors

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
        let place = configuration.place(key: key)
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
}
