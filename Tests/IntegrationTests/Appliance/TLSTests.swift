import EdgeTesting
import Foundation
import Testing

/// The daemon's own TLS, asked by curl and openssl.
@Suite struct TLSTests {
    private func run(_ words: [String]) throws -> (status: Int32, text: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    private func makeIdentity(_ name: String, in folder: String) throws {
        let made = try run([
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=\(name)", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "\(folder)/key.pem", "-out", "\(folder)/cert.pem",
        ])
        guard made.status == 0 else { throw DaemonProcess.Failure(description: made.text) }
    }

    @Test func answersOverTLSAndTakesANewCertificateWithoutDroppingAStream() throws {
        let folder = try TestFolders.temporary("edge-tls")
        defer { TestFolders.remove(folder) }
        try makeIdentity("first", in: folder)
        let port = try TestFolders.freePort()
        let daemon = try DaemonProcess(settings: [
            "TLS_LISTEN": "127.0.0.1:\(port)", "TLS_CERTIFICATE_FILE": "\(folder)/cert.pem",
            "TLS_KEY_FILE": "\(folder)/key.pem", "LOG_LEVEL": "notice", "MIN_RECORDING_DURATION_SEC": "0.5",
        ])
        try daemon.start()
        func subject() throws -> String {
            try run([
                "sh", "-c",
                "openssl s_client -connect 127.0.0.1:\(port) </dev/null 2>/dev/null | openssl x509 -noout -subject",
            ]).text
        }
        let health = try run(["curl", "-sS", "--cacert", "\(folder)/cert.pem", "https://localhost:\(port)/healthz"])
        #expect(health.text.contains("alive"), "\(health)")
        #expect(try subject().contains("CN = first"))
        #expect(try run(["curl", "-sS", "--tls-max", "1.1", "-k", "https://localhost:\(port)/healthz"]).status != 0)
        // A stream of two seconds of sound that goes on while the certificate changes.
        let frames =
            WireMaker.frame(0, WireMaker.wavHeader(rate: 48_000))
            + (1...24).flatMap {
                WireMaker.frame($0, [UInt8](repeating: UInt8($0), count: 8192))
            }
        try Data(frames).write(to: URL(fileURLWithPath: "\(folder)/frames"))
        let stream = Process()
        stream.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        stream.arguments = [
            "curl", "-sS", "--cacert", "\(folder)/cert.pem", "--limit-rate", "50000", "-H",
            "Transfer-Encoding: chunked",
            "-H", "Expect:", "-X", "POST", "-T", "\(folder)/frames", "-w", "%{http_code}",
            "https://localhost:\(port)/recordings_stream?listener_id=secret",
        ]
        let pipe = Pipe()
        stream.standardOutput = pipe
        stream.standardError = pipe
        try stream.run()
        try waitFor("the stream is there") {
            try daemon.get("/api/v1/status").body.contains("\"connected\":1")
        }
        try makeIdentity("second", in: folder)
        kill(daemon.pid, SIGHUP)
        try waitFor("the new certificate") { try subject().contains("CN = second") }
        // One that is no good changes nothing.
        try Data("rubbish".utf8).write(to: URL(fileURLWithPath: "\(folder)/cert.pem"))
        kill(daemon.pid, SIGHUP)
        let said = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        stream.waitUntilExit()
        #expect(said.hasSuffix("200"), "\(said)")
        #expect(try subject().contains("CN = second"))
        let recording = try #require(try daemon.recordings().first)
        #expect(recording["listener"] as? String == "secret")
        #expect(try daemon.sound(recording).count == 24 * 8192)
        #expect(daemon.stop() == 0)
    }

    @Test func saysWhatIsWrongWithAnIdentity() throws {
        let folder = try TestFolders.temporary("edge-tls")
        defer { TestFolders.remove(folder) }
        try makeIdentity("one", in: folder)
        try FileManager.default.moveItem(atPath: "\(folder)/key.pem", toPath: "\(folder)/other.pem")
        try makeIdentity("two", in: folder)
        let daemon = try DaemonProcess(settings: [
            "TLS_LISTEN": "127.0.0.1:0", "TLS_CERTIFICATE_FILE": "\(folder)/cert.pem",
            "TLS_KEY_FILE": "\(folder)/other.pem",
        ])
        let run = try daemon.command("run")
        #expect(run.status == 78)
        #expect(run.output.contains("\(folder)/other.pem make no TLS identity"), "\(run.output)")
        let half = try DaemonProcess(settings: ["TLS_LISTEN": "127.0.0.1:0"]).command("settings", "check")
        #expect(half.status == 78)
        #expect(half.output.contains("tls_certificate_file and tls_key_file are needed too"))
    }
}
