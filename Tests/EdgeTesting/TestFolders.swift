import Foundation

/// Where tests find what set-up fetched, and where they may write.
public enum TestFolders {
    public struct Missing: Error, CustomStringConvertible {
        public let description: String
    }

    /// The package's root.
    public static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The folder of the built programs.
    public static var products: String {
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return (executable as NSString).deletingLastPathComponent.hasSuffix("debug")
            ? (executable as NSString).deletingLastPathComponent
            : (CommandLine.arguments.first.map { ($0 as NSString).deletingLastPathComponent } ?? "")
    }

    /// The daemon: the one that was built with these tests, or what EDGE_PROGRAM names, for example a program of another processor
    /// behind an emulator.
    public static var program: String {
        ProcessInfo.processInfo.environment["EDGE_PROGRAM"] ?? "\(products)/edge-aggregator"
    }

    /// Model, labels and library. Missing ones are an error, never a test left out.
    public static func models() throws -> String {
        try fetched("EDGE_MODELS_DIR", "var/models", "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")
    }

    /// The same for ``program``: EDGE_PROGRAM_MODELS_DIR has the library of its processor.
    public static func programModels() throws -> String {
        try ProcessInfo.processInfo.environment["EDGE_PROGRAM_MODELS_DIR"] ?? models()
    }

    /// The real bird recording: 10.1 s, 32 kHz, 16 bits, mono.
    public static func birds() throws -> String {
        try fetched("EDGE_SAMPLES_DIR", "var/samples", "birds_10s.wav") + "/birds_10s.wav"
    }

    private static func fetched(_ variable: String, _ fallback: String, _ file: String) throws -> String {
        let folder = ProcessInfo.processInfo.environment[variable] ?? "\(root)/\(fallback)"
        guard FileManager.default.fileExists(atPath: "\(folder)/\(file)") else {
            throw Missing(description: "\(folder)/\(file) is missing: run `make setup`")
        }
        return folder
    }

    /// A new folder of the test's own, removed by `remove`.
    public static func temporary(_ name: String = "edge-test") throws -> String {
        let path = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("\(name)-\(UUID().uuidString)")
            .path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    public static func remove(_ path: String) {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// A port of loopback that nobody listens on.
    public static func freePort() throws -> Int {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard result else { throw Missing(description: "no free port: errno \(errno)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
