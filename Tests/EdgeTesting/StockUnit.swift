import Foundation

/// A CO2 unit as its firmware speaks: HTTP/1.0, one header, and every answer read until the server closes.
public struct StockUnit {
    public let id: String
    public let port: Int

    public init(_ id: String, port: Int) {
        self.id = id
        self.port = port
    }

    /// The raw answer, and its status and body as the unit's client reads them.
    public func ask(_ method: String, _ path: String, body: [UInt8]? = nil) throws -> (
        status: Int, body: String, raw: String
    ) {
        let connection = try RawConnection(port: port)
        var head = "\(method) /ou/\(id)/\(path) HTTP/1.0\r\nHost: 127.0.0.1\r\n"
        if let body { head += "Content-Length: \(body.count)\r\n" }
        try connection.send(Array((head + "\r\n").utf8) + (body ?? []))
        let raw = try connection.readToEnd()
        let parts = raw.components(separatedBy: "\r\n\r\n")
        let status = parts[0].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return (status, parts.dropFirst().joined(separator: "\r\n\r\n"), raw)
    }

    @discardableResult
    public func ping(_ query: String = "?site_code=varanger-03&rssi_raw=8&rssi_dbm=-97&ber_raw=99") throws -> (
        status: Int, body: String, raw: String
    ) {
        try ask("POST", "alive\(query)")
    }

    @discardableResult
    public func push(_ path: String, offset: Int, _ body: [UInt8]) throws -> (status: Int, body: String, raw: String) {
        try ask("PUT", "push-sequential/\(path)?offset=\(offset)", body: body)
    }

    /// What the unit goes by: `ack_file` of an answer.
    public static func acknowledged(_ body: String) -> (name: String, bytes: Int)? {
        let object = (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any]
        guard let file = object?["ack_file"] as? [Any], file.count == 3, let name = file[0] as? String,
            let bytes = file[1] as? Int
        else { return nil }
        return (name, bytes)
    }

    /// A line of `readings-NNNN.tsv`, by its number: half an hour each.
    public func line(_ number: Int, columns: Int = 16) -> String {
        let day = 1 + number / 48
        let minutes = number % 48 * 30
        let date = String(
            format: "2019-%02d-%02d\t%02d:%02d:10", 1 + day / 28, 1 + day % 28, minutes / 60, minutes % 60)
        let values = (0..<10).map { "\(680 + (number + $0) % 30 * 10)" } + ["229", "32274", "31179", "32989", "18373"]
        return ([id, "varanger-03", date, "23.4375", "1"] + values.prefix(columns - 6)).joined(separator: "\t") + "\n"
    }
}
