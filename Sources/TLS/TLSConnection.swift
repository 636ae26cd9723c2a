internal import CLibSSL
import NIOCore

/// The server's side of one TLS connection, in memory: bytes go in and come out; nothing is sent or received here.
///
/// Memory: `ssl` is allocated by `init` and freed by `deinit`, and owns `input` and `output`. Only this value has their addresses.
@safe
struct TLSConnection: ~Copyable {
    enum Handshake {
        case finished
        case needsInput
        case failed(TLSError)
    }

    /// What followed the plain text that was read.
    enum Ending {
        /// More can come.
        case none
        /// The peer said that it sends no more (`close_notify`).
        case closed
        case failed(TLSError)
    }

    /// The largest plain text of a record (RFC 8446, section 5.1).
    private static let largestPlaintext = 16_384
    /// What a record has beside its plain text, with room to spare (RFC 8446, section 5.2: at most 256).
    private static let recordOverhead = 64

    private let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    private var hasTicket = false

    /// - Throws: ``TLSError`` when there is no memory.
    init(_ identity: TLSIdentity) throws(TLSError) {
        var newInput: OpaquePointer?
        var newOutput: OpaquePointer?
        // Memory: libssl takes a reference to the identity's context.
        guard let new = unsafe edge_tls_server_connection(identity.context, &newInput, &newOutput),
            let newInput = unsafe newInput, let newOutput = unsafe newOutput
        else { throw TLSError.last("no memory for a TLS connection") }
        unsafe ssl = new
        unsafe input = newInput
        unsafe output = newOutput
    }

    deinit {
        unsafe SSL_free(ssl)
    }

    /// Takes what the peer sent. ``handshake()`` or ``read(into:)`` use it.
    mutating func receive(_ bytes: ByteBuffer) throws(TLSError) {
        ERR_clear_error()
        var taken = 0
        // Memory: the caller owns the bytes; libssl copies them during the call.
        let isTaken = unsafe bytes.readableBytesSpan.withUnsafeBytes { bytes in
            unsafe bytes.isEmpty || BIO_write_ex(input, bytes.baseAddress, bytes.count, &taken) == 1
        }
        // A buffer in memory takes everything or, without memory, nothing.
        guard isTaken, taken == bytes.readableBytes else { throw TLSError.last("no memory for received bytes") }
    }

    mutating func handshake() -> Handshake {
        ERR_clear_error()
        let status = unsafe SSL_do_handshake(ssl)
        if status == 1 { return .finished }
        return unsafe SSL_get_error(ssl, status) == SSL_ERROR_WANT_READ
            ? .needsInput : .failed(TLSError.last("the TLS handshake failed"))
    }

    /// Appends the plain text of all records that have arrived as a whole.
    mutating func read(into plaintext: inout ByteBuffer) -> Ending {
        while true {
            ERR_clear_error()
            var count = 0
            var status: Int32 = 0
            // Memory: the buffer owns the room; libssl writes into it during the call, and `count` bytes of it are then set.
            unsafe plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: 256) { room in
                status = unsafe SSL_read_ex(ssl, room.baseAddress, room.count, &count)
                return count
            }
            if status == 1 { continue }
            switch unsafe SSL_get_error(ssl, status) {
            case SSL_ERROR_WANT_READ: return .none
            case SSL_ERROR_ZERO_RETURN: return .closed
            default: return .failed(TLSError.last("a TLS record cannot be read"))
            }
        }
    }

    /// Encrypts plain text. The handshake must have finished.
    ///
    /// - Parameters:
    ///   - plaintext: Any number of bytes.
    ///   - records: The records are appended here.
    mutating func write(_ plaintext: ByteBuffer, into records: inout ByteBuffer) throws(TLSError) {
        if !hasTicket {
            hasTicket = true
            // TLS 1.3's ticket goes with the first answer (see the shim). In TLS 1.2, where this fails, it has gone with the handshake.
            _ = unsafe SSL_new_session_ticket(ssl)
        }
        // In pieces of one record, so that libssl's buffer, which never shrinks, stays small.
        var rest = plaintext
        while let piece = rest.readSlice(length: min(rest.readableBytes, Self.largestPlaintext)),
            piece.readableBytes > 0
        {
            ERR_clear_error()
            var written = 0
            // Memory: the piece owns the bytes; libssl encrypts them into its own buffer during the call.
            let status = unsafe piece.readableBytesSpan.withUnsafeBytes { bytes in
                unsafe SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &written)
            }
            guard status == 1, written == piece.readableBytes else {
                throw TLSError.last("a TLS record cannot be written")
            }
            takeOutput(into: &records)
        }
    }

    /// Says that no more plain text follows (`close_notify`). ``takeOutput(into:)`` has the record.
    mutating func closeOutput() {
        ERR_clear_error()
        _ = unsafe SSL_shutdown(ssl)
    }

    /// The length of the records of some plain text, at most.
    static func encryptedByteCount(_ plaintextByteCount: Int) -> Int {
        plaintextByteCount + (plaintextByteCount / largestPlaintext + 1) * recordOverhead
    }

    /// Appends the records that are to be sent.
    mutating func takeOutput(into records: inout ByteBuffer) {
        // Memory: libssl owns what it is asked about.
        let waiting = unsafe edge_tls_pending(output)
        guard waiting > 0 else { return }
        // Memory: the buffer owns the room; libssl writes into it during the call, and `count` bytes of it are then set.
        unsafe records.writeWithUnsafeMutableBytes(minimumWritableBytes: waiting) { room in
            var count = 0
            _ = unsafe BIO_read_ex(output, room.baseAddress, room.count, &count)
            return count
        }
    }
}
