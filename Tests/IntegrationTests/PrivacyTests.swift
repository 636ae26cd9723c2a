import EdgeTesting
import Foundation
import GRDB
import Testing

/// Sound in which a voice is known, or may be, is not handed out.
@Suite(.serialized) struct PrivacyTests {
    /// A voice was heard, the program was killed before it was silent, and the operator turned analysis off: the recording is held
    /// back. It is handed out without the voice when analysis is on again.
    @Test func holdsAKnownVoiceBackWhenAnalysisIsTurnedOff() throws {
        let folder = try TestFolders.temporary("edge-privacy")
        defer { TestFolders.remove(folder) }
        let before = try DaemonProcess(folder: folder)
        try before.start()
        let birds = try Array(Data(contentsOf: URL(fileURLWithPath: TestFolders.birds())).dropFirst(44))
        let stream = try before.stream("a")
        try stream.send(WireMaker.chunk(WireMaker.frame(0, WireMaker.wavHeader(rate: 32_000))))
        for (number, start) in stride(from: 0, to: birds.count, by: 32_768).enumerated() {
            let page = Array(birds[start..<min(start + 32_768, birds.count)])
            try stream.send(WireMaker.chunk(WireMaker.frame(number + 1, page)))
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
        try waitFor("the row") { try before.recordings().first?["state"] as? String == "closed" }
        let name = try #require(try before.recordings().first?["name"] as? String)
        #expect(before.stop() == 0)
        // As a kill between the line of the ledger and the silence leaves it.
        let database = try DatabaseQueue(path: "\(folder)/edge.db")
        try database.write {
            try $0.execute(sql: "UPDATE recordings SET analysis = 'pending', privacy_ns = 3000000000")
        }
        try database.close()

        let off = try DaemonProcess(folder: folder)
        try off.start()
        #expect(try off.get("/api/v1/recordings/\(name)/audio").status == 409)
        #expect(off.stop() == 0)

        // Every window counts as a voice.
        let on = try DaemonProcess(
            folder: folder,
            settings: [
                "ANALYZE_RECORDINGS": "true", "MODELS_DIR": try TestFolders.programModels(), "ANALYZER_WORKERS": "1",
                "PRIVACY_THRESHOLD": "0",
            ])
        try on.start()
        try waitFor("the analysis") { try on.recordings("&analysis=done").count == 1 }
        #expect(try on.get("/api/v1/recordings/\(name)/audio").status == 200)
        let sound = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/recordings/a/\(name)")).dropFirst(44)
        // Three whole windows of 96,000 samples.
        #expect(sound.prefix(2 * 288_000).allSatisfy { $0 == 0 } && sound.count == birds.count)
        #expect(try DaemonProcess.request("DELETE", "/api/v1/recordings/\(name)", port: on.port).status == 204)
        #expect(on.stop() == 0)
    }
}
