internal import CLibCrypto

/// The result of a hash function.
public struct Digest: Sendable, Hashable {
    /// Most significant byte first, as the standards print it.
    public let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Lower-case hexadecimal digits, two for each byte.
    public var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Compares two digests in constant time.
    ///
    /// - Returns: Whether they are equal; the time taken depends on their lengths alone.
    public static func == (first: Digest, second: Digest) -> Bool {
        isEqualInConstantTime(first.bytes.span, second.bytes.span)
    }
}

/// Compares bytes without revealing, by the time taken, where they differ.
///
/// - Returns: Whether both have the same length and content. The lengths are no secret.
public func isEqualInConstantTime(_ first: Span<UInt8>, _ second: Span<UInt8>) -> Bool {
    guard first.count == second.count else { return false }
    // Memory: the caller owns the bytes; libcrypto reads them during the call only.
    return unsafe first.withUnsafeBufferPointer { first in
        unsafe second.withUnsafeBufferPointer { second in
            unsafe CRYPTO_memcmp(first.baseAddress, second.baseAddress, first.count) == 0
        }
    }
}
