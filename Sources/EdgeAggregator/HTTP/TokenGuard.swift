import HTTPTypes
import Hummingbird

/// Asks for the API's token, if there is one; says no to whoever asks or guesses too often. Clients are counted as everywhere, by
/// ``ClientAddress``: one client has all addresses of an IPv6 network.
struct TokenGuard: RouterMiddleware {
    let keeper: Doorkeeper
    let requests: ClientRates
    let failures: ClientRates

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        let client = ClientAddress(context.client).text
        guard requests.take(client) else { return try tooMany("requests") }
        let token = keeper.apiToken
        guard !token.isEmpty else { return try await next(request, context) }
        // Before the token is looked at: else guessing goes on at the full rate.
        guard failures.has(client) else { return try tooMany("wrong tokens") }
        let sent = StreamRequest(query: nil, authorization: request.headers[.authorization], pathToken: nil).token
        guard let sent, Tokens.areEqual(sent, token) else {
            if sent != nil { _ = failures.take(client) }
            var answer = try Answer.problem(
                .unauthorized, "A token is needed", detail: "Send api_token as a Bearer token or as the password")
            answer.headers[.wwwAuthenticate] = "Basic realm=\"edge-aggregator\", Bearer"
            return answer
        }
        return try await next(request, context)
    }

    private func tooMany(_ what: String) throws -> Response {
        var answer = try Answer.problem(
            .tooManyRequests, "Too many \(what)", detail: "Wait a minute, then ask less often")
        answer.headers[.retryAfter] = "60"
        return answer
    }
}

/// Tells browsers to believe every answer's type: much of what is answered holds text that peers sent, and none of it is a page. All
/// clients get the field, since those that do not know it pass over it (RFC 9110 §5.1).
struct NoSniffing: RouterMiddleware {
    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        response.headers[.xContentTypeOptions] = "nosniff"
        return response
    }
}

/// What a browser is to know of the pages and answers that people see. The stock clients' answers stay as they know them.
struct SecurityHeaders: RouterMiddleware {
    static let fields: [(HTTPField.Name?, String)] = [
        (HTTPField.Name("X-Frame-Options"), "DENY"),
        (HTTPField.Name("Referrer-Policy"), "no-referrer"),
        (HTTPField.Name("Cross-Origin-Resource-Policy"), "same-origin"),
        (
            .contentSecurityPolicy,
            "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ),
    ]

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        for case (let name?, let value) in Self.fields { response.headers[name] = value }
        return response
    }
}
