import EdgeTesting
import Foundation
import Testing

/// What commit 5510d06 has left behind, with deliveries waiting and refused, is taken over: nothing is lost, changed or doubled.
///
/// The fixtures, the endpoints and the oracle are in `Tests/Upgrade`. `make test-upgrade` goes back and forth between both programs.
@Suite(.serialized) struct UpgradeTests {
    @Test(arguments: ["clean", "killed"])
    func takesOverWhatTheFormerVersionLeftBehind(fixture: String) throws {
        let folder = "\(TestFolders.root)/Tests/Upgrade"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "\(folder)/check_fixture.py", TestFolders.program,
            "\(folder)/fixtures/\(fixture).tar.xz",
        ]
        var environment = ProcessInfo.processInfo.environment
        environment["EDGE_MODELS_DIR"] = try TestFolders.programModels()
        environment["EDGE_SAMPLES_DIR"] = (try TestFolders.birds() as NSString).deletingLastPathComponent
        environment["EDGE_TEST_SERVERS"] = TestProgram.tools
        process.environment = environment
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(text)")
        #expect(text.contains(" 0 differences; "), "\(text)")
    }
}
