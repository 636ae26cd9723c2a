import HTTPTypes
import Hummingbird

/// Refuses changes that a page of somebody else's asks for in a visitor's browser: it could switch a relay of a box that only
/// the visitor reaches. A browser says where such a request comes from (`Origin`, RFC 6454 §7); programs do not send it.
struct OriginGuard: RouterMiddleware {
    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        let changes = request.method != .get && request.method != .head
        guard changes, let origin = request.headers[.origin], !Self.isOwn(origin, authority: request.head.authority)
        else {
            return try await next(request, context)
        }
        return try Answer.problem(
            .forbidden, "Asked for by another page",
            detail: "The Origin \(origin.prefix(200)) is not this box; use the box's own address, or a program")
    }

    /// Whether `http://box:8000` is the authority `box:8000` that was asked.
    static func isOwn(_ origin: String, authority: String?) -> Bool {
        guard let authority else { return false }
        let own = authority.lowercased()
        return ["http://\(own)", "https://\(own)"].contains(origin.lowercased())
    }
}
