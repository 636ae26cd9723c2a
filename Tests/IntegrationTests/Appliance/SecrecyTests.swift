import EdgeTesting
import Foundation
import Testing

/// What the daemon writes, says and logs is for its operator alone.
@Suite(.serialized) struct SecrecyTests {
    private static let secret = "hidden-word-7f3a"

    /// All files and folders below a folder that others may read, with their modes.
    private func readable(_ folder: String) -> [String] {
        let files = FileManager.default
        return (files.enumerator(atPath: folder)?.allObjects as? [String] ?? []).compactMap { name in
            let attributes = try? files.attributesOfItem(atPath: "\(folder)/\(name)")
            guard let mode = attributes?[.posixPermissions] as? Int, mode & 0o007 != 0,
                attributes?[.type] as? FileAttributeType != .typeSymbolicLink
            else { return nil }
            return "\(name) \(String(mode, radix: 8))"
        }
    }

    /// As a shell starts it: without the mask of the package's service.
    @Test func othersMayReadNothing() throws {
        let daemon = try DaemonProcess(settings: ["NODE_ADMISSION": "open"])
        let before = umask(0o022)
        defer { umask(before) }
        // The test's own file, which the daemon did not make.
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o600], ofItemAtPath: "\(daemon.folder)/settings.yaml")
        try daemon.start()
        let sent = try DaemonProcess.request(
            "POST", "/recordings_upload?listener_id=a", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=b"], body: upload("a.wav", wav()))
        #expect(sent.status == 200)
        let push = try DaemonProcess.request(
            "PUT", "/ou/co2unit-30aea42a5140/push-sequential/data/readings/readings-0000.tsv?offset=0",
            port: daemon.port,
            headers: ["Content-Type: application/octet-stream"], body: Array("x\n".utf8))
        #expect(push.status == 200)
        try waitFor("a recording") { try daemon.recordings().count == 1 }
        #expect(readable(daemon.folder) == [])

        let folder = try TestFolders.temporary("secrecy")
        defer { TestFolders.remove(folder) }
        #expect(try daemon.command("backup", "\(folder)/backup", "--recordings").status == 0)
        // One that an earlier version left to everybody.
        _ = FileManager.default.createFile(
            atPath: "\(folder)/bundle.tar.gz", contents: Data("old".utf8), attributes: [.posixPermissions: 0o644])
        #expect(try daemon.command("support-bundle", "--output", "\(folder)/bundle.tar.gz").status == 0)
        #expect(readable(folder) == [])
        let mode = try FileManager.default.attributesOfItem(atPath: "\(folder)/bundle.tar.gz")[.posixPermissions]
        #expect(mode as? Int == 0o600)
        #expect(daemon.stop() == 0)

        // What earlier versions left is taken back at the next start.
        for (name, mode) in [("edge.db", 0o644), ("recordings", 0o755)] {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: "\(daemon.folder)/\(name)")
        }
        try daemon.start()
        #expect(readable(daemon.folder) == [])
    }

    @Test func passwordsInAddressesAreShownNowhere() throws {
        let folder = try TestFolders.temporary("secrecy")
        defer { TestFolders.remove(folder) }
        // Nobody listens there.
        let place = "user:\(Self.secret)@127.0.0.1:1"
        let daemon = try DaemonProcess(settings: [
            "INFLUX_URL": "http://\(place)", "PROMETHEUS_URL": "http://\(place)/api/v1/write?token=\(Self.secret)",
            "DELIVERY_PROXY": place, "ISEMS_ROUTER_IPS": "http://\(place)/log",
            "DATABASE_URL": "postgresql://\(place)/db?password=\(Self.secret)", "METRICS_INTERVAL_SEC": "1",
            "S3_ENDPOINT": "http://\(place)", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": Self.secret, "S3_BUCKET": "box",
            "SENTRY_DSN": "http://\(Self.secret)@127.0.0.1:1/2", "COPERNICUS_CONFIG_URL": "http://\(place)/config",
            "CLOCK_WAIT_SEC": "0", "HEALTH_INTERVAL_SEC": "1",
        ])
        let logPath = "\(folder)/log"
        try daemon.start(logPath: logPath)
        let sent = try DaemonProcess.request(
            "POST", "/recordings_upload?listener_id=a", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=b"], body: upload("a.wav", wav()))
        #expect(sent.status == 200)
        func log() throws -> String { try String(contentsOfFile: logPath, encoding: .utf8) }
        // The node's log cannot be fetched, and an endpoint cannot be reached.
        try waitFor("the log tells of the node") { try log().contains("An ISEMS node's log") }
        for sink in ["influx", "s3", "prometheus", "postgres"] {
            try waitFor("\(sink), which is down") {
                try log().split(separator: "\n").contains { $0.contains("takes no deliveries") && $0.contains(sink) }
            }
        }
        for path in [
            "/", "/api/v1/status", "/api/v1/sinks", "/api/v1/nodes", "/api/v1/forecasts", "/metrics", "/readyz",
        ] {
            let answer = try daemon.get(path)
            #expect(!answer.body.contains(Self.secret), "\(path)")
        }
        for arguments in [
            ["settings"], ["settings", "show", "--json"], ["doctor"], ["status"], ["poll", "isems", "--once"],
        ] {
            let output = try command(daemon, arguments)
            #expect(!output.isEmpty && !output.contains(Self.secret), "\(arguments): \(output)")
        }
        #expect(try command(daemon, ["settings"]).contains("http://[hidden]@127.0.0.1:1"))
        #expect(try daemon.command("support-bundle", "--output", "\(folder)/bundle.tar.gz").status == 0)
        let bundle = try TestProgram("/usr/bin/env", ["tar", "-xzf", "\(folder)/bundle.tar.gz", "-C", folder])
        #expect(bundle.wait() == 0)
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/support")
        #expect(names.count > 5)
        for name in names {
            let text = String(
                decoding: try Data(contentsOf: URL(fileURLWithPath: "\(folder)/support/\(name)")), as: UTF8.self)
            #expect(!text.contains(Self.secret), "\(name)")
        }
        #expect(daemon.stop() == 0)
        #expect(try !log().contains(Self.secret))
    }

    private func command(_ daemon: DaemonProcess, _ arguments: [String]) throws -> String {
        switch arguments.count {
        case 1: try daemon.command(arguments[0]).output
        default: try daemon.command(arguments[0], arguments[1], arguments[2]).output
        }
    }

    @Test func aWrongSettingIsToldWithoutItsPassword() throws {
        let daemon = try DaemonProcess(settings: ["INFLUX_URL": "ftp://user:\(Self.secret)@host"])
        let (status, output) = try daemon.command("settings", "check")
        #expect(status == 78)
        #expect(output.contains("ftp://[hidden]@host") && !output.contains(Self.secret))
    }

    /// Nothing of the services that are cancelled because of it, and so nothing before the reason.
    @Test func aPortThatIsTakenIsTheOnlyError() throws {
        let first = try DaemonProcess()
        try first.start()
        let metricsPort = try TestFolders.freePort()
        let second = try DaemonProcess(settings: [
            "LISTEN": "127.0.0.1:\(first.port)", "METRICS_PORT": "\(metricsPort)", "LOG_LEVEL": "info",
        ])
        let logPath = "\(second.folder)/log"
        #expect(throws: DaemonProcess.Failure.self) { try second.start(logPath: logPath) }
        try waitFor("the reason") {
            try String(contentsOfFile: logPath, encoding: .utf8).contains("An address is in use already")
        }
        let log = try String(contentsOfFile: logPath, encoding: .utf8)
        #expect(!log.contains("CancellationError"), "\(log)")
        #expect(!log.contains(" error "), "\(log)")
    }

    /// libmpg123 has a lot to say of frames that are none; it does not get past the log.
    @Test func aDamagedMP3WritesNothingPastTheLog() throws {
        let daemon = try DaemonProcess(settings: ["LOG_FORMAT": "json"])
        let logPath = "\(daemon.folder)/log"
        try daemon.start(logPath: logPath)
        // ISO 11172-3 §2.4.1.3: layer III, 128 kbit/s, 44.1 kHz has frames of 417 bytes.
        let frame: [UInt8] = [0xFF, 0xFB, 0x90, 0x64] + [UInt8](repeating: 0, count: 413)
        let frames = (0..<60).flatMap { _ in frame }
        let sound = frames + [UInt8](repeating: 0x55, count: 3000) + frames
        // Whether it is taken or rejected is not asked here.
        let answer = try DaemonProcess.request(
            "POST", "/recordings_upload?listener_id=a", port: daemon.port,
            headers: ["Content-Type: multipart/form-data; boundary=b"], body: upload("a.mp3", sound))
        #expect([200, 400].contains(answer.status))
        #expect(daemon.stop() == 0)
        let log = try String(contentsOfFile: logPath, encoding: .utf8)
        #expect(log.split(separator: "\n").allSatisfy { $0.hasPrefix("{") }, "\(log)")
    }

    private func upload(_ name: String, _ bytes: [UInt8]) -> [UInt8] {
        Array("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\n\r\n".utf8) + bytes
            + Array("\r\n--b--\r\n".utf8)
    }

    /// 16 s of silence at 8 kHz (Microsoft, "Multiple Channel Audio Data and WAVE Files").
    private func wav() -> [UInt8] {
        let data = 16 * 8000 * 2
        func four(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> ($0 * 8) & 255) } }
        func two(_ value: Int) -> [UInt8] { Array(four(value)[..<2]) }
        return Array("RIFF".utf8) + four(36 + data) + Array("WAVEfmt ".utf8) + four(16) + two(1) + two(1) + four(8000)
            + four(16_000) + two(2) + two(16) + Array("data".utf8) + four(data) + [UInt8](repeating: 0, count: data)
    }
}
