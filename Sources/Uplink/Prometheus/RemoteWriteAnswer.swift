import TextParts

/// What an answer to a remote write request means for the samples that were sent.
///
/// Sources: prometheus.io, "Prometheus Remote-Write Specification" 1.0 and 2.0; the texts are those of Prometheus
/// (`storage/interface.go`), Cortex, Grafana Mimir (`err-mimir-sample-…`) and Thanos, which answers 409.
enum RemoteWriteAnswer: Equatable {
    case stored
    /// The server has another sample of a series at the same time: this one was sent before, or another sender has the same labels. Some
    /// servers store the request's other samples, Prometheus up to 2.x does not.
    case duplicate(reason: String)
    /// The server has later samples of a series, and takes none between.
    case outOfOrder(reason: String)
    /// The server takes no samples that are so old.
    case tooOld(reason: String)
    /// Nothing is known to be stored, and the samples may be at fault.
    case rejected(reason: String)
    case unauthorised(reason: String)
    case unavailable(reason: String, retryAfterSeconds: Int?)

    init(_ answer: OutgoingAnswer) {
        let said = "\(answer.status) \(answer.text)"
        let text = String(decoding: answer.body, as: UTF8.self).lowercased()
        func says(_ phrases: String...) -> Bool { phrases.contains { text.holds($0) } }
        switch answer.status {
        case 200..<300: self = .stored
        case 401, 403: self = .unauthorised(reason: said)
        case 404, 405, 300..<400:
            self = .unavailable(
                reason: "\(said): check prometheus_url, and that the server takes remote write", retryAfterSeconds: nil)
        case 415:
            self = .unavailable(reason: "\(said): check prometheus_version", retryAfterSeconds: nil)
        case 408, 425, 429:
            self = .unavailable(reason: said, retryAfterSeconds: answer.retryAfterSeconds)
        case 400..<500 where answer.isWebPage && answer.status != 413:
            self = .unavailable(
                reason:
                    "\(said): this is a web page, not an answer of a remote write: check prometheus_url and proxies",
                retryAfterSeconds: answer.retryAfterSeconds)
        case 400..<500 where says("duplicate sample", "duplicate-timestamp", "duplicate timestamp"):
            self = .duplicate(reason: said)
        case 400..<500 where says("too old", "too-old", "out of bounds", "out-of-bounds", "outofbounds"):
            self = .tooOld(reason: said)
        case 400..<500 where says("out of order", "out-of-order"):
            self = .outOfOrder(reason: said)
        case 400..<500:
            self = .rejected(reason: said)
        default:
            self = .unavailable(reason: said, retryAfterSeconds: answer.retryAfterSeconds)
        }
    }
}

extension RemoteWriteAnswer {
    /// Whether some samples of the request are at fault, for a reason that is known.
    var isOfSomeSamples: Bool {
        switch self {
        case .duplicate, .outOfOrder, .tooOld: true
        case .stored, .rejected, .unauthorised, .unavailable: false
        }
    }
}
