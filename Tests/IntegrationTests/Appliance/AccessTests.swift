import EdgeTesting
import Foundation
import Testing

/// Who may ask the box, and how often.
@Suite struct AccessTests {
    private func answer(
        _ daemon: DaemonProcess, _ path: String, _ headers: [String] = [], method: String = "GET"
    ) throws -> (status: Int, body: String) {
        try DaemonProcess.request(method, path, port: daemon.port, headers: headers)
    }

    @Test func makesATokenAtTheFirstStartAndShowsItOnce() throws {
        let daemon = try DaemonProcess(settings: ["REQUIRE_API_TOKEN": "yes"])
        try daemon.start()
        let token = try String(contentsOfFile: "\(daemon.folder)/api-token", encoding: .utf8).trimmingCharacters(
            in: .whitespacesAndNewlines)
        #expect(token.count == 32)
        #expect(daemon.greeting.contains(token))
        let mode = try FileManager.default.attributesOfItem(atPath: "\(daemon.folder)/api-token")[.posixPermissions]
        #expect(mode as? Int == 0o600)
        for path in ["/", "/api/v1/status", "/events", "/v1/data/wind", "/api/v1/recordings/x/audio"] {
            #expect(try answer(daemon, path).status == 401, "\(path)")
            #expect(try answer(daemon, path, ["Authorization: Bearer \(token)x"]).status == 401, "\(path)")
        }
        #expect(try answer(daemon, "/api/v1/status", ["Authorization: Bearer \(token)"]).status == 200)
        let basic = Data("anybody:\(token)".utf8).base64EncodedString()
        #expect(try answer(daemon, "/", ["Authorization: Basic \(basic)"]).status == 200)
        // Stock clients are asked for nothing here, and health is no secret.
        for path in ["/healthz", "/readyz", "/metrics", "/measurements/latest", "/stats", "/openapi.json"] {
            #expect(try answer(daemon, path).status == 200, "\(path)")
        }
        // The command line of the same user finds it.
        #expect(try daemon.command("status").status == 0)
        #expect(daemon.stop() == 0)
        try daemon.start()
        #expect(!daemon.greeting.contains(token))
        #expect(try answer(daemon, "/api/v1/status", ["Authorization: Bearer \(token)"]).status == 200)
    }

    @Test func needsATokenByItselfWhereOthersReachIt() throws {
        let open = try DaemonProcess()
        try open.start()
        #expect(try answer(open, "/api/v1/status").status == 200)
        let closed = try DaemonProcess(settings: ["LISTEN": "0.0.0.0:0"])
        try closed.start()
        #expect(try answer(closed, "/api/v1/status").status == 401)
    }

    /// Neither chunked nor otherwise, nor at the port of the metrics.
    @Test func takesNoSoundWhereItsPathsAreOff() throws {
        let metricsPort = try TestFolders.freePort()
        let daemon = try DaemonProcess(settings: ["STOCK_PATHS": "metrics", "METRICS_PORT": "\(metricsPort)"])
        try daemon.start()
        try waitFor("the metrics' port") { (try? RawConnection(port: metricsPort)) != nil }
        for port in [daemon.port, metricsPort] {
            let connection = try RawConnection(port: port)
            try connection.send(
                "POST /recordings_stream?listener_id=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            )
            try connection.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 32_000))))
            try connection.send(WireMaker.lastChunk)
            #expect(try DaemonProcess.parse(connection.answer()).status == 404)
        }
        #expect(try daemon.json("/api/v1/listeners")["listeners"] as? [String] == [])
        // The metrics' port takes none in any case.
        let open = try DaemonProcess(settings: ["METRICS_PORT": "\(metricsPort)"])
        #expect(daemon.stop() == 0)
        try open.start()
        try waitFor("the metrics' port") { (try? RawConnection(port: metricsPort)) != nil }
        let connection = try RawConnection(port: metricsPort)
        try connection.send(
            "POST /recordings_stream?listener_id=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"
        )
        #expect(try DaemonProcess.parse(connection.answer()).status == 404)
    }

    @Test func answersOnlyTheStockPathsThatAreOn() throws {
        let metricsPort = try TestFolders.freePort()
        let daemon = try DaemonProcess(settings: [
            "STOCK_PATHS": "recordings", "REQUIRE_API_TOKEN": "yes", "API_TOKEN": "t0ken-t0ken",
            "METRICS_PORT": "\(metricsPort)",
        ])
        try daemon.start()
        for path in ["/measurements/latest", "/stats", "/overlay", "/data/co2/x"] {
            #expect(try answer(daemon, path).status == 404, "\(path)")
        }
        #expect(try answer(daemon, "/ou/co2unit-30aea42a5140/alive", method: "POST").status == 404)
        #expect(try answer(daemon, "/metrics").status == 401)
        #expect(try answer(daemon, "/metrics", ["Authorization: Bearer t0ken-t0ken"]).status == 200)
        #expect(try DaemonProcess.request("GET", "/metrics", port: metricsPort).status == 401)
        let allowed = try DaemonProcess.request(
            "GET", "/metrics", port: metricsPort, headers: ["Authorization: Bearer t0ken-t0ken"])
        #expect(allowed.status == 200)
        #expect(allowed.body.contains("edge_aggregator_"))
        #expect(try answer(daemon, "/recordings_stream").status == 405)
    }

    @Test func refusesWhoAsksOrGuessesTooOften() throws {
        let daemon = try DaemonProcess(settings: [
            "API_TOKEN": "right-token", "LOGIN_FAILURES_PER_MINUTE": "3", "API_REQUESTS_PER_MINUTE": "40",
            "TRUSTED_PROXIES": "127.0.0.0/8",
        ])
        try daemon.start()
        let guesser = "X-Forwarded-For: 203.0.113.5, 198.51.100.7"
        for _ in 0..<3 {
            #expect(try answer(daemon, "/api/v1/status", [guesser, "Authorization: Bearer guess"]).status == 401)
        }
        // The right token is of no use to whoever guessed; another client is let in.
        #expect(try answer(daemon, "/api/v1/status", [guesser, "Authorization: Bearer right-token"]).status == 429)
        let other = "X-Forwarded-For: 203.0.113.6"
        #expect(try answer(daemon, "/api/v1/status", [other, "Authorization: Bearer right-token"]).status == 200)
        var statuses: [Int] = []
        for _ in 0..<60 {
            statuses.append(
                try answer(daemon, "/api/v1/sinks", [other, "Authorization: Bearer right-token"]).status)
        }
        #expect(statuses.contains(429))
        #expect(statuses.first == 200)
        // Metrics and listeners are not counted with them.
        #expect(try answer(daemon, "/metrics", [other]).status == 200)
    }

    /// One client has all addresses of an IPv6 network (RFC 6177), and proxies write them in more than one form.
    @Test func addressesOfOneNetworkGuessTogether() throws {
        let daemon = try DaemonProcess(settings: [
            "API_TOKEN": "right-token", "LOGIN_FAILURES_PER_MINUTE": "3", "TRUSTED_PROXIES": "127.0.0.0/8",
        ])
        try daemon.start()
        for address in ["2001:db8:1:2::1", "[2001:db8:1:2:ffff::2]", "[2001:db8:1:2::3]:443"] {
            let guess = ["X-Forwarded-For: \(address)", "Authorization: Bearer guess"]
            #expect(try answer(daemon, "/api/v1/status", guess).status == 401)
        }
        let right = "Authorization: Bearer right-token"
        #expect(try answer(daemon, "/api/v1/status", ["X-Forwarded-For: 2001:db8:1:2::4", right]).status == 429)
        #expect(try answer(daemon, "/api/v1/status", ["X-Forwarded-For: 2001:db8:1:3::1", right]).status == 200)
    }

    @Test func believesNobodyButTrustedProxies() throws {
        // Without a token only the box itself may admit nodes: not whoever comes through a proxy on it.
        let daemon = try DaemonProcess()
        try daemon.start()
        let path = "/api/v1/nodes/co2/co2unit-30aea42a5140/admit"
        #expect(try answer(daemon, path, method: "POST").status != 403)
        #expect(try answer(daemon, path, ["X-Forwarded-For: 203.0.113.5"], method: "POST").status == 403)
        #expect(try answer(daemon, path, ["X-Forwarded-For: 127.0.0.1"], method: "POST").status == 403)
    }

    /// A proxy on 127.0.0.1 passes a stream on; in both forms of it, the one without a length goes straight to the ingest.
    @Test(arguments: ["Transfer-Encoding: chunked", "Content-Length: 10000000"])
    func showsWhoStreamsThroughATrustedProxy(body: String) throws {
        for (trusted, expected) in [("127.0.0.1", "203.0.113.6"), ("10.0.0.1", "127.0.0.1:")] {
            let daemon = try DaemonProcess(settings: ["TRUSTED_PROXIES": trusted])
            try daemon.start()
            let stream = try RawConnection(port: daemon.port)
            try stream.send(
                "POST /recordings_stream?listener_id=far HTTP/1.1\r\nHost: x\r\n\(body)\r\nX-Forwarded-For: 198.51.100.9, 203.0.113.6\r\n\r\n"
            )
            let frame = WireMaker.frame(0, WireMaker.ramp(from: 0, samples: 16_384))
            try stream.send(body.hasPrefix("T") ? WireMaker.chunk(frame) : frame)
            var shown = ""
            try waitFor("the stream among the listeners") {
                let listeners = try daemon.json("/api/v1/listeners")["listeners"] as? [[String: Any]] ?? []
                let connections = listeners.first?["connections"] as? [[String: Any]] ?? []
                shown = connections.first?["remote_address"] as? String ?? ""
                return !shown.isEmpty
            }
            #expect(shown.hasPrefix(expected), "\(shown)")
        }
    }

    /// A stranger's megabytes are not written down, but its sender hears why.
    @Test(arguments: ["?listener_id=a&token=wrong", "?listener_id=a", "?token=wrong", ""])
    func refusesStrangersUploadsBeforeTheirBodies(query: String) throws {
        let daemon = try DaemonProcess(settings: ["LISTENER_TOKENS": "a=right;b=other"])
        try daemon.start()
        let connection = try RawConnection(port: daemon.port)
        try connection.send(
            "POST /recordings_upload\(query) HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 3000000\r\n\r\n"
        )
        try connection.send([UInt8](repeating: 1, count: 3_000_000))
        #expect(try connection.answer().hasPrefix("HTTP/1.1 403"))
        #expect(try daemon.uploadNothing() == 403)
    }

    @Test func tellsBrowsersWhatTheyMayDo() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let connection = try RawConnection(port: daemon.port)
        try connection.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        let text = try connection.answer().lowercased()
        for line in [
            "x-content-type-options: nosniff", "x-frame-options: deny", "referrer-policy: no-referrer",
            "content-security-policy: default-src 'none'",
        ] {
            #expect(text.contains(line))
        }
    }

    @Test func takesSecretsFromFiles() throws {
        let folder = try TestFolders.temporary("edge-secrets")
        defer { TestFolders.remove(folder) }
        try Data("from-a-file\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/one"))
        try Data("*=from-a-credential;\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/edge_listener_tokens"))
        try Data("of-influx".utf8).write(to: URL(fileURLWithPath: "\(folder)/influx_token"))
        let daemon = try DaemonProcess(settings: ["API_TOKEN_FILE": "\(folder)/one", "CREDENTIALS_DIRECTORY": folder])
        try daemon.start()
        #expect(try answer(daemon, "/api/v1/status", ["Authorization: Bearer from-a-file"]).status == 200)
        let listed = try daemon.command("settings", "--json").output
        for secret in ["from-a-file", "from-a-credential", "of-influx"] { #expect(!listed.contains(secret)) }
        for name in ["environment API_TOKEN_FILE", "credential listener_tokens", "credential influx_token"] {
            #expect(listed.contains(name), "\(name): \(listed.prefix(300))")
        }
        // A stream without the listener's token is held, so its answer is not waited for: the upload says it at once.
        #expect([401, 403].contains(try daemon.uploadNothing()))
        // Whatever is logged.
        let chatty = try DaemonProcess(settings: [
            "API_TOKEN_FILE": "\(folder)/one", "CREDENTIALS_DIRECTORY": folder, "LOG_LEVEL": "trace",
            "INFLUX_URL": "http://127.0.0.1:9", "ISEMS_MQTT_PASSWORD": "of-the-mesh",
            "NODE_TOKENS": "isems:*=of-the-nodes",
        ])
        try chatty.start(logPath: "\(folder)/log")
        #expect(chatty.stop() == 0)
        let log = try String(contentsOfFile: "\(folder)/log", encoding: .utf8)
        #expect(log.contains("Starting service") && log.contains("ReloadService"))
        for secret in ["from-a-file", "from-a-credential", "of-influx", "of-the-mesh", "of-the-nodes"] {
            #expect(!log.contains(secret) && !chatty.greeting.contains(secret), "\(secret)")
        }
        // What the service manager would make credentials of: found beside the settings by whoever may read it.
        let beside = try DaemonProcess()
        try FileManager.default.createDirectory(atPath: "\(beside.folder)/secrets", withIntermediateDirectories: true)
        try Data("kept-beside\n".utf8).write(to: URL(fileURLWithPath: "\(beside.folder)/secrets/api_token"))
        let shown = try beside.command("settings", "--json").output
        #expect(shown.contains("secrets\\/api_token") || shown.contains("secrets/api_token"))
        #expect(!shown.contains("kept-beside"))
        let missing = try DaemonProcess(settings: ["API_TOKEN_FILE": "\(folder)/nothing"])
        let refused = try missing.command("settings", "check")
        #expect(refused.status == 78)
        #expect(refused.output.contains("\(folder)/nothing"))
    }
}
