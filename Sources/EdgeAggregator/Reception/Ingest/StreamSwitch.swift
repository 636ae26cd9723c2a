import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix

/// The first handler of a connection: hands an admitted stream's socket to the ``IngestLoop``, and everything else,
/// unchanged, to the HTTP server behind it.
final class StreamSwitch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let gate: StreamGate
    private let loop: IngestLoop
    private let path: String
    private var seen = ByteBuffer()
    private var isOver = false

    init(gate: StreamGate, loop: IngestLoop, path: String) {
        self.gate = gate
        self.loop = loop
        self.path = path
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard !isOver else { return context.fireChannelRead(data) }
        seen.writeBuffer(&bytes)
        switch StreamHead.read(seen.readableBytesUInt8Span, path: path) {
        case .needMoreBytes: return
        case .other: passOn(context)
        case .stream(let head, let headBytes):
            if !takeOver(head, headBytes: headBytes, context) { passOn(context) }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        seen = ByteBuffer()
        context.fireChannelInactive()
    }

    private func passOn(_ context: ChannelHandlerContext) {
        isOver = true
        let bytes = Self.closing(seen)
        seen = ByteBuffer()
        context.fireChannelRead(wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    /// A client of HTTP/1.0 reads until the connection ends (RFC 1945 §7.2.2), which the server behind does only for those
    /// that ask for it: so it is asked for in the client's name.
    static func closing(_ bytes: ByteBuffer) -> ByteBuffer {
        let view = bytes.readableBytesView
        let version = Array(" HTTP/1.0\r\n".utf8)
        guard let end = view.firstIndex(of: UInt8(ascii: "\n")), end - view.startIndex >= version.count,
            view[...end].suffix(version.count).elementsEqual(version)
        else { return bytes }
        var changed = ByteBuffer()
        changed.writeBytes(view[...end])
        changed.writeString("Connection: close\r\n")
        changed.writeBytes(view[(end + 1)...])
        return changed
    }

    /// False when the stream is not admitted, or its socket cannot be had.
    private func takeOver(_ head: StreamHead, headBytes: Int, _ context: ChannelHandlerContext) -> Bool {
        // The number is the channel's for the closure; the duplicate is closed here, or by the thread that adopts it.
        let socket = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { fcntl($0, F_DUPFD_CLOEXEC, 0) }
        guard let descriptor = socket, descriptor >= 0 else { return false }
        let ticket = loop.reserve()
        let client = StreamRequest(query: head.query, authorization: head.authorization, pathToken: head.pathToken)
        let address = gate.proxies.client(
            connection: context.channel.farAddress, forwardedFor: head.forwardedFor)
        let verdict = gate.judge(
            client, isMock: head.isMock, remoteAddress: context.channel.address(of: address),
            address: ClientAddress(address), close: { [loop] in loop.close(ticket) })
        guard case .admitted(let stream) = verdict else {
            close(descriptor)
            loop.release(ticket)
            return false
        }
        isOver = true
        seen.moveReaderIndex(forwardBy: headBytes)
        let first = [UInt8](seen.readableBytesView)
        seen = ByteBuffer()
        loop.adopt(
            AdoptedConnection(
                stream: stream, descriptor: descriptor, firstBytes: first, expectsContinue: head.expectsContinue),
            as: ticket)
        // Only this side's handle of the socket is closed; the connection lives on.
        context.close(promise: nil)
        return true
    }
}

/// An HTTP/1.1 connection with a ``StreamSwitch`` before it, where there is one.
struct SwitchedChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let http: EdgeHTTPChannel
    let makeSwitch: @Sendable () -> StreamSwitch?

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        http.setup(channel: channel, logger: logger).flatMapThrowing { value in
            if let handler = makeSwitch() {
                try channel.pipeline.syncOperations.addHandler(handler, position: .first)
            }
            return value
        }
    }

    func handle(value: Value, logger: Logger) async {
        await http.handle(value: value, logger: logger)
    }
}

extension Channel {
    /// The address of the far end, without its port.
    var farAddress: String { remoteAddress?.ipAddress ?? "unknown" }

    /// How a client is shown: `address:port` when it is the far end itself; behind a proxy its address alone.
    func address(of client: String) -> String {
        guard client == farAddress, let remoteAddress else { return client }
        return remoteAddress.ipAddress.map { "\($0):\(remoteAddress.port ?? 0)" } ?? "\(remoteAddress)"
    }
}
