import NIOCore
import NIOHTTP1
import TextParts

/// Gives a request whose target is a whole URL (`GET http://box/ HTTP/1.1`) the host of that URL: a server must take it in place of
/// what the `Host` field says (RFC 9112 §3.2.2).
final class AbsoluteFormHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(var head) = unwrapInboundIn(data), let authority = Self.authority(head.uri) else {
            return context.fireChannelRead(data)
        }
        head.headers.replaceOrAdd(name: "Host", value: String(authority))
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    /// `box:8000` of `http://box:8000/path`; nil of a target that begins with `/`, `*` or a host.
    static func authority(_ target: String) -> Substring? {
        guard target.utf8.first != UInt8(ascii: "/"), let (scheme, rest) = target.halves(at: "://"),
            ["http", "https"].contains(scheme.lowercased())
        else { return nil }
        return Substring(rest.utf8.prefix { !"/?#".utf8.contains($0) })
    }
}
