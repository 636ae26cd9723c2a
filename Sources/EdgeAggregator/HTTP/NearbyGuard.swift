import HTTPTypes
import Hummingbird

/// Where no token is set, only whoever is on the box itself may change what nodes may do and run.
struct NearbyGuard: RouterMiddleware {
    /// If it has a token for the API, that was asked for already.
    let keeper: Doorkeeper

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        // What comes through a proxy that nobody has named comes from who knows where, be the proxy on the box itself.
        let isNearby =
            Self.isLoopback(context.client)
            && (!request.isForwarded || context.client != context.channel.remoteAddress?.ipAddress)
        guard keeper.apiToken.isEmpty, request.method != .get, !isNearby else {
            return try await next(request, context)
        }
        return try Answer.problem(
            .forbidden, "A token is needed",
            detail: "Set api_token: without one, nodes are admitted and updates published only from the box itself")
    }

    static func isLoopback(_ address: String?) -> Bool {
        guard let address else { return false }
        return address.hasPrefix("127.") || address == "::1" || address.hasPrefix("::ffff:127.")
    }
}
