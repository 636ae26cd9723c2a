import Logging
import TextParts

/// Lowers to `debug` what is logged as an error because a task was cancelled. When one service fails, the others are cancelled, and
/// their calls end with `CancellationError`: that says nothing, and stands before the reason for the end.
struct QuietCancellation: LogHandler {
    private var next: any LogHandler

    init(_ next: any LogHandler) { self.next = next }

    var logLevel: Logger.Level {
        get { next.logLevel }
        set { next.logLevel = newValue }
    }
    var metadata: Logger.Metadata {
        get { next.metadata }
        set { next.metadata = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { next[metadataKey: key] }
        set { next[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        guard event.level >= .warning, Self.isOfCancellation(event, isCancelled: Task.isCancelled) else {
            return next.log(event: event)
        }
        guard logLevel <= .debug else { return }
        var event = event
        event.level = .debug
        next.log(event: event)
    }

    /// - Parameter isCancelled: whether the task that logs was cancelled.
    static func isOfCancellation(_ event: LogEvent, isCancelled: Bool) -> Bool {
        let message = "\(event.message)"
        // Hummingbird closes the channel of a server whose task was cancelled a second time, in a task of its own.
        if message == "Server shutdown error: Already closed" { return true }
        let cancellation = "CancellationError()"
        return isCancelled
            && (message.holds(cancellation)
                || event.metadata?.values.contains { "\($0)".holds(cancellation) } == true)
    }
}
