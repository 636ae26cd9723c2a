import EdgeTesting
import Foundation
import Testing

/// Clients that send all of their body before they look for an answer, as most do: they see the status, and no broken connection.
@Suite struct RejectedBodyTests {
    /// More than the sockets' buffers take, less than `max_discarded_body_bytes`.
    private static let bodyBytes = 12_000_000
    private static let multipart = "Content-Type: multipart/form-data; boundary=b"
    private static let part =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n"

    struct Case: CustomStringConvertible, Sendable {
        let request: String
        let fields: [String]
        let status: Int
        var start = ""
        var description: String { "\(request) → \(status)" }

        init(_ request: String, _ status: Int, _ fields: [String] = ["Connection: close"], start: String = "") {
            self.request = request
            self.status = status
            self.fields = fields
            self.start = start
        }
    }

    private func send(
        _ test: Case, to daemon: DaemonProcess, isChunked: Bool = false, bytes: Int = bodyBytes
    ) throws -> (raw: String, connection: RawConnection) {
        let connection = try RawConnection(port: daemon.port)
        let form = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(bytes)"
        try connection.send(
            ([test.request, "Host: 127.0.0.1", form] + test.fields).joined(separator: "\r\n") + "\r\n\r\n")
        let start = Array(test.start.utf8)
        let body = start + [UInt8](repeating: 0x61, count: bytes - start.count)
        if isChunked {
            for from in stride(from: 0, to: body.count, by: 100_000) {
                try connection.send(WireMaker.chunk(Array(body[from..<min(from + 100_000, body.count)])))
            }
            try connection.send(WireMaker.lastChunk)
        } else {
            try connection.send(body)
        }
        return (try connection.answer(), connection)
    }

    private func check(_ cases: [Case], _ daemon: DaemonProcess, isChunked: Bool = false) {
        for test in cases {
            do {
                let (raw, _) = try send(test, to: daemon, isChunked: isChunked)
                #expect(raw.hasPrefix("HTTP/1.1 \(test.status) "), "\(test): \(raw.prefix(200))")
            } catch {
                Issue.record("\(test): \(error)")
            }
        }
    }

    private static let unit = "co2unit-30aea42a5140"

    /// By every route with a body: a client that is not admitted or has no token, a path or a method that there is not.
    @Test(arguments: [false, true]) func saysNoToWhoMayNotSend(isChunked: Bool) throws {
        let daemon = try DaemonProcess(settings: ["LISTENER_TOKENS": "a=right", "API_TOKEN": "t0ken-t0ken"])
        try daemon.start()
        check(
            [
                Case("POST /recordings_upload HTTP/1.1", 422),
                Case("POST /recordings_upload?listener_id=a HTTP/1.1", 403, [Self.multipart]),
                Case(
                    "POST /recordings_upload?listener_id=a&token=no HTTP/1.1", 403,
                    [Self.multipart, "Connection: close"]),
                Case("PUT /recordings_upload HTTP/1.1", 405, []),
                Case("POST /recordings_stream HTTP/1.1", 422),
                Case("PUT /ou/\(Self.unit)/push-sequential/data/f.tsv?offset=0 HTTP/1.1", 403),
                Case("POST /ou/\(Self.unit)/alive HTTP/1.1", 403, []),
                Case("POST /ou/\(Self.unit)/else HTTP/1.1", 404, []),
                Case("POST /upload?unit=van7 HTTP/1.1", 403, [Self.multipart]),
                Case("POST /api/isems/mesh/node1/data HTTP/1.1", 403, []),
                Case("PUT /api/v1/nodes/co2/\(Self.unit)/updates/u?path=flash/main.py HTTP/1.1", 401, []),
                Case("PUT /api/v1/nodes/co2/\(Self.unit)/updates/u?path=flash/main.py HTTP/1.1", 401),
                Case("POST /api/v1/outputs/relay?state=on HTTP/1.1", 401),
                Case("POST /nothing/here HTTP/1.1", 404),
                Case("POST /metrics HTTP/1.1", 404, []),
            ], daemon, isChunked: isChunked)
        #expect(daemon.stop() == 0)
    }

    /// CO2 units speak HTTP/1.0 and read until the connection ends.
    @Test func saysNoInHTTP10() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let answer = try StockUnit(Self.unit, port: daemon.port).push(
            "data/f.tsv", offset: 0, [UInt8](repeating: 1, count: Self.bodyBytes))
        #expect(answer.status == 403)
        #expect(answer.raw.lowercased().contains("connection: close"))
    }

    @Test(arguments: [false, true]) func saysThatItIsTooMuch(isChunked: Bool) throws {
        let daemon = try DaemonProcess(settings: [
            "NODE_ADMISSION": "open", "MAX_UPLOAD_BYTES": "100000", "PIWARDRIVE_MAX_UPLOAD_BYTES": "100000",
        ])
        try daemon.start()
        check(
            [
                Case("POST /recordings_upload?listener_id=a HTTP/1.1", 413, [Self.multipart], start: Self.part),
                Case(
                    "POST /upload?unit=van7 HTTP/1.1", 413, [Self.multipart],
                    start: Self.part.replacingOccurrences(of: "a.wav", with: "app.db")),
                Case("PUT /ou/\(Self.unit)/push-sequential/data/f.tsv?offset=0 HTTP/1.1", 413),
                Case("POST /api/isems/mesh/node1/data HTTP/1.1", 413, []),
            ], daemon, isChunked: isChunked)
    }

    @Test func saysThatItIsTooOften() throws {
        let daemon = try DaemonProcess(settings: ["API_REQUESTS_PER_MINUTE": "1"])
        try daemon.start()
        _ = try daemon.get("/api/v1/sinks")
        check([Case("POST /api/v1/outputs/relay?state=on HTTP/1.1", 429)], daemon)
    }

    @Test func aConnectionIsUsedAgainAfterAShortRest() throws {
        let daemon = try DaemonProcess(settings: ["API_TOKEN": "t0ken-t0ken"])
        try daemon.start()
        let test = Case("POST /api/v1/outputs/relay?state=on HTTP/1.1", 401, [])
        let (raw, connection) = try send(test, to: daemon, bytes: 300_000)
        #expect(raw.hasPrefix("HTTP/1.1 401 ") && !raw.lowercased().contains("connection: close"))
        try connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(try connection.answer().hasPrefix("HTTP/1.1 200 "))
    }

    /// A rest that has no end is not read for ever, and says so in the answer where its length is known.
    @Test func theRestIsBounded() throws {
        let daemon = try DaemonProcess(settings: ["API_TOKEN": "t0ken-t0ken", "MAX_DISCARDED_BODY_BYTES": "1000000"])
        try daemon.start()
        for request in ["POST /api/v1/outputs/relay?state=on HTTP/1.1", "POST /recordings_upload HTTP/1.1"] {
            let endless = try RawConnection(port: daemon.port)
            try endless.send("\(request)\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
            let chunk = WireMaker.chunk([UInt8](repeating: 1, count: 100_000))
            var sent = 0
            do {
                while sent < 200_000_000 {
                    try endless.send(chunk)
                    sent += chunk.count
                }
            } catch {}
            #expect(sent < 200_000_000, "\(request)")
        }
        let long = try RawConnection(port: daemon.port)
        try long.send(
            "POST /api/v1/outputs/relay?state=on HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n")
        let answer = try long.readToEnd()
        #expect(answer.hasPrefix("HTTP/1.1 401 ") && answer.lowercased().contains("connection: close"), "\(answer)")
    }

    /// Its body is never sent, so nothing of it is waited for (RFC 9110 §10.1.1).
    @Test(arguments: [
        "POST /recordings_upload?listener_id=a HTTP/1.1", "POST /api/v1/outputs/relay?state=on HTTP/1.1",
        "PUT /ou/co2unit-30aea42a5140/push-sequential/data/f.tsv?offset=0 HTTP/1.1",
    ]) func whoWaitsForLeaveToSendIsAnsweredAtOnce(request: String) throws {
        let daemon = try DaemonProcess(settings: ["LISTENER_TOKENS": "a=right", "API_TOKEN": "t0ken-t0ken"])
        try daemon.start()
        let connection = try RawConnection(port: daemon.port)
        try connection.send(
            "\(request)\r\nHost: localhost\r\n\(Self.multipart)\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n"
        )
        let answer = try connection.readToEnd(within: 25)
        #expect(answer.hasPrefix("HTTP/1.1 40"), "\(answer)")
        #expect(answer.lowercased().contains("connection: close"), "\(answer)")
    }

    @Test func shutdownWaitsForNoRest() throws {
        let daemon = try DaemonProcess(settings: ["API_TOKEN": "t0ken-t0ken", "SHUTDOWN_TIMEOUT_SEC": "120"])
        try daemon.start()
        var connections: [RawConnection] = []
        for request in ["POST /api/v1/outputs/relay?state=on HTTP/1.1", "POST /recordings_upload HTTP/1.1"] {
            let connection = try RawConnection(port: daemon.port)
            try connection.send("\(request)\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nbeginning")
            #expect(try connection.answer().hasPrefix("HTTP/1.1 4"))
            connections.append(connection)
        }
        let begun = ContinuousClock.now
        #expect(daemon.stop() == 0)
        #expect(ContinuousClock.now - begun < .seconds(25), "it waited for the rest")
        withExtendedLifetime(connections) {}
    }

    /// What a unit or a node sent is text to a browser, whatever it looks like.
    @Test func everyAnswerHasTheTypeThatItSays() throws {
        let daemon = try DaemonProcess(settings: ["NODE_ADMISSION": "open"])
        try daemon.start()
        try StockUnit(Self.unit, port: daemon.port).ping("?site_code=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
        let requests = [
            "GET /status/alive/recent", "GET /status/alive/summary", "GET /data/co2/summary",
            "GET /measurements/latest",
            "GET /measurements/%3Cscript%3E/latest", "GET /stats", "GET /overlay?bins=%3Cscript%3E", "GET /metrics",
            "GET /healthz",
            "GET /openapi.json", "GET /nothing", "GET /ou/\(Self.unit)/updates", "GET /ou/x", "GET /api/v1/status",
            "GET /",
            "POST /recordings_upload", "GET /recordings_upload", "POST /upload?unit=%3Cscript%3E",
            "GET /api/v1/nothing",
            "POST /api/isems/mesh/node1/data",
        ]
        for request in requests {
            for version in ["HTTP/1.0", "HTTP/1.1"] {
                let connection = try RawConnection(port: daemon.port)
                try connection.send(
                    "\(request) \(version)\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                let head = try connection.answer().components(separatedBy: "\r\n\r\n")[0].lowercased()
                let count = head.components(separatedBy: "x-content-type-options: nosniff").count - 1
                #expect(count == 1, "\(request) \(version): \(head)")
            }
        }
    }
}
