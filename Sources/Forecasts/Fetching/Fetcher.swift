import TextParts

/// What the collectors need of the network. One request, one answer; whoever implements it keeps the pace and the budget.
public protocol Fetcher: Sendable {
    func fetch(_ request: FetchRequest) async throws(FetchFailure) -> FetchAnswer
    /// The pause before something is asked for the second time; each that follows is twice as long.
    var firstPauseSeconds: Double { get }
    /// Waits before something is asked again.
    func pause(seconds: Double) async throws(FetchFailure)
}

public struct FetchRequest: Sendable, Hashable {
    public var method: String
    public var url: String
    public var headers: [String: String]
    public var body: [UInt8]
    /// A longer answer is cut there, and its transfer ended.
    public var mostBytes: Int

    public init(
        _ url: String, method: String = "GET", headers: [String: String] = [:], body: [UInt8] = [], mostBytes: Int
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.mostBytes = mostBytes
    }
}

public struct FetchAnswer: Sendable {
    public var status: Int
    /// Names in lower case.
    public var headers: [String: String]
    public var body: [UInt8]
    /// Why the body is not whole; nil when it is.
    public var cut: String?

    public init(status: Int, headers: [String: String] = [:], body: [UInt8] = [], cut: String? = nil) {
        self.status = status
        self.headers = headers
        self.body = body
        self.cut = cut
    }
}

/// Nothing came.
public enum FetchFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// It may go away.
    case unreachable(String)
    /// Nothing may be fetched any more for now.
    case overBudget(String)
    case cancelled

    public var description: String {
        switch self {
        case .unreachable(let reason), .overBudget(let reason): reason
        case .cancelled: "it was called off"
        }
    }
}

/// Why something could not be collected.
public enum CollectionFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// It is not there, and asking again at once is of no use.
    case missing(String)
    /// What came was not what was asked for, again and again.
    case failed(String)
    /// The server was not reached, or could not answer, again and again: a later attempt may succeed.
    case unreachable(String)
    /// The user name or the password is wrong.
    case unauthorised(String)
    case overBudget(String)
    case cancelled

    public var description: String {
        switch self {
        case .missing(let reason), .failed(let reason), .unreachable(let reason), .unauthorised(let reason),
            .overBudget(let reason):
            reason.hidingPasswords
        case .cancelled: "it was called off"
        }
    }

    init(_ failure: FetchFailure) {
        self =
            switch failure {
            case .unreachable(let reason): .unreachable(reason)
            case .overBudget(let reason): .overBudget(reason)
            case .cancelled: .cancelled
            }
    }
}
