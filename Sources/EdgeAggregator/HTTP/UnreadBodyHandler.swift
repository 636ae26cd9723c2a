import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1

/// Reads and discards what is left of a request's body once its response is complete, for a bounded time and up to a bounded size, and
/// closes only then.
///
/// It stands between the decoder and everything that knows routes, so every route and every way to close a connection has it.
final class UnreadBodyHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// How long one rest may take. As long as nginx waits (`lingering_time`).
    static let discardTimeout = TimeAmount.seconds(30)

    private var state: UnreadBody
    private var timeout: Scheduled<Void>?
    private var closePromise: EventLoopPromise<Void>?

    init(maximumBytes: Int) {
        state = UnreadBody(maximumBytes: maximumBytes)
    }

    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    // MARK: Received

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            state.requestBegan(
                announcedBytes: head.headers.first(name: "Content-Length").flatMap { Int($0) },
                expectsContinue: head.headers[canonicalForm: "Expect"].contains { $0.lowercased() == "100-continue" })
            context.fireChannelRead(data)
        case .body(let bytes):
            switch state.received(bytes.readableBytes) {
            case .deliver: context.fireChannelRead(data)
            case .discard: break
            case .close: closeNow(context)
            }
        case .end:
            let closes = state.requestEnded()
            stopTimeout()
            context.fireChannelRead(data)
            if closes { closeNow(context) }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // The server above asks for no more while the route does not read.
        if state.isDiscarding { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent, state.shutDown() { closeNow(context) }
        if let event = event as? ChannelEvent, event == .inputClosed, state.isDiscarding { closeNow(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if state.isDiscarding { closeNow(context) }
        context.fireErrorCaught(error)
    }

    // MARK: Sent

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head) where state.closesAfterResponse && head.status.code >= 200:
            head.headers.replaceOrAdd(name: "Connection", value: "close")
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end: end(context, data, promise)
        default: context.write(data, promise: promise)
        }
    }

    private func end(_ context: ChannelHandlerContext, _ data: NIOAny, _ promise: EventLoopPromise<Void>?) {
        let action = state.responseEnded()
        guard action != .nothing else { return context.write(data, promise: promise) }
        if action == .close {
            let written = promise ?? context.eventLoop.makePromise(of: Void.self)
            written.futureResult.assumeIsolated().whenComplete { _ in context.close(mode: .all, promise: nil) }
            return context.writeAndFlush(data, promise: written)
        }
        context.writeAndFlush(data, promise: promise)
        if action == .discardThenClose { context.close(mode: .output, promise: nil) }
        timeout = context.eventLoop.assumeIsolated().scheduleTask(in: Self.discardTimeout) { [self] in
            closeNow(context)
        }
        context.read()
    }

    // MARK: The end

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode != .input, state.closing() == .afterRest else { return context.close(mode: mode, promise: promise) }
        guard mode == .all else { return context.close(mode: .output, promise: promise) }
        context.flush()
        context.close(mode: .output, promise: nil)
        guard let promise else { return }
        if let closePromise {
            closePromise.futureResult.cascade(to: promise)
        } else {
            closePromise = promise
        }
    }

    private func closeNow(_ context: ChannelHandlerContext) {
        stopTimeout()
        let promise = closePromise
        closePromise = nil
        context.close(mode: .all, promise: promise)
    }

    private func stopTimeout() {
        timeout?.cancel()
        timeout = nil
    }

    /// Leaves nothing behind that would use the channel later.
    private func finish() {
        stopTimeout()
        closePromise?.succeed(())
        closePromise = nil
    }
}

// Channels use their handlers on one thread only.
@available(*, unavailable)
extension UnreadBodyHandler: Sendable {}

/// An HTTP/1.1 connection of this daemon: the framework's, with what the daemon adds behind the decoder.
struct EdgeHTTPChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let http: HTTP1Channel
    /// How much of a body is discarded after its response; see ``UnreadBody``.
    let maximumDiscardedBytes: Int

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        http.setup(channel: channel, logger: logger).flatMapThrowing { value in
            let pipeline = channel.pipeline.syncOperations
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandlers(
                [AbsoluteFormHandler(), UnreadBodyHandler(maximumBytes: maximumDiscardedBytes)],
                position: .after(decoder))
            return value
        }
    }

    func handle(value: Value, logger: Logger) async {
        await http.handle(value: value, logger: logger)
    }
}
