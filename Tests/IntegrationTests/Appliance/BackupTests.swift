import EdgeTesting
import Foundation
import Testing

/// The way back, and what is handed to whoever helps.
@Suite struct BackupTests {
    private func send(_ daemon: DaemonProcess, _ listener: String, recordings: Int) throws {
        for number in 0..<recordings {
            let stream = try daemon.stream("\(listener)\(number)")
            try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 48_000))))
            for frame in 1...10 {
                try stream.send(
                    WireMaker.chunk(WireMaker.frame(frame, [UInt8](repeating: UInt8(frame), count: 32_768))))
            }
            try stream.send(WireMaker.lastChunk)
            #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        }
    }

    @Test func copiesWhileTheDaemonRunsAndPutsItBack() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        try send(daemon, "before", recordings: 3)
        let backup = "\(daemon.folder)/backup"
        let made = try daemon.command("backup", backup, "--recordings")
        #expect(made.status == 0, "\(made.output)")
        #expect(made.output.contains("3 recordings"), "\(made.output)")
        #expect(try daemon.command("backup", backup).status == 74)
        try send(daemon, "after", recordings: 2)
        // Not under a running daemon.
        let early = try daemon.command("restore", backup)
        #expect(early.status == 74)
        #expect(early.output.contains("Another daemon uses"), "\(early.output)")
        #expect(daemon.stop() == 0)
        try FileManager.default.removeItem(atPath: "\(daemon.folder)/recordings/before0")
        let restored = try daemon.command("restore", backup)
        #expect(restored.status == 0, "\(restored.output)")
        #expect(FileManager.default.fileExists(atPath: "\(daemon.folder)/edge.db.before-restore-1"))
        #expect(!FileManager.default.fileExists(atPath: "\(daemon.folder)/edge.db.restoring"))
        try daemon.start()
        // What the backup knows, and what lay on the disk beside it.
        let names = try daemon.recordings().compactMap { $0["listener"] as? String }
        #expect(Set(names) == ["before0", "before1", "before2", "after0", "after1"])
        for recording in try daemon.recordings() { #expect(try daemon.sound(recording).count == 327_680) }
        #expect(daemon.stop() == 0)
        // A copy that was changed is not taken.
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: "\(backup)/edge.db"))
        try handle.seek(toOffset: 5000)
        try handle.write(contentsOf: Data([1, 2, 3, 4]))
        try handle.close()
        let refused = try daemon.command("restore", backup)
        #expect(refused.status == 74)
        #expect(refused.output.contains("is not as it was"), "\(refused.output)")
    }

    /// Root's hand on the box: what it restores is the daemon's user's, as the folder is.
    @Test(.enabled(if: geteuid() == 0)) func leavesWhatItRestoresToTheDaemonsUser() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        try send(daemon, "before", recordings: 1)
        let backup = "\(daemon.folder)/backup"
        #expect(try daemon.command("backup", backup, "--recordings").status == 0)
        #expect(daemon.stop() == 0)
        try FileManager.default.removeItem(atPath: "\(daemon.folder)/recordings/before0")
        let nobody: UInt32 = 65534
        #expect(chown(daemon.folder, nobody, nobody) == 0)
        #expect(chown("\(daemon.folder)/recordings", nobody, nobody) == 0)
        #expect(try daemon.command("restore", backup).status == 0)
        let sound = try FileManager.default.contentsOfDirectory(atPath: "\(daemon.folder)/recordings/before0")
        for path in ["edge.db", "lock", "recordings/before0", "recordings/before0/\(sound.first ?? "none")"] {
            let facts = try FileManager.default.attributesOfItem(atPath: "\(daemon.folder)/\(path)")
            #expect((facts[.ownerAccountID] as? NSNumber)?.uint32Value == nobody, "\(path)")
        }
    }

    @Test func gathersWhatHelpsWithoutSecrets() throws {
        let daemon = try DaemonProcess(settings: [
            "API_TOKEN": "operators-own-token", "INFLUX_URL": "http://127.0.0.1:9", "INFLUX_TOKEN": "influx-s3cret",
            "DATABASE_URL": "postgresql://edge:db-passw0rd@127.0.0.1:9/edge", "LISTENER_TOKENS": "a=ears-only",
            "SENTRY_DSN": "http://sentrykey@127.0.0.1:9/1",
        ])
        try daemon.start()
        try send(daemon, "a", recordings: 0)
        let file = "\(daemon.folder)/support.tar.gz"
        let made = try daemon.command("support-bundle", "--output", file)
        #expect(made.status == 0, "\(made.output)")
        let folder = "\(daemon.folder)/opened"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let tar = try TestProgram("/bin/tar", ["-xzf", file, "-C", folder])
        #expect(tar.wait() == 0)
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/support")
        for name in [
            "settings.txt", "machine.txt", "doctor.json", "database.json", "status.json", "ledger.json",
            "coverage.json", "metrics.txt", "journal.txt",
        ] {
            #expect(names.contains(name), "\(names)")
        }
        var all = ""
        for name in names { all += try String(contentsOfFile: "\(folder)/support/\(name)", encoding: .utf8) }
        for secret in ["operators-own-token", "influx-s3cret", "db-passw0rd", "ears-only", "sentrykey"] {
            #expect(!all.contains(secret), "\(secret)")
        }
        #expect(all.contains("influx_token: [hidden]"))
        // Without a daemon too.
        #expect(daemon.stop() == 0)
        let without = try daemon.command("support-bundle", "--output", "\(file)2")
        #expect(without.status == 0, "\(without.output)")
        #expect(without.output.contains("status.json.missing"))
    }
}
