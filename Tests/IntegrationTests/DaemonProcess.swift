import EdgeTesting
import Foundation

/// The built program, run as a user runs it.
final class DaemonProcess {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let folder: String
    private(set) var port = 0
    /// What it has said until it listened.
    private(set) var greeting = ""
    private var process = Process()
    private let environment: [String: String]
    private let ownsFolder: Bool

    /// - Parameter settings: names in capitals, over those that a test always has.
    init(folder: String? = nil, settings: [String: String] = [:]) throws {
        self.folder = try folder ?? TestFolders.temporary("edge-daemon")
        ownsFolder = folder == nil
        var environment = ProcessInfo.processInfo.environment
        for name in environment.keys where name.hasPrefix("EDGE_") { environment[name] = nil }
        environment["BASE_DIR"] = self.folder
        environment["LISTEN"] = "127.0.0.1:0"
        environment["METRICS_PORT"] = "0"
        environment["ANALYZE_RECORDINGS"] = "false"
        environment["MIN_FREE_DISK_BYTES"] = "1000000"
        environment["HEALTH_INTERVAL_SEC"] = "0"
        environment["LOG_LEVEL"] = "warning"
        // A settings file of its own, so that none that lies about is taken.
        environment["CONFIG_PATH"] = "\(self.folder)/settings.yaml"
        environment.merge(settings) { $1 }
        self.environment = environment
        try Data().write(to: URL(fileURLWithPath: "\(self.folder)/settings.yaml"))
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        if ownsFolder { TestFolders.remove(folder) }
    }

    /// Starts the daemon and waits until it says where it listens.
    ///
    /// - Parameter logPath: a file for its log, instead of the test's own standard error.
    func start(logPath: String? = nil) throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: TestFolders.program)
        process.arguments = ["run"]
        process.environment = environment
        let output = Pipe()
        process.standardOutput = output
        if let logPath {
            try Data().write(to: URL(fileURLWithPath: logPath))
            process.standardError = FileHandle(forWritingAtPath: logPath)
        }
        try process.run()
        var text = ""
        while !text.contains("listeners POST") {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { throw Failure(description: "the daemon ended before it listened: \(text)") }
            text += String(decoding: data, as: UTF8.self)
        }
        guard let match = text.firstMatch(of: /page +http:\/\/127\.0\.0\.1:(\d+)\//), let port = Int(match.1) else {
            throw Failure(description: "no port in: \(text)")
        }
        self.port = port
        greeting = text
    }

    var pid: Int32 { process.processIdentifier }

    /// The power cut of processes.
    func killNow() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Ends it as an operator does, and returns its exit code.
    func stop() -> Int32 {
        kill(process.processIdentifier, SIGTERM)
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Runs a command of the program with the daemon's settings.
    func command(_ arguments: String...) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: TestFolders.program)
        process.arguments = arguments
        process.environment = environment.merging(["LISTEN": "127.0.0.1:\(port)"]) { $1 }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    func get(_ path: String) throws -> (status: Int, body: String) {
        try DaemonProcess.request("GET", path, port: port)
    }

    func json(_ path: String) throws -> [String: Any] {
        let answer = try get(path)
        guard answer.status == 200,
            let object = try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any]
        else { throw Failure(description: "\(path): \(answer)") }
        return object
    }

    static func request(
        _ method: String, _ path: String, port: Int, headers: [String] = [], body: [UInt8] = []
    ) throws -> (status: Int, body: String) {
        let connection = try RawConnection(port: port)
        let head =
            ["\(method) \(path) HTTP/1.1", "Host: 127.0.0.1:\(port)", "Connection: close"] + headers
            + (body.isEmpty ? [] : ["Content-Length: \(body.count)"])
        try connection.send(head.joined(separator: "\r\n") + "\r\n\r\n")
        try connection.send(body)
        return try parse(connection.answer())
    }

    static func parse(_ text: String) throws -> (status: Int, body: String) {
        guard let end = text.range(of: "\r\n\r\n"), let status = Int(text.split(separator: " ").dropFirst().first ?? "")
        else { throw Failure(description: "no answer: \(text)") }
        var body = String(text[end.upperBound...])
        if text[..<end.lowerBound].lowercased().contains("transfer-encoding: chunked") { body = unchunked(body) }
        return (status, body)
    }

    private static func unchunked(_ body: String) -> String {
        var bytes = Array(body.utf8)[...]
        var whole: [UInt8] = []
        while let line = bytes.firstIndex(of: 13),
            let count = Int(String(decoding: bytes[..<line], as: UTF8.self), radix: 16), count > 0
        {
            let start = line + 2
            guard start + count <= bytes.endIndex else { break }
            whole += bytes[start..<(start + count)]
            bytes = bytes[min(start + count + 2, bytes.endIndex)...]
        }
        return String(decoding: whole, as: UTF8.self)
    }

    /// The status with which a file that is none is met.
    func uploadNothing() throws -> Int {
        let body =
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nx\r\n--b--\r\n"
        return try DaemonProcess.request(
            "POST", "/recordings_upload?listener_id=a", port: port,
            headers: ["Content-Type: multipart/form-data; boundary=b"], body: Array(body.utf8)
        ).status
    }

    /// Begins a stream, as the firmware does.
    func stream(_ listener: String, path: String = "/recordings_stream", query: String? = nil) throws -> RawConnection {
        let connection = try RawConnection(port: port)
        try connection.send(
            "POST \(path)?\(query ?? "listener_id=\(listener)") HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
        )
        return connection
    }

    /// The recordings as the API lists them, oldest first.
    func recordings(_ query: String = "") throws -> [[String: Any]] {
        (try json("/api/v1/recordings?limit=1000\(query)")["recordings"] as? [[String: Any]] ?? []).reversed()
    }

    /// The sound of a recording's WAV file, found on disk by a parser of the test's own: 44 bytes of header.
    func sound(_ recording: [String: Any]) throws -> [UInt8] {
        let listener = recording["listener"] as? String ?? ""
        let name = recording["name"] as? String ?? ""
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/recordings/\(listener)/\(name)"))
        let declared = data[40..<44].enumerated().reduce(0) { $0 + Int($1.element) << ($1.offset * 8) }
        guard declared == data.count - 44 else {
            throw Failure(description: "\(name) says \(declared) bytes of sound and has \(data.count - 44)")
        }
        return Array(data[44...])
    }
}
