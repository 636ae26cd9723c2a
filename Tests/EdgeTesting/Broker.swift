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

    /// - Parameters:
    ///   - denied: a topic that nobody may write.
    ///   - tellsOfItself: whether the user may read `$SYS`, which is brought up to date each second.
    ///   - settings: further lines of mosquitto.conf.
    public init(
        user: String, password: String, denied: String? = nil, tellsOfItself: Bool = false, settings: [String] = []
    ) throws {
        folder = try TestFolders.temporary("edge-broker")
        port = try TestFolders.freePort()
        let passwords = try Self.start("mosquitto_passwd", ["-b", "-c", "\(folder)/passwords", user, password])
        guard passwords.wait(seconds: 20) else { throw Failure(description: "mosquitto_passwd does not end") }
        var rules = "user \(user)\ntopic readwrite #\n"
        if let denied { rules += "topic deny \(denied)\n" }
        if tellsOfItself { rules += "topic read $SYS/#\n" }
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

            """ + (["sys_interval 1"] + settings).joined(separator: "\n") + "\n"
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
        try process.runWithoutBlockedSignals()
        return process
    }

    /// Starts the broker, and the subscriber with it.
    public func start() throws {
        broker = try Self.start("mosquitto", ["-c", "\(folder)/mosquitto.conf"])
        for _ in 0..<200 {
            if (try? RawConnection(port: port)) != nil { break }
            usleep(20_000)
        }
        subscriber = try subscribe(["-F", "%r %t %p"], output: "\(folder)/heard-\(UUID().uuidString)")
        // It must have subscribed before anything is said.
        usleep(300_000)
    }

    private func subscribe(_ arguments: [String], output: String? = nil) throws -> Process {
        let common = [
            "-h", "127.0.0.1", "-p", "\(port)", "-u", credentials.user, "-P", credentials.password, "-q", "1", "-t",
            "#",
        ]
        return try Self.start("mosquitto_sub", common + arguments, output: output)
    }

    /// Leaves a session for which the broker keeps messages, and nobody who takes them.
    public func leaveSession(_ clientID: String) throws {
        let process = try subscribe(["-c", "-i", clientID, "-E"])
        guard process.wait(seconds: 20), process.terminationStatus == 0 else {
            throw Failure(description: "mosquitto_sub -E: \(process.terminationStatus)")
        }
    }

    /// What the broker keeps for those who come now, by topic.
    public func retained() throws -> [String: String] {
        let path = "\(folder)/retained-\(UUID().uuidString)"
        let process = try subscribe(["--retained-only", "-F", "%t %p", "-W", "2"], output: path)
        guard process.wait(seconds: 20) else { throw Failure(description: "mosquitto_sub -W 2 does not end") }
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        return lines.reduce(into: [:]) { all, line in
            let parts = line.split(separator: " ", maxSplits: 1)
            if parts.count == 2 { all[String(parts[0])] = String(parts[1]) }
        }
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
