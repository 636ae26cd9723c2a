import Foundation

/// A Prometheus on loopback that takes remote writes.
public final class PrometheusServer {
    public let port: Int
    private let folder: String
    private let arguments: [String]
    private let authorization: String
    private var server: Process?

    /// - Parameter takesOldSamples: whether it takes samples between those that it has, up to thirty days old; by default Prometheus does
    ///   not.
    public init(takesOldSamples: Bool = true) throws {
        folder = try TestFolders.temporary("edge-prometheus")
        port = try TestFolders.freePort()
        let storage = takesOldSamples ? "storage: {tsdb: {out_of_order_time_window: 30d}}\n" : ""
        try "global: {}\n\(storage)".write(
            toFile: "\(folder)/prometheus.yml", atomically: true, encoding: .utf8)
        arguments = [
            "--config.file=\(folder)/prometheus.yml", "--storage.tsdb.path=\(folder)/data",
            "--web.enable-remote-write-receiver",
        ]
        authorization = ""
    }

    /// - Parameters:
    ///   - arguments: All but the address to listen on and the place of its data.
    ///   - user: Whom it lets in, with the password.
    public init(arguments: [String], user: String, password: String) throws {
        folder = try TestFolders.temporary("edge-prometheus")
        port = try TestFolders.freePort()
        self.arguments = arguments + ["--storage.tsdb.path=\(folder)/data"]
        authorization = "Authorization: Basic \(Data("\(user):\(password)".utf8).base64EncodedString())\r\n"
    }

    deinit {
        stop()
        TestFolders.remove(folder)
    }

    /// Kills it; what it has stays for the next start.
    public func stop() {
        guard let server, server.isRunning else { return }
        kill(server.processIdentifier, SIGKILL)
        server.waitUntilExit()
    }

    private static func program(_ name: String) throws -> URL {
        let tools = ProcessInfo.processInfo.environment["EDGE_TEST_SERVERS"] ?? "\(TestFolders.root)/var/test-servers"
        guard FileManager.default.fileExists(atPath: "\(tools)/bin/\(name)") else {
            throw TestFolders.Missing(description: "\(tools)/bin/\(name) is missing: run `make setup-tests`")
        }
        return URL(fileURLWithPath: "\(tools)/bin/\(name)")
    }

    public func start() throws {
        let process = Process()
        process.executableURL = try Self.program("prometheus")
        process.arguments = arguments + ["--web.listen-address=127.0.0.1:\(port)"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        server = process
        for _ in 0..<300 {
            if let answer = try? get("/-/ready"), answer.hasPrefix("HTTP/1.1 200") { return }
            usleep(50_000)
        }
        throw TestFolders.Missing(description: "Prometheus did not start")
    }

    private func get(_ path: String) throws -> String {
        let connection = try RawConnection(port: port)
        try connection.send("GET \(path) HTTP/1.1\r\nHost: x\r\n\(authorization)Connection: close\r\n\r\n")
        return try connection.answer()
    }

    /// The values of an instant query, by their labels.
    public func query(_ expression: String) throws -> [(labels: [String: String], value: Double)] {
        let text = expression.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        let answer = try get("/api/v1/query?query=\(text)")
        guard let start = answer.range(of: "\r\n\r\n"),
            let object = try JSONSerialization.jsonObject(with: Data(answer[start.upperBound...].utf8))
                as? [String: Any],
            let data = object["data"] as? [String: Any], let result = data["result"] as? [[String: Any]]
        else { throw TestFolders.Missing(description: "no answer to \(expression): \(answer.suffix(300))") }
        return result.map { row in
            let pair = row["value"] as? [Any] ?? []
            return (row["metric"] as? [String: String] ?? [:], Double(pair.last as? String ?? "") ?? .nan)
        }
    }

    /// What `promtool check metrics` says of a page, and its exit code.
    public static func check(_ page: String) throws -> (code: Int32, text: String) {
        try promtool(["check", "metrics"], input: page)
    }

    /// What `promtool check` says of a file, and its exit code.
    ///
    /// - Parameter kind: `rules`, `config` or `web-config`.
    public static func check(_ kind: String, at path: String) throws -> (code: Int32, text: String) {
        try promtool(["check", kind, path], input: "")
    }

    private static func promtool(_ arguments: [String], input page: String) throws -> (code: Int32, text: String) {
        let process = Process()
        process.executableURL = try program("promtool")
        process.arguments = arguments
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        input.fileHandleForWriting.write(Data(page.utf8))
        try input.fileHandleForWriting.close()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }
}
