import EdgeTesting
import Foundation

/// The central server's folder, copied, with the commands of its page to be run in it. What they do to `/etc` is done below `root`.
final class DeployFolder {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let root: String
    var path: String { "\(root)/deploy" }

    init() throws {
        root = try TestFolders.temporary("edge-deploy")
        let files = FileManager.default
        // The broker of the test is nobody's if the test is root's.
        try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: root)
        try files.copyItem(atPath: "\(TestFolders.root)/deploy", toPath: path)
        for made in [".env", "prometheus/web.yml"] { try? files.removeItem(atPath: "\(path)/\(made)") }
        for folder in ["stubs", "etc/default", "etc/prometheus", "etc/mosquitto/conf.d", "etc/systemd/system"] {
            try files.createDirectory(atPath: "\(root)/\(folder)", withIntermediateDirectories: true)
        }
        // What needs a machine of its own does nothing here; `mosquitto`, the user, is nobody.
        try stub("sudo", "exec \"$@\"")
        try stub("apt", "exit 0")
        try stub("systemctl", "exit 0")
        try stub("chown", "[ \"$(id -u)\" -ne 0 ] || exec /bin/chown \"nobody${1#mosquitto}\" \"${@:2}\"")
        try files.createSymbolicLink(
            atPath: "\(root)/stubs/docker", withDestinationPath: "\(TestFolders.root)/Tests/Doubles/docker.py")
    }

    deinit { TestFolders.remove(root) }

    private func stub(_ name: String, _ text: String) throws {
        try "#!/bin/bash\n\(text)\n".write(toFile: "\(root)/stubs/\(name)", atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(root)/stubs/\(name)")
    }

    /// The commands below a heading of the page, without those of the headings below it.
    func commands(_ heading: String) throws -> [String] {
        let page = try String(contentsOfFile: "\(path)/README.md", encoding: .utf8)
        var blocks: [String] = []
        var isHere = false
        var block: [Substring]?
        for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                if let lines = block {
                    if isHere { blocks.append(lines.joined(separator: "\n")) }
                    block = nil
                } else {
                    block = []
                }
            } else if block != nil {
                block?.append(line)
            } else if line.hasPrefix("#") {
                isHere = line.drop { $0 == "#" } == " \(heading)"
            }
        }
        guard !blocks.isEmpty else { throw Failure(description: "the page has no commands below \(heading)") }
        return blocks
    }

    /// Runs commands of the page in the folder; they must succeed.
    ///
    /// - Parameter hasTools: Whether the machine has the servers' tools; without them only the stand-in for Docker has.
    @discardableResult
    func run(_ commands: String, hasTools: Bool = true) throws -> String {
        let tools = TestProgram.tools
        var path = "\(root)/stubs:\(tools)/bin:/usr/bin:/bin"
        if !hasTools { path = try plainTools() }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-euo", "pipefail", "-c", commands.replacing("/etc/", with: "\(root)/etc/")]
        process.currentDirectoryURL = URL(fileURLWithPath: self.path)
        var environment = ProcessInfo.processInfo.environment
        environment.merge([
            "PATH": path, "LD_LIBRARY_PATH": "\(tools)/lib", "EDGE_DOCKER_FOLDER": root, "EDGE_TEST_SERVERS": tools,
        ]) { $1 }
        process.environment = environment
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(description: "\(commands)\nended with \(process.terminationStatus): \(text)")
        }
        return text
    }

    /// A folder with the programs that every machine has, and the stand-in for Docker.
    private func plainTools() throws -> String {
        let folder = "\(root)/plain"
        let script = """
            mkdir -p "$1" && ln -sf "$2" "$1/docker"
            for tool in bash cat cp dirname env mv od printf rm sed tr; do ln -sf "$(command -v $tool)" "$1/$tool"; done
            ln -sf "$(python3 -c 'import sys; print(sys.executable)')" "$1/python3"
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-euc", script, "bash", folder, "\(TestFolders.root)/Tests/Doubles/docker.py"]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(description: "no plain tools") }
        return folder
    }

    /// A password of `.env`.
    func secret(_ name: String) throws -> String {
        let line = try String(contentsOfFile: "\(path)/.env", encoding: .utf8).split(separator: "\n")
            .first { $0.hasPrefix("\(name)=") }
        guard let line else { throw Failure(description: ".env has no \(name)") }
        return String(line.dropFirst(name.count + 1))
    }

    /// The calls of the stand-in for Docker.
    func dockerCalls() throws -> [[String]] {
        try String(contentsOfFile: "\(root)/calls", encoding: .utf8).split(separator: "\n").map {
            try JSONDecoder().decode([String].self, from: Data($0.utf8))
        }
    }

    /// The lines of a service of docker-compose.yml.
    func service(_ name: String) throws -> [Substring] {
        let lines = try String(contentsOfFile: "\(path)/docker-compose.yml", encoding: .utf8).split(separator: "\n")
        guard let start = lines.firstIndex(of: "  \(name):") else { throw Failure(description: "no service \(name)") }
        return Array(lines[(start + 1)...].prefix { $0.hasPrefix("    ") || $0.hasPrefix("  #") })
    }
}

/// The S3 server, started as the central server's files have it.
final class StorageServer {
    let port: Int
    private let program: TestProgram

    /// - Parameter isContainer: By docker-compose.yml; else by the unit.
    init(_ folder: DeployFolder, isContainer: Bool) throws {
        port = try TestFolders.freePort()
        let data = "\(folder.root)/s3"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        let place: String
        var words: [String]
        if isContainer {
            place = "/data"
            let lines = try folder.service("s3")
            guard let line = lines.first(where: { $0.contains("command: ") }) else {
                throw DeployFolder.Failure(description: "the service s3 has no command")
            }
            words = try JSONDecoder().decode([String].self, from: Data(line.drop { $0 != "[" }.utf8))
        } else {
            place = "/var/lib/edge-s3"
            let unit = try String(contentsOfFile: "\(folder.path)/s3/edge-s3.service", encoding: .utf8)
            guard let line = unit.split(separator: "\n").first(where: { $0.hasPrefix("ExecStart=") }) else {
                throw DeployFolder.Failure(description: "the unit starts nothing")
            }
            words = line.split(separator: " ").dropFirst().map(String.init)
        }
        for name in ["S3_ACCESS_KEY", "S3_SECRET_KEY"] {
            let secret = try folder.secret(name)
            // With what compose says where it is not set, and without.
            words = words.map {
                $0.replacing("${\(name):?run ./passwords}", with: secret).replacing("${\(name)}", with: secret)
            }
        }
        let port = port
        words = words.map { $0 == ":9000" ? "127.0.0.1:\(port)" : $0 == place ? data : $0 }
        program = try TestProgram("rclone", words)
        try waitFor("the S3 server listens") { (try? RawConnection(port: port)) != nil }
    }

    deinit { program.stop() }
}
