import Foundation
import Testing

@testable import EdgeAggregator

/// One rule for where things are: docs/settings.md.
@Suite struct BaseFolderTests {
    private func settings(yaml: String, dotenv: String? = nil, environment: [String: String] = [:]) throws -> (
        settings: Settings, folder: String
    ) {
        let folder = NSTemporaryDirectory() + "base-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Data(yaml.utf8).write(to: URL(fileURLWithPath: "\(folder)/settings.yaml"))
        if let dotenv { try Data(dotenv.utf8).write(to: URL(fileURLWithPath: "\(folder)/.env")) }
        return (try Settings(path: "\(folder)/settings.yaml", environment: environment), folder)
    }

    @Test func aRelativeFolderOfAFileIsBelowThatFilesFolder() throws {
        let (of, folder) = try settings(yaml: "base_dir: var\n")
        #expect(of.box.baseFolder == "\(folder)/var")
        #expect(of.analysis.modelPath.hasPrefix("\(folder)/var/models/"))
        let (ofDotenv, other) = try settings(yaml: "base_dir: var\n", dotenv: "BASE_DIR=else\n")
        #expect(ofDotenv.box.baseFolder == "\(other)/else")
    }

    @Test func anAbsoluteOneAndTheEnvironmentsAreTakenAsTheyStand() throws {
        #expect(try settings(yaml: "base_dir: /mnt/ssd\n").settings.box.baseFolder == "/mnt/ssd")
        let environment = ["BASE_DIR": "here"]
        #expect(try settings(yaml: "base_dir: var\n", environment: environment).settings.box.baseFolder == "here")
    }

    /// Not another folder because one is missing.
    @Test func withoutASettingItIsTheDocumentedDefault() throws {
        #expect(try settings(yaml: "").settings.box.baseFolder == "/data")
    }

    @Test func saysWhereThingsAreAndWhatDecidedIt() throws {
        let (of, folder) = try settings(yaml: "# mine\nbase_dir: var\n")
        let real = URL(fileURLWithPath: folder).path
        #expect(
            of.places == "settings: \(real)/settings.yaml, data: \(real)/var (base_dir: \(folder)/settings.yaml:2)")
        let ofEnvironment = try settings(yaml: "", environment: ["BASE_DIR": "/mnt/ssd"]).settings
        #expect(ofEnvironment.places.hasSuffix(", data: /mnt/ssd (base_dir: environment)"))
    }

    @Test func streamsGoToTheDaemonOfTheSettings() throws {
        let all = try settings(yaml: "listen: [\"0.0.0.0:9000\"]\nrecordings_stream_endpoint: /ears\n").settings
        #expect(StreamCommand.ownAddress(all) == "http://127.0.0.1:9000/ears")
        #expect(StreamCommand.ownAddress(try settings(yaml: "").settings) == "http://127.0.0.1:8000/recordings_stream")
    }
}
