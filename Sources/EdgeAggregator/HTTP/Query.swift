import Hummingbird

/// A value of a query is not what it should be.
struct QueryError: Error, CustomStringConvertible {
    let name: String
    let found: String
    let wanted: String

    var description: String { "\(name): `\(found)` is not \(wanted)" }
}

/// Reads a query's values.
struct Query {
    private let fields: [String: String]

    init(_ request: Request) {
        fields = StreamRequest.fields(request.uri.query ?? "")
    }

    func text(_ name: String) -> String? {
        fields[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    func time(_ name: String) throws(QueryError) -> Int64? {
        guard let text = text(name) else { return nil }
        guard let time = ISOTime.nanoseconds(text) else {
            throw QueryError(name: name, found: text, wanted: "a time such as 2026-11-21T01:27:44Z")
        }
        return time
    }

    func number(_ name: String, in range: ClosedRange<Double>) throws(QueryError) -> Double? {
        guard let text = text(name) else { return nil }
        guard let number = Double(text), range.contains(number) else {
            throw QueryError(
                name: name, found: text, wanted: "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func int64(_ name: String) throws(QueryError) -> Int64? {
        guard let text = text(name) else { return nil }
        guard let number = Int64(text), number >= 0 else {
            throw QueryError(name: name, found: text, wanted: "a whole number")
        }
        return number
    }

    /// How many rows, 1...1000.
    func limit(_ fallback: Int = 100) throws(QueryError) -> Int {
        guard let limit = try int64("limit") else { return fallback }
        guard (1...1000).contains(limit) else {
            throw QueryError(name: "limit", found: "\(limit)", wanted: "from 1 to 1000")
        }
        return Int(limit)
    }
}
