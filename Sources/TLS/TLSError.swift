internal import CLibSSL

/// What libssl says when something fails.
public struct TLSError: Error, CustomStringConvertible, Sendable {
    /// The failed step and libssl's reason.
    public let description: String

    init(_ step: String, reason: String) {
        description = "\(step): \(reason)"
    }

    /// Takes this thread's oldest error, which is the cause of the others, and forgets the rest.
    ///
    /// - Parameter step: What failed.
    static func last(_ step: String) -> TLSError {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0 else { return TLSError(step, reason: "the peer ended the connection") }
        // Memory: the buffer belongs to this call, which is the only one to have its address.
        let text = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            unsafe ERR_error_string_n(code, buffer.baseAddress, buffer.count)
            return unsafe String(cString: buffer.baseAddress!)
        }
        // "error:0A000086:SSL routines::certificate verify failed": the reason is the last part.
        return TLSError(
            step, reason: text.utf8.split(separator: UInt8(ascii: ":")).last.map { String(Substring($0)) } ?? text)
    }
}
