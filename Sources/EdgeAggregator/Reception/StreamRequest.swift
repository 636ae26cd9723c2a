import Foundation
import HTTPTypes
import TextParts

/// What a stock client's request says of itself: the listener's id and, wherever it could put it, a token.
///
/// The stock scripts append `?listener_id=…` to whatever address they are given, also to one that has a query already,
/// and the firmware sends no header. So a token is taken from any of: the query (`…?token=T?listener_id=…` as well),
/// Basic credentials (from `http://id:T@host/…`), a Bearer header, or a path that begins with `/t/T`.
struct StreamRequest: Sendable, Equatable {
    /// Nil when the query has no `listener_id`.
    let listenerID: String?
    let token: String?

    init(query: String?, authorization: String?, pathToken: String?) {
        let fields = Self.fields(query ?? "")
        listenerID = fields["listener_id"]
        token = fields["token"] ?? pathToken ?? Self.token(authorization: authorization)
    }

    /// Splits at `&` and `?`, and decodes `%XX` and `+`. The first of a repeated name counts.
    static func fields(_ query: String) -> [String: String] {
        var fields: [String: String] = [:]
        for part in query.replacingText("?", with: "&").parts(at: "&") {
            let pieces = part.parts(at: "=", maximumSplits: 1, omittingEmpty: false)
            let name = decode(pieces[0])
            if fields[name] == nil { fields[name] = pieces.count > 1 ? decode(pieces[1]) : "" }
        }
        return fields
    }

    private static func decode(_ text: Substring) -> String {
        let spaced = text.replacingText("+", with: " ")
        return spaced.removingPercentEncoding ?? spaced
    }

    private static func token(authorization: String?) -> String? {
        guard let authorization else { return nil }
        let pieces = authorization.parts(at: " ", maximumSplits: 1)
        guard pieces.count == 2 else { return nil }
        switch pieces[0].lowercased() {
        case "bearer":
            return String(pieces[1])
        case "basic":
            return BasicCredentials(authorization)?.password
        default:
            return nil
        }
    }
}
