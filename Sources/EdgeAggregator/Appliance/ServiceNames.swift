import Logging
import TextParts

/// What the service library logs of services is their whole content, settings and secrets with it. Of that only the type's name
/// comes through.
struct ServiceNames: LogHandler {
    private var lines: any LogHandler

    init(_ lines: any LogHandler) { self.lines = lines }

    var logLevel: Logger.Level {
        get { lines.logLevel }
        set { lines.logLevel = newValue }
    }
    var metadata: Logger.Metadata {
        get { lines.metadata }
        set { lines.metadata = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { lines[metadataKey: key] }
        set { lines[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        var event = event
        event.metadata?["sl-services"] = nil
        if let service = event.metadata?["sl-service"] {
            event.metadata?["sl-service"] = "\("\(service)".before("("))"
        }
        lines.log(event: event)
    }
}
