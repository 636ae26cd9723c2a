import EdgeTesting
import Foundation
import Testing

/// The log of a daemon without a journal, as in a container: in files, and in the support bundle.
@Suite(.serialized) struct KeptLogTests {
    private func bundle(_ daemon: DaemonProcess) throws -> [String: String] {
        let folder = try TestFolders.temporary("kept-log")
        defer { TestFolders.remove(folder) }
        let made = try daemon.command("support-bundle", "--output", "\(folder)/bundle.tar.gz")
        #expect(made.status == 0, "\(made.output)")
        #expect(try TestProgram("/bin/tar", ["-xzf", "\(folder)/bundle.tar.gz", "-C", folder]).wait() == 0)
        var texts: [String: String] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: "\(folder)/support") {
            texts[name] = String(
                decoding: try Data(contentsOf: URL(fileURLWithPath: "\(folder)/support/\(name)")), as: UTF8.self)
        }
        return texts
    }

    @Test func supportBundleHasTheLog() throws {
        let daemon = try DaemonProcess(settings: [
            "LOG_FILE_MAX_BYTES": "200000", "LOG_FORMAT": "json", "LOG_LEVEL": "info",
            "INFLUX_URL": "http://user:hidden-word-31f@127.0.0.1:9", "INFLUX_TOKEN": "hidden-token-31f",
            "CLOCK_WAIT_SEC": "0",
        ])
        let log = "\(daemon.folder)/stderr"
        try daemon.start(logPath: log)
        #expect(try daemon.uploadNothing() == 400)
        let texts = try bundle(daemon)
        let kept = try #require(texts["log.txt"])
        #expect(!kept.contains("hidden-word-31f") && !kept.contains("hidden-token-31f"))
        #expect(texts["journal.txt"]?.isEmpty == false && texts["journal.txt"]?.contains("-- No entries --") == false)
        // A second daemon in the same folder says why it does not start; its last words are kept too.
        let second = try daemon.command("run")
        #expect(second.status == 74 && second.output.contains("Another daemon uses"), "\(second.output)")
        #expect(try bundle(daemon)["log.txt"]?.contains(" error Another daemon uses") == true)
        #expect(daemon.stop() == 0)
        // What went to standard error is in the file, line by line, up to the end.
        let file = try String(contentsOfFile: "\(daemon.folder)/logs/edge-aggregator.log", encoding: .utf8)
        let lines = Set(file.split(separator: "\n"))
        let said = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("{") }
        #expect(said.count >= 2)
        for line in said { #expect(lines.contains(line), "\(line)") }
        let mode = try FileManager.default.attributesOfItem(atPath: "\(daemon.folder)/logs/edge-aggregator.log")
        #expect((mode[.posixPermissions] as? Int ?? 0o777) & 0o007 == 0)
    }

    /// By itself the daemon writes no file; the bundle then says where the log is.
    @Test func keepsNoFileUnlessItIsAskedTo() throws {
        let daemon = try DaemonProcess(settings: ["LOG_LEVEL": "info"])
        try daemon.start()
        #expect(!FileManager.default.fileExists(atPath: "\(daemon.folder)/logs"))
        let texts = try bundle(daemon)
        #expect(texts["log.txt"] == nil)
        let journal = try #require(texts["journal.txt"])
        // A machine on which the daemon is a service of systemd has a journal of it.
        #expect(journal.contains("log_file_max_bytes") || journal.split(separator: "\n").count > 1, "\(journal)")
        #expect(daemon.stop() == 0)
    }
}
