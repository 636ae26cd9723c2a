import HTTPTypes
import Hummingbird

/// Where no token is set, only whoever is on the box itself may change what nodes may do and run.
struct NearbyGuard: RouterMiddleware {
    /// The API's token; if there is one, it was asked for already.
    let token: String

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        guard token.isEmpty, request.method != .get, !Self.isLoopback(context.channel.remoteAddress?.ipAddress) else {
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
