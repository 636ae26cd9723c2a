import TextParts

/// What an S3 answer means.
///
/// Source: S3 API Reference, "Error responses". An error is known by its code, not its status: servers differ there.
enum S3Answer: Equatable {
    case done
    /// An object of that name is there already (`If-None-Match: *`).
    case exists
    /// Somebody writes it at the same time, or the part must be sent again: soon again.
    case again(reason: String)
    /// The multipart upload is not known any more: from the beginning.
    case uploadGone
    /// The endpoint will never take this object.
    case refused(reason: String)
    /// The server calls the request invalid: the object, a header that it does not know, or a setting.
    case invalid(reason: String)
    /// The keys are wrong.
    case unauthorised(reason: String)
    /// The keys may not write to this bucket, or under this prefix.
    case denied(reason: String)
    /// The server does not know a header that we sent.
    case notImplemented(reason: String)
    /// There is no such bucket, or it is elsewhere.
    case bucketUnusable(reason: String)
    case unavailable(reason: String, retryAfterSeconds: Int?)

    init(_ answer: OutgoingAnswer) {
        let text = String(decoding: answer.body, as: UTF8.self)
        let isError = text.holds("<Error>")
        if (200..<300).contains(answer.status), !isError {
            self = .done
            return
        }
        let code = Self.value("Code", in: text) ?? ""
        let message = Self.value("Message", in: text) ?? ""
        var said = "\(answer.status)"
        if !code.isEmpty { said += " \(code)" }
        if !message.isEmpty { said += ": \(message)" }
        if code.isEmpty, message.isEmpty { said += " \(answer.text)" }
        switch (code, answer.status) {
        case ("PreconditionFailed", _), (_, 412): self = .exists
        case ("ConditionalRequestConflict", _), ("OperationAborted", _), (_, 409): self = .again(reason: said)
        case ("BadDigest", _), ("InvalidDigest", _), ("XAmzContentSHA256Mismatch", _),
            ("XAmzContentChecksumMismatch", _),
            ("IncompleteBody", _), ("RequestTimeout", _), ("InvalidPart", _):
            self = .again(reason: said)
        case ("NoSuchUpload", _): self = .uploadGone
        case ("RequestTimeTooSkewed", _):
            let theirs = answer.headers["date"] ?? "unknown"
            self = .unavailable(
                reason:
                    "the box's clock is wrong: the server, whose time is \(theirs), takes no request of another time. "
                    + "It is tried again; see that the box can reach a time server (\(said))", retryAfterSeconds: nil)
        case ("EntityTooLarge", _), ("KeyTooLongError", _), ("MetadataTooLarge", _), (_, 413):
            self = .refused(reason: said)
        case ("NotImplemented", _), (_, 501): self = .notImplemented(reason: said)
        case ("NoSuchBucket", _), (_, 404):
            self = .bucketUnusable(
                reason: "\(said): check s3_bucket and s3_endpoint; nothing is sent until the bucket is there")
        case ("PermanentRedirect", _), ("TemporaryRedirect", _), ("AuthorizationHeaderMalformed", _),
            ("IllegalLocationConstraintException", _):
            self = .bucketUnusable(reason: "\(said): check s3_region, s3_endpoint and s3_path_style")
        case ("AccessDenied", _), ("AllAccessDisabled", _):
            self = .denied(reason: "\(said): the keys may not write there; check s3_bucket, s3_prefix and their policy")
        case ("InvalidAccessKeyId", _), ("SignatureDoesNotMatch", _), ("AccountProblem", _), ("InvalidToken", _),
            ("ExpiredToken", _), (_, 401), (_, 403):
            self = .unauthorised(reason: said)
        case (_, 300..<400):
            self = .unavailable(
                reason: "the server sends us elsewhere (\(answer.location ?? said)): check s3_endpoint, "
                    + "s3_region and s3_path_style", retryAfterSeconds: nil)
        case ("", 400), ("", 411), ("", 414), ("", 422), ("", 431):
            // Not an answer of S3, which names a code: a proxy speaks here.
            self = .unavailable(
                reason: "\(said): this is not an answer of an S3 server: check s3_endpoint and proxies",
                retryAfterSeconds: answer.retryAfterSeconds)
        case (_, 400), (_, 411), (_, 414), (_, 422), (_, 431):
            self = .invalid(reason: said)
        default:
            self = .unavailable(reason: said, retryAfterSeconds: answer.retryAfterSeconds)
        }
    }

    /// What the server said; empty where nothing is wrong.
    var reason: String {
        switch self {
        case .done, .exists, .uploadGone: ""
        case .again(let reason), .refused(let reason), .invalid(let reason), .unauthorised(let reason),
            .denied(let reason), .notImplemented(let reason), .bucketUnusable(let reason), .unavailable(let reason, _):
            reason
        }
    }

    /// Why nothing can be sent there now; nil where the answer is about the object alone.
    var interruption: S3Interruption? {
        switch self {
        case .done, .exists, .again, .uploadGone, .refused: nil
        case .invalid(let reason), .notImplemented(let reason): S3Interruption(farEnd: .rejected(reason: reason))
        case .unauthorised(let reason): S3Interruption(farEnd: .unauthorised(reason: reason))
        case .denied(let reason): S3Interruption(farEnd: .unauthorised(reason: reason), scope: .kinds)
        case .bucketUnusable(let reason):
            S3Interruption(farEnd: .unavailable(reason: reason, retryAfterSeconds: nil), scope: .kinds)
        case .unavailable(let reason, let retryAfter):
            S3Interruption(farEnd: .unavailable(reason: reason, retryAfterSeconds: retryAfter))
        }
    }

    /// The text of the first element of a name. S3's answers are flat enough for that.
    static func value(_ name: String, in text: String) -> String? {
        guard let value = text.halves(at: "<\(name)>")?.after.halves(at: "</\(name)>")?.before else { return nil }
        return
            value
            .replacingText("&quot;", with: "\"").replacingText("&lt;", with: "<").replacingText("&gt;", with: ">")
            .replacingText("&#34;", with: "\"").replacingText("&apos;", with: "'").replacingText("&amp;", with: "&")
    }
}
