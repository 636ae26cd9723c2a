internal import CLibCrypto

/// A hash function of libcrypto.
///
/// `@unchecked Sendable`: libcrypto's algorithms are immutable and may be used by all threads.
///
/// Memory: the algorithms and their library context are made once, never freed, and valid until the process ends.
@safe
struct HashFunction: @unchecked Sendable {
    /// This module's own library context, which lives until the process ends. With the default context, `openssl.cnf` could make
    /// MD5 unavailable, and `exit` would free the algorithms while other threads still hash.
    ///
    /// Nil if there is no memory for it: to libcrypto, nil is the default context.
    nonisolated(unsafe) static let library: OpaquePointer? = unsafe OSSL_LIB_CTX_new()
    static let sha256 = HashFunction("SHA256")
    static let sha1 = HashFunction("SHA1")
    static let md5 = HashFunction("MD5")

    let algorithm: OpaquePointer

    private init(_ name: String) {
        // Memory: libcrypto copies the name during the call.
        guard let fetched = unsafe EVP_MD_fetch(Self.library, name, nil) else {
            preconditionFailure("libcrypto does not provide \(name); install Debian's libssl3")
        }
        unsafe algorithm = fetched
    }
}

/// The state of a hash function while bytes go by.
///
/// Memory: `context` is allocated by `init` and freed by `deinit`; no other code has it.
@safe
struct HashState: ~Copyable {
    private let context: OpaquePointer

    init(_ function: HashFunction) {
        // Swift's own allocations end the process in the same way.
        guard let new = unsafe EVP_MD_CTX_new() else { preconditionFailure("no memory for a hash") }
        unsafe context = new
        // The context refers to the algorithm, which lives until the process ends.
        let status = unsafe EVP_DigestInit_ex2(new, function.algorithm, nil)
        precondition(status == 1, "libcrypto could not begin a hash")
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
    }

    mutating func update(_ bytes: RawSpan) {
        // Memory: the caller owns the bytes; libcrypto copies what it needs during the call.
        let status = unsafe bytes.withUnsafeBytes { unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
        precondition(status == 1, "libcrypto could not continue a hash")
    }

    mutating func update(_ bytes: Span<UInt8>) {
        // Memory: the caller owns the bytes until the return. All of a `UInt8` is initialized.
        unsafe update(bytes.bytes)
    }

    mutating func update(_ bytes: some Sequence<UInt8>) {
        let contiguous: Void? = bytes.withContiguousStorageIfAvailable { buffer in
            // Memory: the sequence owns the bytes until this closure returns.
            let span = unsafe buffer.span
            update(span)
        }
        if contiguous == nil { update(Array(bytes).span) }
    }

    /// - Parameter byteCount: The length of the function's result.
    consuming func finalize(byteCount: Int) -> Digest {
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            // Memory: the new array owns the buffer; libcrypto writes the function's size, which is `byteCount`, during the call.
            let status = unsafe EVP_DigestFinal_ex(context, buffer.baseAddress, nil)
            precondition(status == 1, "libcrypto could not finish a hash")
            count = byteCount
        }
        return Digest(bytes)
    }
}
