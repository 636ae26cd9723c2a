import TextParts

/// Headers of an upload that some servers do not know: they are left out where an answer blames them. The payload's SHA-256 is signed in
/// any case, so the server still checks what arrives.
struct S3OptionalHeaders: Sendable, Equatable {
    enum Name: Sendable, Equatable {
        /// `x-amz-checksum-…` or `Content-MD5`.
        case checksum
        /// `If-None-Match`.
        case condition
    }

    var hasChecksum: Bool
    var hasCondition: Bool

    /// Which header to leave out after an answer; nil when the answer is not about them.
    ///
    /// A server names the header at best. Else 501 is about the condition first, and 400 `InvalidArgument` or `InvalidRequest` about the
    /// checksum.
    func toOmit(after answer: S3Answer) -> Name? {
        let reason: String
        var order: [Name]
        switch answer {
        case .notImplemented(let text): (reason, order) = (text.lowercased(), [.condition, .checksum])
        case .invalid(let text):
            reason = text.lowercased()
            order = reason.holds("invalidargument") || reason.holds("invalidrequest") ? [.checksum] : []
        case .done, .exists, .again, .uploadGone, .refused, .unauthorised, .denied, .bucketUnusable, .unavailable:
            return nil
        }
        if reason.holds("checksum") || reason.holds("md5") { order = [.checksum] }
        if reason.holds("none-match") { order = [.condition] }
        return order.first { has($0) }
    }

    func without(_ name: Name) -> S3OptionalHeaders {
        switch name {
        case .checksum: S3OptionalHeaders(hasChecksum: false, hasCondition: hasCondition)
        case .condition: S3OptionalHeaders(hasChecksum: hasChecksum, hasCondition: false)
        }
    }

    private func has(_ name: Name) -> Bool {
        switch name {
        case .checksum: hasChecksum
        case .condition: hasCondition
        }
    }

    /// What an operator is told, once, of a header that is not sent any more.
    static func notice(_ name: Name, _ checksum: S3Checksum, reason: String) -> String {
        switch name {
        case .checksum:
            "The S3 server does not know \(checksum.headerName) (\(reason)). It is not sent until the next start; set s3_checksum to another kind, or to none"
        case .condition:
            "The S3 server does not know If-None-Match (\(reason)). It is not sent until the next start; set s3_conditional: false"
        }
    }
}

extension S3Checksum {
    fileprivate var headerName: String {
        switch self {
        case .sha256: "x-amz-checksum-sha256"
        case .crc32c: "x-amz-checksum-crc32c"
        case .md5: "Content-MD5"
        case .none: "a checksum"
        }
    }
}
