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
    /// The far end will never take this object.
    case refused(reason: String)
    case unauthorised(reason: String)
    /// The server does not know a header that we sent.
    case notImplemented(reason: String)
    case unavailable(reason: String, retryAfterSeconds: Int?)

    init(_ answer: OutgoingAnswer) {
        let text = String(decoding: answer.body, as: UTF8.self)
        let isError = text.contains("<Error>")
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
            self = .unavailable(
                reason: "\(said): check s3_bucket and s3_endpoint; nothing is sent until the bucket is there",
                retryAfterSeconds: nil)
        case ("InvalidAccessKeyId", _), ("SignatureDoesNotMatch", _), ("AccessDenied", _), ("AllAccessDisabled", _),
            ("AccountProblem", _), ("InvalidToken", _), ("ExpiredToken", _), (_, 401), (_, 403):
            self = .unauthorised(reason: said)
        case (_, 300..<400):
            self = .unavailable(
                reason: "the server sends us elsewhere (\(answer.headers["location"] ?? said)): check s3_endpoint, "
                    + "s3_region and s3_path_style", retryAfterSeconds: nil)
        default:
            self = .unavailable(reason: said, retryAfterSeconds: answer.retryAfterSeconds)
        }
    }

    /// The text of the first element of a name. S3's answers are flat enough for that.
    static func value(_ name: String, in text: String) -> String? {
        guard let start = text.firstRange(of: "<\(name)>") else { return nil }
        let rest = text[start.upperBound...]
        guard let end = rest.firstRange(of: "</\(name)>") else { return nil }
        return String(rest[..<end.lowerBound])
            .replacing("&quot;", with: "\"").replacing("&lt;", with: "<").replacing("&gt;", with: ">")
            .replacing("&#34;", with: "\"").replacing("&apos;", with: "'").replacing("&amp;", with: "&")
    }
}
