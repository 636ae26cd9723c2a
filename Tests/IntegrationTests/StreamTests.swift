import EdgeTesting
import Foundation
import Testing

/// The wire as stock clients use it, against the built program, over plain sockets.
@Suite(.serialized) struct StreamTests {
    private func pages(_ count: Int, from: Int = 0) -> [[UInt8]] {
        (0..<count).map { WireMaker.ramp(from: (from + $0) * 16_384, samples: 16_384) }
    }

    @Test func takesTheFirmwaresFormUnmodified() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let stream = try daemon.stream("esp32-01")
        let sound = pages(70)
        for (number, page) in sound.enumerated() {
            // A chunk in three writes, as the firmware's HTTP client makes it.
            let frame = WireMaker.frame(number, page)
            try stream.send(String(frame.count, radix: 16) + "\r\n")
            try stream.send(frame)
            try stream.send("\r\n")
        }
        try stream.send(WireMaker.lastChunk)
        let answer = try DaemonProcess.parse(stream.answer())
        #expect(answer.status == 200)
        #expect(answer.body == #"{"status":"ok","listener":"esp32-01"}"#)
        let recordings = try daemon.recordings()
        #expect(recordings.count == 2)
        #expect(try recordings.flatMap { try daemon.sound($0) } == sound.flatMap { $0 })
        #expect(Set(recordings.compactMap { $0["name"] as? String }).count == 2)
        #expect(daemon.stop() == 0)
    }

    @Test func takesTheStockScriptsFormWithAHeaderOf450BytesAndFilesOneAfterTheOther() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let stream = try daemon.stream("listener01")
        let sound = pages(12)
        for _ in 0..<3 {
            try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.stockHeader(dataBytes: 12 * 32_768))))
            for (number, page) in sound.enumerated() {
                try stream.send(WireMaker.chunk(WireMaker.frame(number + 1, page)))
            }
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        let recordings = try daemon.recordings()
        // Pushed within a second: three names all the same, and successive times.
        #expect(Set(recordings.compactMap { $0["name"] as? String }).count == 3)
        for recording in recordings { #expect(try daemon.sound(recording) == sound.flatMap { $0 }) }
        let starts = recordings.compactMap { $0["start_at"] as? String }
        #expect(starts == starts.sorted() && Set(starts).count == 3)
    }

    @Test func answersWhatStockClientsKnow() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let missing = try DaemonProcess.request("POST", "/recordings_stream", port: daemon.port)
        #expect(missing.status == 422)
        #expect(
            missing.body
                == #"{"detail":[{"type":"missing","loc":["query","listener_id"],"msg":"Field required","input":null}]}"#
        )
        let wrong = try DaemonProcess.request("GET", "/recordings_stream?listener_id=a", port: daemon.port)
        #expect(wrong.status == 405)
        #expect(wrong.body == #"{"detail":"Method Not Allowed"}"#)
        let nowhere = try DaemonProcess.request("GET", "/nowhere", port: daemon.port)
        #expect(nowhere.status == 404)
        #expect(nowhere.body == #"{"detail":"Not Found"}"#)
        for id in ["..", "a%2Fb", "a%20b", String(repeating: "a", count: 65), "%00", ""] {
            #expect(
                try DaemonProcess.request("POST", "/recordings_stream?listener_id=\(id)", port: daemon.port).status
                    == 400)
        }
        for body in [[UInt8](), Array("garbage".utf8), Array(WireMaker.frame(0, [1, 2, 3]).dropLast())] {
            let stream = try daemon.stream("short")
            if !body.isEmpty { try stream.send(WireMaker.chunk(body)) }
            try stream.send(WireMaker.lastChunk)
            #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        }
        #expect(try daemon.recordings("&state=closed").isEmpty)
    }

    @Test func closesTheRecordingProperlyWhateverEndsTheStream() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let sound = pages(19)
        for ending in ["reset", "cut", "shutdown"] {
            let stream = try daemon.stream(ending)
            for (number, page) in sound.enumerated() { try stream.send(WireMaker.chunk(WireMaker.frame(number, page))) }
            try waitFor("bytes of \(ending)") {
                let listeners = try daemon.json("/api/v1/listeners")["listeners"] as? [[String: Any]] ?? []
                let connections = listeners.first { $0["id"] as? String == ending }?["connections"] as? [[String: Any]]
                return (connections?.first?["bytes"] as? Int ?? 0) >= 19 * 32_774
            }
            if ending == "reset" { stream.reset() }
            if ending == "shutdown" { #expect(daemon.stop() == 0) }
        }
        let again = try DaemonProcess(folder: daemon.folder)
        try again.start()
        try waitFor("three recordings") { try again.recordings("&state=closed").count == 3 }
        for recording in try again.recordings() {
            // Of a connection that was cut off, everything whole is kept.
            #expect(try again.sound(recording) == sound.flatMap { $0 })
        }
    }

    @Test func neverMixesTwoConnectionsOfOneListener() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let streams = [try daemon.stream("twin"), try daemon.stream("twin")]
        let sounds = [pages(12), pages(12, from: 1000)]
        for number in 0..<12 {
            for (stream, sound) in zip(streams, sounds) {
                try stream.send(WireMaker.chunk(WireMaker.frame(number, sound[number])))
            }
        }
        for stream in streams {
            try stream.send(WireMaker.lastChunk)
            #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        }
        let kept = try daemon.recordings().map { try daemon.sound($0) }
        #expect(kept.count == 2)
        #expect(Set(kept) == Set(sounds.map { $0.flatMap { $0 } }))
    }

    @Test func holdsARefusedStreamWithoutAnAnswerAndTakesTokensWhereverStockClientsCanPutThem() throws {
        let daemon = try DaemonProcess(settings: [
            "LISTENER_TOKENS": "a=secret", "REFUSAL_HOLD_SEC": "2", "LISTENER_ALLOW": "a,b",
        ])
        try daemon.start()
        let refused = try daemon.stream("a")
        #expect(!refused.isClosed(within: 1))
        #expect(try refused.answer(within: 10) == "")
        let unknown = try daemon.stream("c")
        #expect(try unknown.answer(within: 10) == "")
        let basic = Data("x:secret".utf8).base64EncodedString()
        for (path, headers) in [
            ("/recordings_stream?listener_id=a&token=secret", []),
            // The stock script appends its query to whatever is there.
            ("/recordings_stream?token=secret?listener_id=a", []),
            ("/t/secret/recordings_stream?listener_id=a", []),
            ("/recordings_stream?listener_id=a", ["Authorization: Bearer secret"]),
            ("/recordings_stream?listener_id=a", ["Authorization: Basic \(basic)"]),
        ] {
            let answer = try DaemonProcess.request(
                "POST", path, port: daemon.port, headers: headers, body: WireMaker.frame(0, [1, 2]))
            #expect(answer.status == 200, "\(path) \(headers)")
        }
    }

    @Test func endsAListenerThatIsSilentForTooLong() throws {
        let daemon = try DaemonProcess(settings: ["LISTENER_IDLE_TIMEOUT_SEC": "5"])
        try daemon.start()
        let stream = try daemon.stream("quiet")
        for (number, page) in pages(12).enumerated() { try stream.send(WireMaker.chunk(WireMaker.frame(number, page))) }
        #expect(stream.isClosed(within: 30))
        try waitFor("its recording") { try daemon.recordings("&state=closed").count == 1 }
    }

    @Test func doesNotDrainAnUploadItHasRefused() throws {
        let daemon = try DaemonProcess(settings: ["MAX_UPLOAD_BYTES": "100000"])
        try daemon.start()
        let connection = try RawConnection(port: daemon.port)
        try connection.send(
            "POST /recordings_upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000000\r\n\r\n"
        )
        try connection.send("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n")
        do {
            // A hundred megabytes were announced; the box closes long before they are sent.
            for _ in 0..<1500 { try connection.send([UInt8](repeating: 0, count: 65_536)) }
            Issue.record("everything was read")
        } catch {
            let answer = (try? connection.answer(within: 5)) ?? ""
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 413"))
        }
    }
}

/// Looks again until something holds. What is waited for is stated, not how long it may take; a minute is a fault.
func waitFor(_ what: String, _ condition: () throws -> Bool) throws {
    for _ in 0..<1200 {
        if try condition() { return }
        usleep(50_000)
    }
    throw DaemonProcess.Failure(description: "never came: \(what)")
}
