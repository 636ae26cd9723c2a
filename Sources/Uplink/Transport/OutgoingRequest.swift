import TextParts

/// A request to a far end.
public struct OutgoingRequest: Sendable {
    public enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// A stretch of a file, read while it is sent.
        case file(path: String, offset: Int64, count: Int64)

        public var count: Int64 {
            switch self {
            case .none: 0
            case .bytes(let bytes): Int64(bytes.count)
            case .file(_, _, let count): count
            }
        }
    }

    public var method: String
    public var url: String
    /// Sent in this order; an empty value is sent as an empty field.
    public var headers: [(name: String, value: String)]
    public var body: Body
    public var options: TransportOptions

    public init(
        _ method: String, _ url: String, headers: [(name: String, value: String)] = [], body: Body = .none,
        options: TransportOptions = TransportOptions()
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.options = options
    }
}

extension OutgoingRequest {
    /// Where it goes, for messages: without the user and password that an address may hold, and without its query.
    var place: String { String(url.hidingPasswords.before("?")) }
}

/// How a sink is reached.
public struct TransportOptions: Sendable, Hashable {
    public var connectTimeoutSeconds = 15
    /// A transfer that moves less than a byte a second for so long is ended: the link is half open.
    public var stallTimeoutSeconds = 60
    /// Of the whole exchange; 0 for none.
    public var totalTimeoutSeconds = 0
    /// Certificates to trust instead of the system's; empty for the system's.
    public var certificateFile = ""
    /// Empty for the environment's (`https_proxy` and so on).
    public var proxy = ""
    /// Bytes a second sent at most; 0 for no limit.
    public var mostBytesPerSecond: Int64 = 0
    /// Of an answer's body; the rest is read and dropped, so that the connection can be used again.
    public var mostAnswerBytes = 1 << 20
    /// Whether an answer that is cut is handed over as far as it came, and one that is too long ended there.
    public var takesParts = false

    public init() {}
}

/// What a far end answered.
public struct OutgoingAnswer: Sendable {
    public let status: Int
    /// Names in lower case.
    public let headers: [String: String]
    /// At most ``TransportOptions/mostAnswerBytes``.
    public let body: [UInt8]
    /// Why the body is not whole; nil when it is. See ``TransportOptions/takesParts``.
    public let cut: String?

    public init(status: Int, headers: [String: String], body: [UInt8], cut: String? = nil) {
        self.status = status
        self.headers = headers
        self.body = body
        self.cut = cut
    }

    /// The body as text on one line, for messages.
    public var text: String {
        let text = String(decoding: body.prefix(400), as: UTF8.self)
        return text.lines().joined(separator: " ").hidingPasswords
    }

    /// Whether a proxy or a login page speaks here, not an interface for programs.
    var isWebPage: Bool {
        if let type = headers["content-type"]?.lowercased(), type.holds("text/html") { return true }
        let start = String(decoding: body.prefix(200), as: UTF8.self).lowercased()
        return start.holds("<!doctype html") || start.holds("<html")
    }

    /// Where a redirect leads to, for messages; nil when it does not say.
    var location: String? { headers["location"]?.hidingPasswords }

    /// `Retry-After` in seconds (RFC 9110 §10.2.3); a date is not understood, since the box's clock may be wrong.
    public var retryAfterSeconds: Int? { headers["retry-after"].flatMap { Int($0) }.map { max(0, $0) } }
}

/// A request that got no answer.
public struct TransportError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// The address makes no sense, or the file cannot be read: it will fail again in the same way.
        case badRequest
        case nameNotFound, connectionFailed, tls, timeout, cut, cancelled, closed
    }

    public let code: Code
    public let reason: String

    public init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason.hidingPasswords
    }

    public var description: String { reason }
}
