internal import CLibSSL

/// A server's certificate chain and private key, with TLS 1.2 and 1.3 as the system's OpenSSL offers them.
///
/// `@unchecked Sendable`: the context is not changed after `init`, and libssl counts the references to it atomically.
///
/// Memory: `context` is allocated by `init` and freed by `deinit`; a connection holds a reference of its own.
@safe
public final class TLSIdentity: @unchecked Sendable {
    let context: OpaquePointer

    /// Reads two PEM files.
    ///
    /// - Parameters:
    ///   - certificatePath: The server's certificate, then those that lead to its root.
    ///   - keyPath: The private key of the first certificate, without a passphrase.
    /// - Throws: ``TLSError`` when a file cannot be read, or when the key does not belong to the certificate.
    public init(certificatePath: String, keyPath: String) throws(TLSError) {
        ERR_clear_error()
        guard let new = unsafe edge_tls_server_context() else { throw TLSError.last("no memory for TLS") }
        unsafe context = new
        // From here on `deinit` frees the context, also when this throws.
        guard unsafe SSL_CTX_use_certificate_chain_file(context, certificatePath) == 1 else {
            throw TLSError.last("the certificate cannot be read")
        }
        guard unsafe SSL_CTX_use_PrivateKey_file(context, keyPath, SSL_FILETYPE_PEM) == 1 else {
            throw TLSError.last("the key cannot be used")
        }
        guard unsafe SSL_CTX_check_private_key(context) == 1 else {
            throw TLSError.last("the key does not belong to the certificate")
        }
    }

    deinit {
        unsafe SSL_CTX_free(context)
    }
}
