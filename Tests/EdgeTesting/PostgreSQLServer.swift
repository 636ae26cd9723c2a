import Foundation

/// A PostgreSQL server on loopback with a folder of its own, which is thrown away.
public final class PostgreSQLServer {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public let port: Int
    private let folder: String
    private var server: Process?

    public init(user: String, password: String, database: String) throws {
        credentials = (user, password)
        folder = try TestFolders.temporary("edge-postgres")
        port = try TestFolders.freePort()
        try password.write(toFile: "\(folder)/password", atomically: true, encoding: .utf8)
        if getuid() == 0 {
            for path in [folder, "\(folder)/password"] { chown(path, 65_534, 65_534) }
        }
        try run(
            "initdb",
            [
                "-D", "\(folder)/data", "-U", user, "--pwfile", "\(folder)/password", "-A", "scram-sha-256", "-E",
                "UTF8", "--no-locale",
            ])
        try start()
        _ = try query("CREATE DATABASE \(database)", database: "postgres")
        self.database = database
    }

    private let credentials: (user: String, password: String)
    private var database = "postgres"

    public func url(password: String? = nil) -> String {
        "postgresql://\(credentials.user):\(password ?? credentials.password)@127.0.0.1:\(port)/\(database)"
    }

    deinit {
        stop()
        TestFolders.remove(folder)
    }

    /// The programs where nobody can reach them: a checkout of root's may lie in a folder that is closed to others.
    private static let openTree: Result<String, any Error> = Result {
        let tools = ProcessInfo.processInfo.environment["EDGE_TEST_SERVERS"] ?? "\(TestFolders.root)/var/test-servers"
        guard FileManager.default.fileExists(atPath: "\(tools)/postgres/complete") else {
            throw Failure(description: "\(tools)/postgres is missing: run `make setup-tests`")
        }
        guard getuid() == 0 else { return "\(tools)/postgres" }
        let copy = "/tmp/edge-postgres-programs-\(getpid())"
        try FileManager.default.copyItem(atPath: "\(tools)/postgres", toPath: copy)
        atexit { TestFolders.remove("/tmp/edge-postgres-programs-\(getpid())") }
        return copy
    }

    /// PostgreSQL does not run as root: there it runs as nobody.
    private func process(_ program: String, _ arguments: [String]) throws -> Process {
        let path = "\(try Self.openTree.get())/usr/lib/postgresql/15/bin/\(program)"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            (getuid() == 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []) + [path] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        return process
    }

    private func run(_ program: String, _ arguments: [String]) throws {
        let process = try process(program, arguments)
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(description: "\(program): \(text)") }
    }

    public func start() throws {
        let server = try process(
            "postgres",
            [
                "-D", "\(folder)/data", "-p", "\(port)", "-c", "listen_addresses=127.0.0.1", "-c",
                "unix_socket_directories=", "-c", "jit=off",
            ])
        try server.run()
        self.server = server
        for _ in 0..<300 {
            if (try? query("SELECT 1", database: "postgres")) == "1" { return }
            usleep(50_000)
        }
        throw Failure(description: "PostgreSQL did not start")
    }

    /// The power cut of processes: its children end with it.
    public func stop() {
        guard let server, server.isRunning else { return }
        kill(server.processIdentifier, SIGKILL)
        server.waitUntilExit()
        self.server = nil
        // A new one does not start while an old child lives.
        usleep(200_000)
    }

    /// The answer as text, columns parted by `|`.
    public func query(_ sql: String, database: String? = nil) throws -> String {
        let process = try process(
            "psql",
            [
                "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql,
                "postgresql://\(credentials.user):\(credentials.password)@127.0.0.1:\(port)/\(database ?? self.database)",
            ])
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(description: "psql failed: \(sql)") }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
