import Foundation

/// A server that deliveries go to: a program of `Tests/Doubles`, which starts the real one behind it.
public final class FarEnd {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// Through the double's own rules or proxy.
    public let port: Int
    /// The real server's, where the double is only before it.
    public let directPort: Int
    public let folder: String
    private let process = Process()
    private let ownsFolder: Bool
    // Its end is how the double hears that the test has ended.
    private let leash = Pipe()

    public init(_ double: String, _ arguments: [String] = [], folderFirst: Bool = true, folder: String? = nil) throws {
        let folder = try folder ?? TestFolders.temporary("edge-far-end")
        self.folder = folder
        ownsFolder = true
        let tools = ProcessInfo.processInfo.environment["EDGE_TEST_SERVERS"] ?? "\(TestFolders.root)/var/test-servers"
        guard FileManager.default.fileExists(atPath: "\(tools)/bin/influxd") else {
            throw Failure(description: "\(tools)/bin/influxd is missing: run `make setup-tests`")
        }
        var environment = ProcessInfo.processInfo.environment
        environment["PATH"] = "\(tools)/bin:\(environment["PATH"] ?? "/usr/bin:/bin")"
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        var all = ["python3", "\(TestFolders.root)/Tests/Doubles/\(double)"]
        all += folderFirst ? [folder] + arguments : [arguments[0], folder] + arguments.dropFirst()
        process.arguments = all
        process.environment = environment
        process.standardInput = leash
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.first == "listening", words.count >= 2, let port = Int(words[1]) else {
            throw Failure(description: "\(double) did not start: \(text)")
        }
        self.port = port
        directPort = words.count > 2 ? Int(words[2]) ?? port : port
    }

    public static func influx(token: String) throws -> FarEnd {
        try FarEnd("influxdb3.py", [token])
    }

    /// - Parameter kind: `rclone` or `juicefs`.
    public static func s3(_ kind: String, accessKey: String, secretKey: String, bucket: String) throws -> FarEnd {
        try FarEnd("s3_server.py", [kind, accessKey, secretKey, bucket], folderFirst: false)
    }

    deinit {
        // Signals may be blocked in what a test starts, since its threads block them.
        try? leash.fileHandleForWriting.close()
        process.waitUntilExit()
        if ownsFolder { TestFolders.remove(folder) }
    }

    /// One request over a socket of the test's own; the body of the answer.
    public func ask(_ method: String, _ path: String, body: String = "") throws -> String {
        let connection = try RawConnection(port: port)
        try connection.send(
            "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        let answer = try connection.answer()
        guard let end = answer.range(of: "\r\n\r\n") else { throw Failure(description: "no answer: \(answer)") }
        return String(answer[end.upperBound...])
    }
}
