internal import CLibCrypto

/// SHA-256 (FIPS 180-4).
///
/// ```swift
/// var hasher = SHA256()
/// while let piece = try file.read(upToCount: 1 << 20) { hasher.update(piece) }
/// let text = hasher.finalize().hexadecimal
/// ```
public struct SHA256: ~Copyable {
    /// The length of a digest.
    public static let byteCount = 32

    private var state = HashState(.sha256)

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
        var hasher = SHA256()
        hasher.update(bytes)
        return hasher.finalize()
    }

    /// HMAC-SHA-256 (RFC 2104) of a message.
    ///
    /// - Parameters:
    ///   - message: The bytes to authenticate.
    ///   - key: The secret, of any length.
    public static func authenticationCode(for message: Span<UInt8>, key: Span<UInt8>) -> Digest {
        // libcrypto reads a null pointer as "no key was given". HMAC pads every key with zeros, so one zero is the same key.
        guard !key.isEmpty else {
            let zero: [UInt8] = [0]
            return authenticationCode(for: message, key: zero.span)
        }
        // Memory: the caller owns key and message, the new array owns the buffer; libcrypto uses all three during the call only. It
        // copies the two names.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            let written = unsafe key.withUnsafeBufferPointer { key in
                unsafe message.withUnsafeBufferPointer { message in
                    unsafe EVP_Q_mac(
                        HashFunction.library, "HMAC", nil, "SHA256", nil, key.baseAddress, key.count,
                        message.baseAddress, message.count, buffer.baseAddress, byteCount, &count)
                }
            }
            precondition(unsafe written != nil && count == byteCount, "libcrypto could not compute an HMAC")
        }
        return Digest(bytes)
    }
}
