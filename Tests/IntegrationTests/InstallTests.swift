import EdgeTesting
import Foundation
import Testing

/// `make install`, into a folder.
@Suite struct InstallTests {
    private func install(_ folder: String, prefix: String, program: String = TestFolders.program) throws
        -> (status: Int32, output: String)
    {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["\(TestFolders.root)/image/install.sh", program]
        process.environment = ProcessInfo.processInfo.environment.merging(["DESTDIR": folder, "PREFIX": prefix]) { $1 }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    @Test func putsProgramUnitAndSettingsInTheirPlaces() throws {
        let folder = try TestFolders.temporary("edge-install")
        defer { TestFolders.remove(folder) }
        let made = try install(folder, prefix: "/opt/edge")
        #expect(made.status == 0, "\(made.output)")
        func text(_ path: String) throws -> String { try String(contentsOfFile: "\(folder)\(path)", encoding: .utf8) }
        // The unit of the package, but for the places.
        let unit = try text("/etc/systemd/system/edge-aggregator.service")
        let packaged = try String(
            contentsOfFile: "\(TestFolders.root)/image/systemd/edge-aggregator.service", encoding: .utf8)
        #expect(unit.contains("\nExecStart=/opt/edge/bin/edge-aggregator run\n"))
        #expect(
            unit
                == packaged.replacing("/usr/bin/edge-aggregator", with: "/opt/edge/bin/edge-aggregator")
                .replacing("/usr/share/doc/edge-aggregator", with: "/opt/edge/share/doc/edge-aggregator"))
        // Every group that the unit names is made.
        let users = try text("/etc/sysusers.d/edge-aggregator.conf")
        let groups = try #require(unit.firstMatch(of: /\nSupplementaryGroups=(.*)\n/)).1.split(separator: " ")
        #expect(groups.count == 4)
        for group in groups { #expect(users.contains("\ng \(group) "), "\(group)") }
        #expect(try text("/etc/udev/rules.d/60-edge-aggregator.rules").contains("GROUP=\"i2c\""))
        #expect(try text("/etc/edge-aggregator/settings.yaml").contains("/opt/edge/lib/edge-aggregator/fetch-models"))
        for (path, mode) in [
            ("/opt/edge/bin/edge-aggregator", 0o755), ("/opt/edge/lib/edge-aggregator/fetch-models", 0o755),
            ("/etc/edge-aggregator/secrets", 0o700), ("/etc/systemd/system/edge-aggregator.service", 0o644),
            ("/opt/edge/share/doc/edge-aggregator/operations.md", 0o644),
        ] {
            let found = try FileManager.default.attributesOfItem(atPath: folder + path)[.posixPermissions] as? Int
            #expect(found == mode, "\(path)")
        }
        // Again, over settings that were changed.
        try "base_dir: /srv/edge\n".write(
            toFile: "\(folder)/etc/edge-aggregator/settings.yaml", atomically: true, encoding: .utf8)
        #expect(try install(folder, prefix: "/opt/edge").status == 0)
        #expect(try text("/etc/edge-aggregator/settings.yaml") == "base_dir: /srv/edge\n")
    }

    /// What was installed starts with the settings that were installed.
    @Test func whatIsInstalledStarts() throws {
        let folder = try TestFolders.temporary("edge-install")
        defer { TestFolders.remove(folder) }
        #expect(try install(folder, prefix: "/usr/local").status == 0)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(folder)/usr/local/bin/edge-aggregator")
        process.arguments = ["settings", "check"]
        var environment = ["CONFIG_PATH": "\(folder)/etc/edge-aggregator/settings.yaml"]
        environment["PATH"] = ProcessInfo.processInfo.environment["PATH"]
        environment["LD_LIBRARY_PATH"] = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]
        process.environment = environment
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test func saysWhatIsWrong() throws {
        let folder = try TestFolders.temporary("edge-install")
        defer { TestFolders.remove(folder) }
        let missing = try install(folder, prefix: "/usr/local", program: "\(folder)/nothing")
        #expect(missing.status == 69 && missing.output.contains("make build"), "\(missing.output)")
        let relative = try install(folder, prefix: "usr/local")
        #expect(relative.status == 64 && relative.output.contains("PREFIX"), "\(relative.output)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
}
