/// What happens to the rest of a request's body that arrives after its response is complete.
///
/// A server that closes at once destroys the response on its way: the kernel answers further bytes with a reset, and the client then
/// reads the reset and not the status (RFC 9112 §9.6). So the rest is read and discarded, up to a limit, and only then is the
/// connection closed or used again.
///
/// It knows HTTP's order of events and does no I/O. ``UnreadBodyHandler`` does what it says.
struct UnreadBody: Sendable {
    /// What to do with bytes of a body.
    enum BodyAction: Equatable, Sendable {
        /// The route reads them.
        case deliver
        case discard
        /// The limit is reached.
        case close
    }

    /// What to do once a response is complete.
    enum EndAction: Equatable, Sendable {
        /// The request is complete too, or the next one is being received.
        case nothing
        /// Discard the rest; the connection can be used again after it.
        case discard
        /// End the output, so that the client hears at once that no more comes; discard the rest; then close.
        case discardThenClose
        /// The client will not send a body any more.
        case close
    }

    enum CloseAction: Equatable, Sendable {
        case now
        /// End the output, and close when the rest is discarded.
        case afterRest
    }

    private let maximumBytes: Int
    private var requests = 0
    private var responses = 0
    private var isReceiving = false
    /// The client waits for `100 Continue`, which is sent to nobody here, and has sent nothing of the body yet.
    private var isWaitingToSend = false
    /// Of the body, by its Content-Length; nil for a chunked one.
    private var announcedBytes: Int?
    private var receivedBytes = 0
    private var discardedBytes = 0
    private var isClosing = false
    private var isShuttingDown = false
    /// Whether the rest of a body is being discarded.
    private(set) var isDiscarding = false

    /// - Parameter maximumBytes: how much of one body is discarded. 0: the connection is closed at once.
    init(maximumBytes: Int) {
        self.maximumBytes = maximumBytes
    }

    // MARK: Received

    mutating func requestBegan(announcedBytes: Int?, expectsContinue: Bool) {
        requests += 1
        isReceiving = true
        isDiscarding = false
        self.announcedBytes = announcedBytes
        isWaitingToSend = expectsContinue
        receivedBytes = 0
        discardedBytes = 0
    }

    mutating func received(_ bytes: Int) -> BodyAction {
        isWaitingToSend = false
        receivedBytes += bytes
        guard isDiscarding else { return .deliver }
        discardedBytes += bytes
        return discardedBytes > maximumBytes ? .close : .discard
    }

    /// Whether the connection is to be closed now.
    mutating func requestEnded() -> Bool {
        isReceiving = false
        defer { isDiscarding = false }
        return isDiscarding && isClosing
    }

    // MARK: Sent

    /// Whether the response has to say that it is the last one of its connection.
    var closesAfterResponse: Bool {
        guard isReceiving, requests == responses + 1 else { return false }
        return isWaitingToSend || (announcedBytes ?? 0) - receivedBytes > maximumBytes
    }

    mutating func responseEnded() -> EndAction {
        let closes = closesAfterResponse
        responses += 1
        guard isReceiving, requests == responses else { return .nothing }
        if isWaitingToSend || isShuttingDown || maximumBytes == 0 { return .close }
        isDiscarding = true
        isClosing = isClosing || closes
        return closes ? .discardThenClose : .discard
    }

    // MARK: The end

    /// The route or the server wants to close.
    mutating func closing() -> CloseAction {
        guard isDiscarding, !isShuttingDown else { return .now }
        isClosing = true
        return .afterRest
    }

    /// The daemon ends. Returns whether to close now.
    mutating func shutDown() -> Bool {
        isShuttingDown = true
        return isDiscarding
    }
}
