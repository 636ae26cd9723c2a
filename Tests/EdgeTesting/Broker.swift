import Foundation

/// A mosquitto broker on loopback, and a subscriber that hears everything.
public final class Broker {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public let port: Int
    private let folder: String
    private var broker: Process?
    private var subscriber: Process?

    /// - Parameter denied: a topic that nobody may write.
    public init(user: String, password: String, denied: String? = nil) throws {
        folder = try TestFolders.temporary("edge-broker")
        port = try TestFolders.freePort()
        let passwords = try Self.start("mosquitto_passwd", ["-b", "-c", "\(folder)/passwords", user, password])
        passwords.waitUntilExit()
        var rules = "user \(user)\ntopic readwrite #\n"
        if let denied { rules += "topic deny \(denied)\n" }
        try rules.write(toFile: "\(folder)/rules", atomically: true, encoding: .utf8)
        for file in ["passwords", "rules"] {
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: "\(folder)/\(file)")
        }
        let configuration = """
            listener \(port) 127.0.0.1
            allow_anonymous false
            password_file \(folder)/passwords
            acl_file \(folder)/rules
            user root
            # What it has acknowledged is on its way to the subscriber, not queued for it: it forgets that when killed.
            max_inflight_messages 0
            """
        try configuration.write(toFile: "\(folder)/mosquitto.conf", atomically: true, encoding: .utf8)
        credentials = (user, password)
    }

    private let credentials: (user: String, password: String)

    deinit {
        stop()
        TestFolders.remove(folder)
    }

    private static func start(_ program: String, _ arguments: [String], output: String? = nil) throws -> Process {
        let tools = ProcessInfo.processInfo.environment["EDGE_TEST_SERVERS"] ?? "\(TestFolders.root)/var/test-servers"
        guard FileManager.default.fileExists(atPath: "\(tools)/bin/\(program)") else {
            throw Failure(description: "\(tools)/bin/\(program) is missing: run `make setup-tests`")
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(tools)/bin/\(program)")
        process.arguments = arguments
        var environment = ProcessInfo.processInfo.environment
        environment["LD_LIBRARY_PATH"] = "\(tools)/lib"
        process.environment = environment
        if let output {
            _ = FileManager.default.createFile(atPath: output, contents: nil)
            process.standardOutput = FileHandle(forWritingAtPath: output)
        }
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    /// Starts the broker, and the subscriber with it.
    public func start() throws {
        broker = try Self.start("mosquitto", ["-c", "\(folder)/mosquitto.conf"])
        for _ in 0..<200 {
            if (try? RawConnection(port: port)) != nil { break }
            usleep(20_000)
        }
        subscriber = try Self.start(
            "mosquitto_sub",
            [
                "-h", "127.0.0.1", "-p", "\(port)", "-u", credentials.user, "-P", credentials.password, "-q", "1", "-t",
                "#",
                "-F", "%r %t %p",
            ], output: "\(folder)/heard-\(UUID().uuidString)")
        // It must have subscribed before anything is said.
        usleep(300_000)
    }

    /// Kills the broker at whatever it does. It is frozen first, so that the subscriber hears what is in its socket already:
    /// a kill resets the connection, and the kernel throws away what was not read. (What a broker has acknowledged and told
    /// nobody yet, it forgets when it is killed; that is not the box's to mend.)
    public func stop() {
        if let broker, broker.isRunning {
            kill(broker.processIdentifier, SIGSTOP)
            usleep(200_000)
        }
        for process in [broker, subscriber].compactMap({ $0 }) where process.isRunning {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        (subscriber, broker) = (nil, nil)
    }

    /// What was heard: whether it was kept by the broker for later, the topic, and the text.
    public func heard() throws -> [(isRetained: Bool, topic: String, payload: String)] {
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("heard-") }
        return try files.flatMap { file in
            try String(contentsOfFile: "\(folder)/\(file)", encoding: .utf8).split(separator: "\n").compactMap { line in
                let parts = line.split(separator: " ", maxSplits: 2)
                return parts.count == 3 ? (parts[0] == "1", String(parts[1]), String(parts[2])) : nil
            }
        }
    }
}
