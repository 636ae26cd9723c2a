/// MD5 (RFC 1321), for protocols that demand it as a checksum (`Content-MD5`). It gives no security.
public struct MD5: ~Copyable {
    /// The length of a digest.
    public static let byteCount = 16

    private var state = HashState(.md5)

    /// Begins a hash.
    public init() {}

    /// Adds bytes. Bytes in contiguous storage (`[UInt8]`, `Data`, a string's `utf8`) are not copied.
    public mutating func update(_ bytes: some Sequence<UInt8>) { state.update(bytes) }

    /// Adds bytes without copying them.
    public mutating func update(_ bytes: Span<UInt8>) { state.update(bytes) }

    /// Adds bytes without copying them.
    public mutating func update(_ bytes: RawSpan) { state.update(bytes) }

    /// The digest of all bytes that were added.
    public consuming func finalize() -> Digest { state.finalize(byteCount: Self.byteCount) }

    /// The digest of these bytes.
    public static func hash(_ bytes: some Sequence<UInt8>) -> Digest {
        var hasher = MD5()
        hasher.update(bytes)
        return hasher.finalize()
    }
}
