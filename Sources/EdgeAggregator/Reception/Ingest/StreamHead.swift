import TextParts

/// The head of a stock client's streaming request (RFC 9112), read straight from what arrived.
///
/// It knows the forms that streams have and no others. Whatever else it may be, a general HTTP server can tell.
struct StreamHead: Equatable, Sendable {
    enum Reading: Equatable, Sendable {
        /// The head is not whole yet.
        case needMoreBytes
        /// A stream: its head, which ends after so many bytes.
        case stream(StreamHead, headBytes: Int)
        /// Not a request of the forms known here.
        case other
    }

    /// A longer head is not read here.
    static let longestBytes = 8192

    let query: String?
    let authorization: String?
    /// The token in a path that begins with `/t/<token>`.
    let pathToken: String?
    /// Whether the client waits for `100 Continue` before it sends.
    let expectsContinue: Bool
    let isMock: Bool
    /// Values of X-Forwarded-For, one a line.
    var forwardedFor: [String] = []

    /// Reads the head of `POST <path>` with a chunked body.
    static func read(_ bytes: Span<UInt8>, path: String) -> Reading {
        for (index, byte) in "POST ".utf8.enumerated() where index < bytes.count && bytes[index] != byte {
            return .other
        }
        guard let end = endOfHead(bytes) else {
            return bytes.count < longestBytes ? .needMoreBytes : .other
        }
        guard let head = try? UTF8Span(validating: bytes.extracting(first: end)) else { return .other }
        let text = String(copying: head)
        var lines = text.parts(atText: "\r\n", omittingEmpty: false)[...]
        guard let target = target(of: lines.removeFirst()) else { return .other }
        guard var fields = Fields(lines) else { return .other }
        let pieces = target.parts(at: "?", maximumSplits: 1, omittingEmpty: false)
        guard let route = route(pieces[0], path: path) else { return .other }
        fields.query = pieces.count > 1 ? String(pieces[1]) : nil
        guard fields.isChunked, !fields.hasLength else { return .other }
        return .stream(
            StreamHead(
                query: fields.query, authorization: fields.authorization, pathToken: route.token,
                expectsContinue: fields.expectsContinue, isMock: fields.isMock,
                forwardedFor: fields.forwardedFor),
            headBytes: end + 4)
    }

    /// Where the empty line begins.
    private static func endOfHead(_ bytes: Span<UInt8>) -> Int? {
        let limit = min(bytes.count, longestBytes)
        guard limit >= 4 else { return nil }
        for start in 0...(limit - 4)
        where bytes[start] == 0x0D && bytes[start + 1] == 0x0A && bytes[start + 2] == 0x0D && bytes[start + 3] == 0x0A {
            return start
        }
        return nil
    }

    private static func target(of line: Substring) -> Substring? {
        let words = line.parts(at: " ", omittingEmpty: false)
        guard words.count == 3, words[0] == "POST", words[2] == "HTTP/1.1", words[1].begins(with: "/") else {
            return nil
        }
        return words[1]
    }

    private struct Route {
        let token: String?
    }

    private static func route(_ found: Substring, path: String) -> Route? {
        if found == path { return Route(token: nil) }
        guard found.hasPrefix("/t/"), found.hasSuffix(path) else { return nil }
        let token = found.dropFirst(3).dropLast(path.utf8.count)
        guard !token.isEmpty, !token.holds("/"), !token.holds("%") else { return nil }
        return Route(token: String(token))
    }

    private struct Fields {
        var query: String?
        var authorization: String?
        var isChunked = false
        var hasLength = false
        var expectsContinue = false
        var isMock = false
        var forwardedFor: [String] = []

        /// Nil when a line is not a field.
        init?(_ lines: ArraySlice<Substring>) {
            for line in lines {
                guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")), colon != line.startIndex,
                    line.utf8.first != 0x20, line.utf8.first != 0x09, !line.holds("\n"), !line.holds("\0")
                else { return nil }
                let value = Substring(line.utf8[line.utf8.index(after: colon)...]).trimmingBlanks
                switch line[..<colon].lowercased() {
                case "transfer-encoding":
                    guard value.lowercased() == "chunked", !isChunked else { return nil }
                    isChunked = true
                case "content-length": hasLength = true
                case "authorization": authorization = authorization ?? String(value)
                case "expect": expectsContinue = value.lowercased() == "100-continue"
                case "x-edge-mock": isMock = true
                case "x-forwarded-for": forwardedFor.append(String(value))
                case "upgrade": return nil
                default: continue
                }
            }
        }
    }
}

extension Substring {
    /// Without the spaces and tabs that may stand around a field's value (RFC 9110 §5.5).
    fileprivate var trimmingBlanks: Substring {
        var rest = utf8
        while let first = rest.first, first == 0x20 || first == 0x09 { rest.removeFirst() }
        while let last = rest.last, last == 0x20 || last == 0x09 { rest.removeLast() }
        return Substring(rest)
    }
}
