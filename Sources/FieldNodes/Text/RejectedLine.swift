/// A line that could not be taken, and why. It costs itself alone.
public struct RejectedLine: Error, Sendable, Equatable, CustomStringConvertible {
    /// Unicode scalars; more is not kept of a line.
    public static let longestScalars = 300

    public let line: String
    public let reason: String

    public init(_ line: some StringProtocol, _ reason: String) {
        self.line = String(String.UnicodeScalarView(line.unicodeScalars.lazy.prefix(Self.longestScalars)))
        self.reason = reason
    }

    public var description: String { "\(reason): \(line)" }
}
