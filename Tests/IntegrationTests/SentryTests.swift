import EdgeTesting
import Foundation
import Testing

/// Errors go to Sentry where one is named, without secrets.
struct SentryTests {
    /// Writes what it is sent to a file, a line each: the path, Sentry's header and the event.
    private func server(_ port: Int, _ file: String) throws -> TestProgram {
        let server = try TestProgram(
            "/usr/bin/env",
            [
                "python3", "-c",
                """
                import http.server, json, sys
                class Handler(http.server.BaseHTTPRequestHandler):
                    def do_POST(self):
                        body = self.rfile.read(int(self.headers['Content-Length']))
                        with open(sys.argv[1], 'a') as file:
                            file.write(json.dumps([self.path, self.headers['X-Sentry-Auth'], json.loads(body)]) + '\\n')
                        self.send_response(200); self.end_headers()
                http.server.HTTPServer(('127.0.0.1', \(port)), Handler).serve_forever()
                """, file,
            ])
        try waitFor("the server") { (try? RawConnection(port: port)) != nil }
        return server
    }

    /// The events of that file.
    private func events(_ file: String) throws -> [[String: Any]] {
        guard FileManager.default.fileExists(atPath: file) else { return [] }
        return try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").compactMap { line in
            (try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [Any])?.last as? [String: Any]
        }
    }

    enum FailedStart: CaseIterable { case wrongSettings, portInUse, secondDaemon }

    /// The report has arrived when the program has ended.
    @Test(arguments: FailedStart.allCases)
    func aStartThatFailsIsReported(start: FailedStart) throws {
        let folder = try TestFolders.temporary("edge-sentry")
        defer { TestFolders.remove(folder) }
        let port = try TestFolders.freePort()
        let server = try self.server(port, "\(folder)/reports")
        defer { server.stop() }
        var settings = [
            "SENTRY_DSN": "http://abc123@127.0.0.1:\(port)/42", "AGGREGATOR_UUID": "box-1",
            "API_TOKEN": "never-told-to-anybody",
        ]
        let code: Int32
        let reason: String
        switch start {
        case .wrongSettings:
            settings["SHUTDOWN_TIMEOUT_SEC"] = "never-told-to-anybody"
            (code, reason) = (78, "shutdown_timeout_sec")
        case .portInUse:
            settings["METRICS_PORT"] = "\(port)"
            (code, reason) = (1, "An address is in use already")
        case .secondDaemon: (code, reason) = (74, "Another daemon uses")
        }
        let daemon = try DaemonProcess(settings: settings)
        if start == .secondDaemon { try daemon.start() }
        let result = try daemon.command("run")
        #expect(result.status == code && result.output.contains(reason), "\(result)")
        let events = try self.events("\(folder)/reports")
        let last = try #require(events.first { $0["level"] as? String == "fatal" }, "\(events)")
        let message = (last["message"] as? [String: Any])?["formatted"] as? String ?? ""
        #expect(message.contains(reason), "\(message)")
        #expect(last["server_name"] as? String == "box-1" && (last["event_id"] as? String)?.count == 32)
        let all = try String(contentsOfFile: "\(folder)/reports", encoding: .utf8)
        #expect(!all.contains("never-told-to-anybody"))
        if start == .secondDaemon { #expect(daemon.stop() == 0) }
    }

    /// A server that takes connections and never answers: the program ends all the same.
    @Test func aSilentServerDoesNotKeepAFailedStart() throws {
        let port = try TestFolders.freePort()
        let server = try TestProgram(
            "/usr/bin/env",
            [
                "python3", "-c",
                """
                import socket, time
                server = socket.create_server(('127.0.0.1', \(port)))
                connections = []
                while True: connections.append(server.accept())
                """,
            ])
        defer { server.stop() }
        try waitFor("the server") { (try? RawConnection(port: port)) != nil }
        let daemon = try DaemonProcess(settings: [
            "SENTRY_DSN": "http://abc123@127.0.0.1:\(port)/42", "SHUTDOWN_TIMEOUT_SEC": "soon",
        ])
        #expect(try daemon.command("run").status == 78)
    }

    @Test func reportsErrorsWithoutSecrets() throws {
        let folder = try TestFolders.temporary("edge-sentry")
        defer { TestFolders.remove(folder) }
        let port = try TestFolders.freePort()
        let server = try self.server(port, "\(folder)/reports")
        defer { server.stop() }
        let daemon = try DaemonProcess(settings: [
            "SENTRY_DSN": "http://abc123@127.0.0.1:\(port)/42", "AGGREGATOR_UUID": "box-1", "API_TOKEN": "co2unit-1",
            "NODE_ADMISSION": "open", "CO2_UNIT_MAX_BYTES": "102400",
        ])
        try daemon.start()
        // An error that names the unit, which is a secret here.
        let unit = StockUnit("co2unit-1", port: daemon.port)
        for _ in 0..<3 {
            #expect(try unit.push("data/a.bin", offset: 0, [UInt8](repeating: 1, count: 110_000)).status == 413)
        }
        try waitFor("the report") { FileManager.default.fileExists(atPath: "\(folder)/reports") }
        usleep(300_000)
        let lines = try String(contentsOfFile: "\(folder)/reports", encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 1, "the same error goes once in a while")
        let report = try JSONSerialization.jsonObject(with: Data((lines.first ?? "").utf8)) as? [Any]
        #expect(report?.first as? String == "/api/42/store/")
        #expect((report?[1] as? String)?.contains("sentry_key=abc123") == true)
        let event = report?[2] as? [String: Any]
        #expect(event?["level"] as? String == "error" && event?["server_name"] as? String == "box-1")
        #expect((event?["event_id"] as? String)?.count == 32)
        #expect(((event?["extra"] as? [String: Any])?["unit"] as? String) == "[hidden]")
        #expect(!lines[0].contains("co2unit-1"))
        #expect(daemon.stop() == 0)
    }
}
