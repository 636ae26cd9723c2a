import TextParts

/// Fetches a stretch of a file: says what to ask next, and judges what came. What has come already is not asked again.
struct RangeDownload {
    enum Verdict: Equatable {
        case done
        /// Ask again, not before so many seconds.
        case again(reason: String, afterSeconds: Double)
        case missing(String)
        case failed(String)
        /// The server was not reached, or could not answer, in all attempts.
        case unreachable(String)
    }

    private let first: Int64
    /// Nil for up to the end of the file.
    private let end: Int64?
    private let mostBytes: Int
    private let firstPauseSeconds: Double
    private(set) var bytes: [UInt8] = []
    private var tag: String?
    private var attempts = 0

    /// In a row that have brought next to nothing.
    static let mostAttempts = 5
    private static let progressBytes = 16 << 10
    /// What is waited at most because a server says so.
    static let mostPauseSeconds = 300.0

    init(_ range: ByteRange, mostBytes: Int, firstPauseSeconds: Double = 2) {
        self.firstPauseSeconds = firstPauseSeconds
        first = range.first
        end = range.end
        self.mostBytes = mostBytes
    }

    var headers: [String: String] {
        let from = first + Int64(bytes.count)
        return ["Range": end.map { "bytes=\(from)-\($0 - 1)" } ?? "bytes=\(from)-"]
    }

    /// The longest body that may come.
    var room: Int { end.map { Int(clamping: $0 - first) - bytes.count } ?? mostBytes - bytes.count }

    mutating func take(_ answer: FetchAnswer) -> Verdict {
        attempts += 1
        switch answer.status {
        case 206: return takePart(answer)
        case 200: return takeWhole(answer)
        case 403, 404, 410: return .missing("the server answers \(answer.status)")
        case 416: return .failed("the file is shorter than its index says")
        case 408, 425, 429, 500...599:
            return again(
                "the server answers \(answer.status)", answer.headers["retry-after"].flatMap(Double.init),
                isUnreachable: true)
        default: return .failed("the server answers \(answer.status)")
        }
    }

    /// Nothing came at all.
    mutating func take(_ failure: String) -> Verdict {
        attempts += 1
        return again(failure, isUnreachable: true)
    }

    private func again(_ reason: String, _ seconds: Double? = nil, isUnreachable: Bool = false) -> Verdict {
        guard attempts < Self.mostAttempts else {
            let told = "\(reason), \(attempts) times"
            return isUnreachable ? .unreachable(told) : .failed(told)
        }
        let pause = seconds ?? firstPauseSeconds * Double(1 << max(0, attempts - 1))
        return .again(reason: reason, afterSeconds: min(Self.mostPauseSeconds, max(0, pause)))
    }

    private mutating func takePart(_ answer: FetchAnswer) -> Verdict {
        let from = first + Int64(bytes.count)
        guard let range = ContentRange(answer.headers["content-range"] ?? ""), range.first == from else {
            return again("the server sends another part than was asked for")
        }
        let newTag = answer.headers["etag"]
        if let tag, tag != newTag {
            // The file was replaced meanwhile: what has come belongs to the old one.
            bytes = []
            self.tag = nil
            return again("the file was replaced while it was fetched")
        }
        tag = newTag
        let wanted = end ?? range.total.map { min($0, first + Int64(mostBytes)) }
        guard let wanted else { return .failed("the server does not say how long the file is") }
        bytes += answer.body.prefix(max(0, Int(wanted - from)))
        // A thin link that is cut again and again gets there too, as long as something comes each time.
        if answer.body.count >= Self.progressBytes { attempts = 0 }
        guard first + Int64(bytes.count) >= wanted else {
            return again(answer.cut ?? "the server sends less than was asked for", isUnreachable: answer.cut != nil)
        }
        return .done
    }

    /// The whole file instead of the part: of use only when the part is near its beginning.
    private mutating func takeWhole(_ answer: FetchAnswer) -> Verdict {
        if answer.body.isEmpty { return again("the server sends an empty answer") }
        guard let end, end <= Int64(answer.body.count) else {
            return answer.cut == nil && answer.body.count < room
                ? again("the server sends something else than the file")
                : .failed("the server knows no ranges, and sends the whole file")
        }
        bytes = Array(answer.body[Int(first)..<Int(end)])
        return .done
    }
}

/// A stretch of a file.
public struct ByteRange: Sendable, Hashable {
    public var first: Int64
    /// Behind the last byte; nil for the end of the file.
    public var end: Int64?

    public init(first: Int64, end: Int64?) {
        self.first = first
        self.end = end
    }
}

/// `bytes 0-99/1000` (RFC 9110 §14.4)
struct ContentRange {
    let first: Int64
    let last: Int64
    /// Nil when the server does not know.
    let total: Int64?

    init?(_ text: String) {
        guard text.hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst(6).parts(at: "/")
        let ends = parts.first?.parts(at: "-") ?? []
        guard parts.count == 2, ends.count == 2, let first = Int64(ends[0]), let last = Int64(ends[1]), first >= 0,
            last >= first
        else { return nil }
        self.first = first
        self.last = last
        total = Int64(parts[1])
        if let total, total <= last { return nil }
    }
}
