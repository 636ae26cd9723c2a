import Foundation

/// A program of the test servers' folder, run until the test is done with it.
public final class TestProgram {
    private let process = Process()

    public static var tools: String {
        ProcessInfo.processInfo.environment["EDGE_TEST_SERVERS"] ?? "\(TestFolders.root)/var/test-servers"
    }

    /// - Parameter name: of the test servers' folder, or else a path.
    public init(_ name: String, _ arguments: [String], environment more: [String: String] = [:], isQuiet: Bool = true)
        throws
    {
        let path = name.hasPrefix("/") ? name : "\(Self.tools)/bin/\(name)"
        guard FileManager.default.fileExists(atPath: path) else {
            throw TestFolders.Missing(description: "\(path) is missing: run `make setup-tests`")
        }
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        var environment = ProcessInfo.processInfo.environment
        environment["LD_LIBRARY_PATH"] = "\(Self.tools)/lib"
        process.environment = environment.merging(more) { $1 }
        if isQuiet {
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
        }
        try process.runWithoutBlockedSignals()
    }

    /// Runs to the end; its exit code.
    @discardableResult
    public func wait() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    public func stop() {
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    deinit { stop() }
}
