import EdgeTesting
import Foundation
import Testing

/// Errors go to Sentry where one is named, without secrets.
struct SentryTests {
    @Test func reportsErrorsWithoutSecrets() throws {
        let folder = try TestFolders.temporary("edge-sentry")
        defer { TestFolders.remove(folder) }
        let port = try TestFolders.freePort()
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
                """, "\(folder)/reports",
            ])
        defer { server.stop() }
        try waitFor("the server") { (try? RawConnection(port: port)) != nil }
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
