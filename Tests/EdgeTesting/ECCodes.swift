public import Foundation

/// ECMWF's tools: another decoder, and a maker of messages.
public struct ECCodes {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public static var samples: String { "\(TestProgram.tools)/grib" }

    private static var root: String { "\(TestProgram.tools)/eccodes/usr" }

    /// Runs a tool in a folder; what it printed.
    @discardableResult
    public static func run(_ tool: String, _ arguments: [String], in folder: String) throws -> Data {
        let path = "\(root)/bin/\(tool)"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Failure(description: "\(path) is missing: run `make setup-tests`")
        }
        let libraries = try FileManager.default.contentsOfDirectory(atPath: "\(root)/lib").map { "\(root)/lib/\($0)" }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.environment = [
            "LD_LIBRARY_PATH": libraries.joined(separator: ":"),
            "ECCODES_DEFINITION_PATH": "\(root)/share/eccodes/definitions",
            "ECCODES_SAMPLES_PATH": "\(root)/share/eccodes/samples",
        ]
        // A file, since a pipe would have to be emptied meanwhile.
        let output = "\(folder)/\(UUID().uuidString).out"
        _ = FileManager.default.createFile(atPath: output, contents: nil)
        defer { try? FileManager.default.removeItem(atPath: output) }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        let data = try Data(contentsOf: URL(fileURLWithPath: output))
        guard process.terminationStatus == 0 else {
            throw Failure(description: "\(tool) \(arguments): \(String(decoding: data.prefix(500), as: UTF8.self))")
        }
        return data
    }

    /// All values of all messages, in the order of the messages; nil where there is none.
    public static func values(of file: String, in folder: String) throws -> [Double?] {
        let filter = "\(folder)/values.filter"
        try "set missingValue=-77777;\nprint \"[values%.9g!1]\";\n".write(
            toFile: filter, atomically: true, encoding: .utf8)
        let text = try run("grib_filter", [filter, file], in: folder)
        var values: [Double?] = []
        text.withUnsafeBytes { bytes in
            var start = 0
            for (place, byte) in bytes.enumerated() where byte == 0x0A {
                // Each line has a number, most with a blank behind it.
                if place > start, let base = bytes.baseAddress {
                    let number = strtod(base.advanced(by: start).assumingMemoryBound(to: CChar.self), nil)
                    values.append(number == -77777 ? nil : number)
                }
                start = place + 1
            }
        }
        return values
    }

    /// Latitude, longitude and value of each point, nil for none.
    public static func points(of file: String, in folder: String) throws -> [(Double, Double, Double?)] {
        let text = try run("grib_get_data", ["-L", "%.6f %.6f ", "-F", "%.9g", file], in: folder)
        return String(decoding: text, as: UTF8.self).split(separator: "\n").compactMap { line in
            let parts = line.split { $0 == " " || $0 == "," }
            guard parts.count >= 3, let latitude = Double(parts[0]), let longitude = Double(parts[1]) else {
                return nil
            }
            return (latitude, longitude, Double(parts[2]))
        }
    }
}
