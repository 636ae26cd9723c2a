import EdgeTesting
import Foundation
import Testing

/// The commands that need no daemon, or play a part of their own.
@Suite struct ClientTests {
    private func run(_ arguments: [String], _ environment: [String: String] = [:]) throws -> (
        status: Int32, output: String, errors: String
    ) {
        let process = Process()
        let (output, errors) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: TestFolders.program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let said = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (
            process.terminationStatus, String(decoding: text, as: UTF8.self), String(decoding: said, as: UTF8.self)
        )
    }

    /// The header as frame 0, then pages of 32 KiB, in one chunked request whose query is appended blindly.
    @Test(arguments: [false, true]) func sendsWhatTheStockClientsSend(headerless: Bool) throws {
        let taker = Process()
        let told = Pipe()
        taker.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        taker.arguments = ["python3", "\(TestFolders.root)/Tests/Doubles/stream_taker.py"]
        taker.standardOutput = told
        try taker.run()
        defer { if taker.isRunning { taker.terminate() } }
        let first = String(decoding: told.fileHandleForReading.availableData, as: UTF8.self)
        let port = try #require(first.split(separator: " ").last.flatMap { Int($0.filter(\.isNumber)) })
        let birds = try TestFolders.birds()
        let done = try run(
            [
                "stream", birds, "--files", "1", "--interval", "0", "--stagger", "0", "--speed", "max", "--url",
                "http://u:secret@127.0.0.1:\(port)/recordings_stream",
            ] + (headerless ? ["--headerless"] : []))
        #expect(done.status == 0, "\(done)")
        struct Told: Decodable {
            let request: String
            let headers: [String: String]
        }
        let line = told.fileHandleForReading.readDataToEndOfFile()
        let heard = try JSONDecoder().decode(Told.self, from: line)
        #expect(heard.request == "POST /recordings_stream?listener_id=listener01 HTTP/1.1")
        #expect(heard.headers["transfer-encoding"] == "chunked")
        #expect(heard.headers["authorization"] == "Basic dTpzZWNyZXQ=")
        let object = try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
        let frames = try #require(object["frames"] as? [[Any]])
        let bytes = try Data(contentsOf: URL(fileURLWithPath: birds))
        var pages = headerless ? [] : [bytes.prefix(44)]
        for start in stride(from: 44, to: bytes.count, by: 32_768) {
            pages.append(bytes[start..<min(start + 32_768, bytes.count)])
        }
        #expect(frames.compactMap { $0[0] as? Int } == Array(0..<pages.count))
        let sent = frames.compactMap { $0[1] as? String }
        let wanted = pages.map { $0.map { String(format: "%02x", $0) }.joined() }
        #expect(sent.count == wanted.count && zip(sent, wanted).allSatisfy { $0 == $1 })
    }

    @Test(arguments: ["http://u:hidden-word@127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1?a=b"])
    func saysThatAnAddressHasNoPath(url: String) throws {
        let outcome = try run(["stream", try TestFolders.birds(), "--url", url])
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("has no path") && outcome.errors.contains("/recordings_stream"), "\(outcome)")
        #expect(!outcome.errors.contains("hidden-word"))
    }

    /// Not the number alone.
    @Test func saysWhyAStreamIsRejected() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        // The same rejection, over a socket of the test's own.
        let answer = try DaemonProcess.request(
            "POST", "/recordings_stream?listener_id=a/b01", port: daemon.port, headers: ["Content-Length: 0"])
        #expect(answer.status == 400 && answer.body.contains("listener_id must be"))
        // As a stock client it goes on trying.
        let process = Process()
        let errors = Pipe()
        process.executableURL = URL(fileURLWithPath: TestFolders.program)
        process.arguments = [
            "stream", try TestFolders.birds(), "--files", "1", "--interval", "0", "--stagger", "0", "--prefix", "a/b",
            "--url", "http://127.0.0.1:\(daemon.port)/recordings_stream",
        ]
        process.standardError = errors
        try process.run()
        defer { process.terminate() }
        var said = ""
        while !said.contains("a/b01: HTTP/1.1 400 Bad Request: \(answer.body)\n") {
            let more = errors.fileHandleForReading.availableData
            try #require(!more.isEmpty, "\(said)")
            said += String(decoding: more, as: UTF8.self)
        }
        #expect(daemon.stop() == 0)
    }

    /// Ten seconds are three windows; the tennessee warbler is what the authors' own tool hears in them.
    @Test func saysWhatIsHeardInFilesInThreeForms() throws {
        let birds = try TestFolders.birds()
        let environment = [
            "MODELS_DIR": try TestFolders.programModels(), "CONFIG_PATH": "", "LATITUDE": "", "LONGITUDE": "",
        ]
        let json = try run(["analyze", "--json", birds], environment)
        #expect(json.status == 0, "\(json.errors)")
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
        #expect(object["windows"] as? Int == 3)
        #expect(abs((object["seconds"] as? Double ?? 0) - 324_263.0 / 32_000) < 0.01)
        let found = try #require(object["detections"] as? [[String: Any]])
        #expect(found.contains { $0["scientific_name"] as? String == "Leiothlypis peregrina" })
        let csv = try run(["analyze", "--csv", birds], environment)
        let lines = csv.output.split(separator: "\r\n")
        #expect(lines.first == "file,start_seconds,end_seconds,scientific_name,common_name,confidence")
        #expect(lines.count == found.count + 1)
        let table = try run(["analyze", birds], environment).output
        #expect(table.contains("3 windows, \(found.count) detections") && table.contains("Tennessee Warbler"))
        // One bad file costs itself.
        let both = try run(["analyze", "--json", "/nowhere.wav", birds], environment)
        #expect(both.status == 74 && both.output == json.output && both.errors.contains("/nowhere.wav"))
    }

    /// Whether windows are analysed as they come or, for want of room, from the files later: the same is heard.
    @Test func hearsTheSameFromTheFilesAsLive() throws {
        let birds = try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())).dropFirst(44))
        var heard: [[String: Double]] = []
        for windows in [64, 1] {
            let daemon = try DaemonProcess(settings: [
                "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(), "ANALYZER_WORKERS": "1",
                "ANALYSIS_WINDOWS_PER_LISTENER": "\(windows)", "PRIVACY_THRESHOLD": "1", "OVERLAP_SEC": "1",
            ])
            try daemon.start()
            let stream = try daemon.stream("a")
            try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 32_000))))
            let sound = birds + birds + birds + birds + birds
            for (number, start) in stride(from: 0, to: sound.count, by: 32_768).enumerated() {
                let page = Array(sound[start..<min(start + 32_768, sound.count)])
                try stream.send(WireMaker.chunk(WireMaker.frame(number + 1, page)))
            }
            try stream.send(WireMaker.lastChunk)
            #expect(try DaemonProcess.parse(stream.answer()).status == 200)
            try waitFor("the analysis") { try daemon.recordings("&analysis=done").count == 3 }
            let spilled = (try daemon.json("/api/v1/status")["analysis"] as? [String: Any])?["windows_spilled"] as? Int
            #expect(windows == 1 ? spilled ?? 0 > 0 : spilled == 0, "\(spilled ?? -1)")
            let found = try daemon.json("/api/v1/detections?limit=1000")["detections"] as? [[String: Any]] ?? []
            // Names of what is pushed are of moments close to each other, and do not sort.
            let names = try daemon.recordings().sorted {
                ($0["start_at"] as? String ?? "") < ($1["start_at"] as? String ?? "")
            }.compactMap { $0["name"] as? String }
            heard.append(
                Dictionary(
                    found.map {
                        let place = names.firstIndex(of: $0["recording"] as? String ?? "") ?? -1
                        let key = "\(place) \($0["offset_seconds"] ?? "") \($0["scientific_name"] ?? "")"
                        return (key, $0["confidence"] as? Double ?? 0)
                    }, uniquingKeysWith: max))
        }
        // At a file's beginning the resampler has no past, which moves scores a little.
        for (one, other) in [(heard[0], heard[1]), (heard[1], heard[0])] {
            let clear = one.filter { $0.value > 0.35 }
            #expect(clear.count > 10)
            for (key, confidence) in clear {
                #expect(abs((other[key] ?? 0) - confidence) < 0.05, "\(key): \(confidence), \(other[key] ?? 0)")
            }
        }
    }
}
