import HTTPTypes
import Hummingbird
import TextParts

/// Where no token is asked for, rejects requests for a host name that is not the box's.
///
/// Whoever has a name of his own can let it resolve to the box while a visitor's browser has his page open (DNS rebinding). The
/// browser then takes the box's answers for that page's own, and sends a matching `Origin`. Only the name in `Host` tells. With a
/// token nothing is to be checked: the browser has none for that name.
struct HostGuard: RouterMiddleware {
    /// Has the token and the names, which may change while the daemon runs.
    let keeper: Doorkeeper
    let proxies: TrustedProxies

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        let rules = keeper.rules
        guard rules.apiToken.isEmpty else { return try await next(request, context) }
        // The first Host is the request's authority, further ones are left among its fields.
        guard request.headers[values: Self.host].isEmpty else {
            return try Answer.problem(
                .badRequest, "More than one Host", detail: "A request has one Host field (RFC 9112)")
        }
        let isProxied = proxies.isTrusted(context.channel.farAddress)
        let named = [request.head.authority ?? ""] + (isProxied ? request.forwardedHosts : [])
        let ownName = KnownHosts.ownName
        // HTTP/1.0 needs no Host; browsers always send one.
        for name in named where !name.isEmpty && !rules.hosts.contains(name, ownName: ownName) {
            return try Answer.problem(
                .misdirectedRequest, "Unknown host name",
                detail:
                    "This box is not known as \"\(name.prefix(200))\". Ask it by an address, localhost or its own host name; or "
                    + "add the name to the setting host_names; or set api_token, with which any name will do.")
        }
        return try await next(request, context)
    }

    private static let host = HTTPField.Name("Host")!
}

extension Request {
    private static let forwardedHostName = HTTPField.Name("X-Forwarded-Host")!

    /// What proxies say that they were asked for. Each name counts: a page can send one of its own too.
    fileprivate var forwardedHosts: [String] {
        headers[values: Self.forwardedHostName].flatMap { $0.parts(at: ",") }.map { String($0).trimmingSpaces }
    }
}
