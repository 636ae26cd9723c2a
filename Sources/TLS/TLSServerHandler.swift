public import NIOCore

/// Encrypts and decrypts what passes through a server's channel.
///
/// Errors end the connection, after the alert that tells the peer the reason. Before its handshake has finished, a connection cannot
/// be written to.
public final class TLSServerHandler: ChannelDuplexHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    private enum State {
        case handshake
        case open
        /// Everything was written; the rest is to be sent, and the peer's end awaited.
        case closing
        case closed
    }

    /// How long a closed connection waits for a peer that takes nothing of what is left for it.
    private static let sendTimeout = TimeAmount.seconds(60)
    /// How long it then waits for the peer's own end. Closing at once would destroy what the peer has not read yet if it still sends.
    private static let endTimeout = TimeAmount.seconds(5)

    private var connection: TLSConnection
    private var state = State.handshake
    /// Whether the peer sends no more.
    private var isInputClosed = false
    /// Completes when `close_notify` has been sent, with everything before it. Nil while there is more to write.
    private var outputEnd: EventLoopFuture<Void>?
    private var closePromise: EventLoopPromise<Void>?
    private var closeTimeout: Scheduled<Void>?

    /// - Throws: ``TLSError`` when there is no memory.
    public init(identity: TLSIdentity) throws(TLSError) {
        connection = try TLSConnection(identity)
    }

    public func handlerRemoved(context: ChannelHandlerContext) {
        finish()
    }

    public func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    // MARK: Received

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .closed, !isInputClosed else { return }
        let received = unwrapInboundIn(data)
        do {
            try connection.receive(received)
        } catch {
            return fail(context, error)
        }
        if state == .handshake {
            switch connection.handshake() {
            case .finished: state = .open
            case .needsInput: return sendOutput(context)
            case .failed(let error): return fail(context, error)
            }
        }
        var plaintext = context.channel.allocator.buffer(capacity: received.readableBytes)
        let ending = connection.read(into: &plaintext)
        // Session tickets, and answers to key updates.
        sendOutput(context)
        // From here on, whoever is told may write and close.
        if state == .open, plaintext.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(plaintext)) }
        switch ending {
        case .none: break
        case .closed: closeInput(context)
        case .failed(let error): if state != .closed { fail(context, error) }
        }
    }

    public func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // Nobody above asks for what a handshake or an end needs.
        if state == .handshake || state == .closing { context.read() }
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? ChannelEvent, event == .inputClosed else {
            return context.fireUserInboundEventTriggered(event)
        }
        if state == .handshake {
            fail(context, TLSError("the TLS handshake failed", reason: "the peer ended the connection"))
        } else {
            // Without `close_notify`, perhaps. HTTP/1.1 shows by its lengths whether a message is whole.
            closeInput(context)
        }
    }

    private func closeInput(_ context: ChannelHandlerContext) {
        guard !isInputClosed else { return }
        isInputClosed = true
        switch state {
        case .open: context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        case .closing: closeWhenSent(context)
        case .handshake, .closed: break
        }
    }

    // MARK: Sent

    public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard state == .open, outputEnd == nil else {
            promise?.fail(state == .open ? ChannelError.outputClosed : ChannelError.ioOnClosedChannel)
            return
        }
        let plaintext = unwrapOutboundIn(data)
        var records = context.channel.allocator.buffer(
            capacity: TLSConnection.encryptedByteCount(plaintext.readableBytes))
        do {
            try connection.write(plaintext, into: &records)
        } catch {
            promise?.fail(error)
            return fail(context, error)
        }
        context.write(wrapOutboundOut(records), promise: promise)
    }

    private func sendOutput(_ context: ChannelHandlerContext, promise: EventLoopPromise<Void>? = nil) {
        var records = context.channel.allocator.buffer(capacity: 0)
        connection.takeOutput(into: &records)
        if records.readableBytes > 0 || promise != nil {
            context.writeAndFlush(wrapOutboundOut(records), promise: promise)
        }
    }

    // MARK: The end

    public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch (mode, state) {
        case (.input, _):
            promise?.fail(ChannelError.operationUnsupported)
        case (_, .handshake), (_, .closed):
            finish()
            context.close(mode: .all, promise: promise)
        case (_, .closing):
            add(promise)
        case (.output, .open) where !isInputClosed:
            closeOutput(context).cascade(to: promise)
        case (_, .open):
            state = .closing
            add(promise)
            closeWhenSent(context)
            if state == .closing { context.read() }
        }
    }

    /// Sends `close_notify` after everything that was written.
    private func closeOutput(_ context: ChannelHandlerContext) -> EventLoopFuture<Void> {
        if let outputEnd { return outputEnd }
        connection.closeOutput()
        let promise = context.eventLoop.makePromise(of: Void.self)
        outputEnd = promise.futureResult
        sendOutput(context, promise: promise)
        return promise.futureResult
    }

    /// Closes the channel once everything has been sent and the peer has ended too, or has had the time to.
    private func closeWhenSent(_ context: ChannelHandlerContext) {
        limitClose(context, to: Self.sendTimeout)
        closeOutput(context).assumeIsolated().whenComplete { [self] result in
            guard state == .closing else { return }
            if isInputClosed || (try? result.get()) == nil {
                closeNow(context)
            } else {
                limitClose(context, to: Self.endTimeout)
            }
        }
    }

    private func limitClose(_ context: ChannelHandlerContext, to limit: TimeAmount) {
        closeTimeout?.cancel()
        closeTimeout = context.eventLoop.assumeIsolated().scheduleTask(in: limit) { [self] in
            if state == .closing { closeNow(context) }
        }
    }

    private func closeNow(_ context: ChannelHandlerContext) {
        let promise = closePromise
        closePromise = nil
        finish()
        context.close(mode: .all, promise: promise)
    }

    /// Sends the alert that libssl has made, then closes.
    private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        finish()
        context.fireErrorCaught(error)
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in context.close(mode: .all, promise: nil) }
        sendOutput(context, promise: promise)
    }

    private func add(_ promise: EventLoopPromise<Void>?) {
        guard let promise else { return }
        if let closePromise {
            closePromise.futureResult.cascade(to: promise)
        } else {
            closePromise = promise
        }
    }

    /// Leaves nothing behind that would use the channel later.
    private func finish() {
        state = .closed
        closeTimeout?.cancel()
        closeTimeout = nil
        closePromise?.succeed(())
        closePromise = nil
    }
}

// Channels use their handlers on one thread only.
@available(*, unavailable)
extension TLSServerHandler: Sendable {}
