import EdgeTesting
import Foundation
import Testing

/// A page of somebody else whose name resolves to the box (DNS rebinding), by what its requests have in `Host`.
@Suite struct HostGuardTests {
    private func status(
        _ daemon: DaemonProcess, _ method: String, _ target: String, _ headers: [String], version: String = "HTTP/1.1"
    ) throws -> Int { try answer(daemon, method, target, headers, version: version).status }

    private func answer(
        _ daemon: DaemonProcess, _ method: String, _ target: String, _ headers: [String], version: String = "HTTP/1.1"
    ) throws -> (status: Int, body: String) {
        let connection = try RawConnection(port: daemon.port)
        let lines = ["\(method) \(target) \(version)"] + headers + ["Connection: close", "Content-Length: 0"]
        try connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
        return try DaemonProcess.parse(connection.answer())
    }

    private let guarded = [
        ("GET", "/"), ("GET", "/api/v1/status"), ("GET", "/events"), ("GET", "/v1/data/wind"),
        ("GET", "/api/v1/recordings/x/audio"), ("DELETE", "/api/v1/recordings/x"),
        ("POST", "/api/v1/nodes/co2/co2unit-30aea42a5140/admit"),
        ("PUT", "/api/v1/nodes/co2/co2unit-30aea42a5140/updates/u?path=flash/main.py"),
        ("POST", "/api/v1/nodes/co2/co2unit-30aea42a5140/updates/u/publish"), ("POST", "/api/v1/deliveries/requeue"),
    ]

    @Test func aForeignNameReachesNothingThatPeopleUse() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        for (method, path) in guarded {
            for host in [
                "evil.example", "evil.example:\(daemon.port)", "127.0.0.1.evil.example", "localhost.evil.example",
            ] {
                let answer = try answer(daemon, method, path, ["Host: \(host)", "Origin: http://\(host)"])
                #expect(answer.status == 421, "\(method) \(path) \(host)")
                #expect(answer.body.contains("host_names") && answer.body.contains("api_token"), "\(answer.body)")
            }
        }
        // What the clients of the fleets ask is theirs, by whatever name.
        let open = [
            ("GET", "/healthz", 200), ("GET", "/readyz", 200), ("GET", "/metrics", 200), ("GET", "/stats", 200),
            ("GET", "/measurements/latest", 200), ("GET", "/api/measurements/latest", 200),
            ("POST", "/recordings_upload", 422), ("POST", "/recordings_stream", 422),
            ("POST", "/ou/co2unit-30aea42a5140/alive", 403), ("POST", "/api/isems/mesh/node1/data", 403),
            ("POST", "/upload?unit=van7", 403), ("POST", "/?unit=van7", 403), ("GET", "/openapi.json", 200),
        ]
        for (method, path, expected) in open {
            #expect(try status(daemon, method, path, ["Host: evil.example"]) == expected, "\(method) \(path)")
        }
        #expect(daemon.stop() == 0)
    }

    @Test func itsOwnNamesAreKnown() throws {
        let daemon = try DaemonProcess(settings: ["HOST_NAMES": "Birds.example.org, edge-aggregator"])
        try daemon.start()
        let own = try String(contentsOfFile: "/proc/sys/kernel/hostname", encoding: .utf8).trimmingCharacters(
            in: .whitespacesAndNewlines)
        let label = try #require(own.split(separator: ".").first)
        let hosts = [
            "localhost", "LocalHost:\(daemon.port)", "localhost.", "127.0.0.1", "127.0.0.1:1", "[::1]:\(daemon.port)",
            "[::1]",
            "192.0.2.7:80", own, "\(label).local:\(daemon.port)", "birds.example.org", "BIRDS.example.org.:443",
            "edge-aggregator:8000",
        ]
        for host in hosts {
            #expect(try status(daemon, "GET", "/api/v1/status", ["Host: \(host)"]) == 200, "\(host)")
        }
        // HTTP/1.0 has no Host; StreamSwitch and the server take it.
        #expect(try status(daemon, "GET", "/api/v1/status", [], version: "HTTP/1.0") == 200)
        #expect(try status(daemon, "GET", "/", ["Host: "]) == 200)
    }

    @Test func oneRequestHasOneHost() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let path = "/api/v1/status"
        #expect(try status(daemon, "GET", path, ["Host: localhost", "Host: evil.example"]) == 400)
        #expect(try status(daemon, "GET", path, ["Host: evil.example", "host: localhost"]) == 400)
        // RFC 9112 §3.2.2: the host of a target that is a whole URL counts, and the field does not.
        #expect(try status(daemon, "GET", "http://evil.example\(path)", ["Host: localhost"]) == 421)
        #expect(try status(daemon, "GET", "HTTP://evil.example:80\(path)", []) == 421)
        #expect(try status(daemon, "GET", "http://localhost:\(daemon.port)\(path)", ["Host: evil.example"]) == 200)
    }

    @Test func proxiesTellOfFurtherNames() throws {
        let daemon = try DaemonProcess(settings: ["TRUSTED_PROXIES": "127.0.0.1", "HOST_NAMES": "birds.example.org"])
        try daemon.start()
        let path = "/api/v1/status"
        func ask(_ host: String, _ forwarded: String...) throws -> Int {
            try status(daemon, "GET", path, ["Host: \(host)"] + forwarded.map { "X-Forwarded-Host: \($0)" })
        }
        #expect(try ask("127.0.0.1", "birds.example.org") == 200)
        #expect(try ask("127.0.0.1", "evil.example") == 421)
        #expect(try ask("127.0.0.1", "birds.example.org, evil.example") == 421)
        #expect(try ask("127.0.0.1", "birds.example.org", "evil.example") == 421)
        // A page may send that field itself.
        #expect(try ask("evil.example", "birds.example.org") == 421)
        // Of whoever is no proxy, what it forwards counts neither way.
        let direct = try DaemonProcess()
        try direct.start()
        #expect(try status(direct, "GET", path, ["Host: localhost", "X-Forwarded-Host: evil.example"]) == 200)
        #expect(try status(direct, "GET", path, ["Host: evil.example", "X-Forwarded-Host: localhost"]) == 421)
    }

    @Test func aTokenMakesEveryNameGood() throws {
        let daemon = try DaemonProcess(settings: ["API_TOKEN": "t0ken-t0ken"])
        try daemon.start()
        let host = "Host: evil.example"
        #expect(try status(daemon, "GET", "/api/v1/status", [host]) == 401)
        #expect(try status(daemon, "GET", "/api/v1/status", [host, "Authorization: Bearer t0ken-t0ken"]) == 200)
    }

    @Test func namesAreTakenOverOnSIGHUPAndChecked() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let host = ["Host: birds.example.org"]
        #expect(try status(daemon, "GET", "/api/v1/status", host) == 421)
        try Data("host_names: [birds.example.org]\n".utf8).write(
            to: URL(fileURLWithPath: "\(daemon.folder)/settings.yaml"))
        kill(daemon.pid, SIGHUP)
        try waitFor("the name") { try status(daemon, "GET", "/api/v1/status", host) == 200 }
        for wrong in ["https://birds.example.org", "birds.example.org:443", "*"] {
            let refused = try DaemonProcess(settings: ["HOST_NAMES": wrong]).command("settings", "check")
            #expect(refused.status == 78 && refused.output.contains("host_names"), "\(wrong): \(refused.output)")
        }
    }
}
