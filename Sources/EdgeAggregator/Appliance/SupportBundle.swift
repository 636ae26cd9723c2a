import CEdgeSystem
import Foundation
import Sensors
import Store
import TextParts

/// Texts that tell how a box is, with every secret blotted out.
struct SupportBundle {
    let settings: Settings
    /// Asks the daemon for a path.
    let ask: (String) async throws -> String

    /// Of each text, from its end.
    private static let mostBytes = 4 << 20
    private static let asked = [
        ("status.json", "/api/v1/status"), ("ledger.json", "/api/v1/ledger?limit=1000"),
        ("coverage.json", "/api/v1/coverage"), ("sinks.json", "/api/v1/sinks"), ("sensors.json", "/api/v1/sensors"),
        ("sound_cards.json", "/api/v1/sound_cards"), ("board.json", "/api/v1/observations/latest?source=board"),
        ("nodes.json", "/api/v1/nodes"), ("forecasts.json", "/api/v1/forecasts"), ("readiness.json", "/readyz"),
        ("metrics.txt", "/metrics"),
    ]

    static func stamp() -> String {
        String(ISOTime.text(edge_realtime_ns()).unicodeScalars.filter { !"-:.".unicodeScalars.contains($0) }.prefix(15))
            + "Z"
    }

    /// - Returns: the names of the texts.
    func write(to target: String) async throws -> [String] {
        let files = FileManager.default
        let folder = files.temporaryDirectory.appendingPathComponent("edge-support-\(UUID().uuidString)").path
        let inside = "\(folder)/support"
        let disk = DiskGuard(settings)
        let permits = [disk.permit(for: .nodeData, at: folder), disk.permit(for: .nodeData, at: target)]
        try files.createDirectory(
            atPath: inside, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? files.removeItem(atPath: folder) }
        var names: [String] = []
        func put(_ name: String, _ text: String) throws {
            let bytes = Data(scrubbed(text).utf8.suffix(Self.mostBytes))
            for permit in permits { try permit.take(bytes.count, path: target) }
            try bytes.write(to: URL(fileURLWithPath: "\(inside)/\(name)"))
            names.append(name)
        }
        try put("settings.txt", settingsText)
        try put("machine.txt", machineText)
        try put("doctor.json", await doctorText())
        try put("database.json", databaseText)
        for (name, path) in Self.asked {
            do {
                try put(name, try await ask(path))
            } catch {
                try put("\(name).missing", "\(path): \(error)\n")
            }
        }
        let log = LogFile.text(in: LogFile.folder(in: settings.box.baseFolder))
        if let log { try put("log.txt", log) }
        try put("journal.txt", journal(hasFile: log != nil))
        try FileModes.makePrivate(target)
        let tar = try Self.run(["tar", "-czf", target, "-C", folder, "support"])
        guard tar.status == 0 else { throw BackupFolder.Problem(description: "tar: \(tar.text)") }
        return names
    }

    /// Blots out every secret, wherever it stands, and what looks like a password in an address.
    func scrubbed(_ text: String) -> String {
        let secrets = Set(settings.secrets.filter { $0.count >= 4 }).sorted { $0.count > $1.count }
        return secrets.reduce(text) { $0.replacingText($1, with: "[hidden]") }.hidingPasswords
    }

    private var settingsText: String {
        SettingsCatalogue.all.map { setting in
            let effective = settings.effective[setting.name]
            let value = effective?.value.display ?? ""
            return
                "\(setting.name): \(setting.isSecret && !value.isEmpty ? "[hidden]" : Settings.shown(effective?.value))   # \(effective?.source ?? "default")"
        }.joined(separator: "\n") + "\n"
    }

    private var machineText: String {
        var text = "version: \(Version.text)\nmodel: \(BoardHealth.model() ?? "no device tree")\n"
        for path in [
            "/proc/version", "/proc/cmdline", "/etc/os-release", "/proc/meminfo", "/proc/mounts", "/proc/uptime",
        ] {
            let content = FileManager.default.contents(atPath: path).map {
                String(decoding: $0.prefix(65_536), as: UTF8.self)
            }
            text += "--- \(path)\n\(content ?? "cannot be read\n")"
        }
        for command in [
            ["df", "-h"], ["ip", "-brief", "address"], ["systemctl", "--no-pager", "status", "edge-aggregator"],
        ] {
            text += "--- \(command.joined(separator: " "))\n\((try? Self.run(command).text) ?? "cannot be run\n")"
        }
        return text
    }

    private func doctorText() async -> String {
        let findings =
            Doctor(settings: settings).examine() + (await DoctorHardware(settings: settings).examine())
            + (await DoctorMQTT(settings: settings).examine())
        return (try? Answer.encoder.encode(findings)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private var databaseText: String {
        let path = "\(settings.box.baseFolder)/edge.db"
        do {
            let facts = try DatabaseBackup.look(at: path)
            return
                "{\"bytes\":\(facts.bytes),\"steps\":\(facts.schema.count),\"recordings\":\(facts.recordings),\"detections\":\(facts.detections),\"observations\":\(facts.observations)}\n"
        } catch {
            return "\(path): \(error)\n"
        }
    }

    /// The newest lines of the system's journal, or where the log is instead.
    private func journal(hasFile: Bool) -> String {
        // Quiet: journalctl's own remarks ("-- No entries --") would look like a log.
        let command = [
            "journalctl", "--quiet", "--no-pager", "-u", "edge-aggregator", "-n", "3000", "-o", "short-iso",
        ]
        if let found = try? Self.run(command), found.status == 0, !found.text.isEmpty { return found.text }
        let place =
            hasFile
            ? "The daemon's own file has it: log.txt beside this one.\n"
            : "The daemon's log is wherever its standard error goes (in a container: `docker logs`). With log_file_max_bytes set, the daemon keeps its newest lines in a file, which this bundle takes along.\n"
        return "The system's journal has no log of the unit edge-aggregator. \(place)"
    }

    private static func run(_ command: [String]) throws -> (status: Int32, text: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let bytes = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
    }
}
