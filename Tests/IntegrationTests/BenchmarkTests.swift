import EdgeTesting
import Foundation
import Testing

/// `edge-aggregator benchmark`, as the owner of a Pi runs it. How fast anything is, is not asked.
@Suite struct BenchmarkCommandTests {
    private struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    private func process(_ arguments: [String], _ folder: String, _ environment: [String: String]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: TestFolders.program)
        process.arguments = ["benchmark"] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        let own = [
            "BASE_DIR": folder, "CONFIG_PATH": "", "LATITUDE": "", "LONGITUDE": "", "MIN_FREE_DISK_BYTES": "1000000",
        ]
        process.environment = ProcessInfo.processInfo.environment.merging(own) { $1 }.merging(environment) { $1 }
        return process
    }

    private func run(
        _ arguments: [String], in folder: String, _ environment: [String: String] = [:]
    ) throws -> Outcome {
        let process = process(arguments, folder, environment)
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let said = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
            errors: String(decoding: said, as: UTF8.self))
    }

    private func report(_ path: String) throws -> [String: Any] {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        return try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
    }

    private func checkTimes(_ time: [String: Any]?) throws {
        let time = try #require(time)
        let (samples, p50) = (time["samples"] as? Int ?? 0, time["p50_milliseconds"] as? Double ?? -1)
        let (p99, maximum) = (time["p99_milliseconds"] as? Double ?? -1, time["maximum_milliseconds"] as? Double ?? -1)
        #expect((1...1000).contains(samples), "\(time)")
        #expect(p50 > 0 && p50 <= p99 && p99 <= maximum, "\(time)")
    }

    @Test func everyPartIsInTheFileAndNoneOfItsFilesStays() throws {
        let folder = try TestFolders.temporary("edge-benchmark")
        defer { TestFolders.remove(folder) }
        let file = "\(folder)/result.json"
        let done = try run(
            ["--seconds", "0.1", "--output", file, "--note", "a card"], in: folder,
            [
                "MODELS_DIR": try TestFolders.programModels(), "OVERLAP_SEC": "1", "API_TOKEN": "a-token-of-the-api",
                "AGGREGATOR_UUID": "box-of-the-north", "LATITUDE": "47.123456", "LONGITUDE": "8.654321",
            ])
        #expect(done.status == 0, "\(done.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["result.json"])
        let report = try report(file)
        #expect(
            Set(report.keys) == [
                "after", "analysis", "before", "beside_daemon", "date", "disk", "format", "machine", "note", "program",
                "reception", "seconds_per_measurement",
            ])
        #expect(report["format"] as? Int == 1 && report["note"] as? String == "a card")
        #expect(report["beside_daemon"] as? Bool == false && report["seconds_per_measurement"] as? Double == 0.1)
        #expect((report["date"] as? String)?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
        let program = try #require(report["program"] as? [String: Any])
        #expect(["debug", "release"].contains(program["build"] as? String ?? ""))
        #expect(program["version"] is String)

        let machine = try #require(report["machine"] as? [String: Any])
        #expect(
            Set(machine.keys) == [
                "architecture", "board", "cores", "frequency_governor", "kernel", "maximum_frequency_hertz",
                "memory_bytes", "operating_system", "page_bytes", "processor",
            ])
        #expect([4096, 16_384, 65_536].contains(machine["page_bytes"] as? Int ?? 0))
        let cores = machine["cores"] as? Int ?? 0
        #expect(cores >= 1 && machine["memory_bytes"] as? Int ?? 0 > 100_000_000)
        #expect((machine["kernel"] as? String)?.isEmpty == false && machine["processor"] is String)
        for moment in ["before", "after"] {
            let state = try #require(report[moment] as? [String: Any])
            #expect(
                Set(state.keys) == [
                    "fan_turns_per_minute", "frequency_hertz", "load", "memory_available_bytes", "temperature_celsius",
                    "throttled", "throttled_since_start", "under_voltage", "under_voltage_since_start",
                ])
            #expect(state["load"] is Double && state["memory_available_bytes"] as? Double ?? 0 > 1e6)
        }

        let analysis = try #require(report["analysis"] as? [String: Any])
        #expect(analysis["step_seconds"] as? Double == 2 && analysis["overlap_seconds"] as? Double == 1)
        #expect(analysis["windows_per_second_per_listener"] as? Double == 0.5)
        #expect(analysis["model"] as? String == "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")
        #expect(analysis["formula"] is String && analysis["library_version"] is String)
        let entries = try #require(analysis["by_workers"] as? [[String: Any]])
        #expect(entries.compactMap { $0["workers"] as? Int }.prefix(8) == Array(1...min(cores, 8))[...])
        for entry in entries {
            let rate = entry["windows_per_second"] as? Double ?? 0
            #expect(rate > 0 && entry["windows"] as? Int ?? 0 >= entry["workers"] as? Int ?? 1)
            #expect(entry["listeners"] as? Int == Int(rate * 2) && entry["board"] is [String: Any])
        }

        let disk = try #require(report["disk"] as? [String: Any])
        let facts = try #require(disk["disk"] as? [String: Any])
        #expect(Set(facts.keys) == ["device", "file_system", "model"])
        let writes = try #require(disk["writes"] as? [[String: Any]])
        #expect(writes.compactMap { $0["bytes"] as? Int } == [4096, 96_000, 1_048_576])
        for write in writes { try checkTimes(write["time"] as? [String: Any]) }
        try checkTimes(disk["commit"] as? [String: Any])

        let reception = try #require(report["reception"] as? [String: Any])
        #expect(reception["frame_bytes"] as? Int == 32_768)
        let measurements = try #require(reception["measurements"] as? [[String: Any]])
        #expect(measurements.compactMap { $0["sample_rate"] as? Int } == [48_000, 48_000, 32_000])
        #expect(measurements.compactMap { $0["with_windows"] as? Bool } == [false, true, true])
        for measurement in measurements {
            let rate = measurement["megabytes_per_second"] as? Double ?? 0
            let hertz = measurement["sample_rate"] as? Double ?? 1
            #expect(rate > 0 && measurement["bytes"] as? Int ?? 0 >= 58 * 32_768)
            let listeners = measurement["listeners_per_thread"] as? Double ?? -1
            #expect(abs(listeners - (rate * 1e6 / (hertz * 2)).rounded(.down)) <= 1)
        }

        let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: file)), as: UTF8.self)
        for hidden in ["a-token-of-the-api", "box-of-the-north", "47.123", "8.654", folder] {
            #expect(!text.contains(hidden))
        }
        for part in ["Board", "Analysis", "Disk", "Reception", "windows/s", "p99 ms", "MB/s"] {
            #expect(done.output.contains(part))
        }
    }

    @Test func aPartThatIsLeftOutIsNullAndTheFilesNameIsOfTheBoard() throws {
        let folder = try TestFolders.temporary("edge-benchmark")
        defer { TestFolders.remove(folder) }
        let done = try run(
            ["--seconds", "0.05", "--skip", "analysis", "--skip", "disk"], in: folder,
            ["MODELS_DIR": "\(folder)/nothing"])
        #expect(done.status == 0, "\(done.errors)")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        let name = try #require(names.first)
        #expect(names.count == 1 && name.hasPrefix("edge-benchmark-") && name.hasSuffix("Z.json"))
        let report = try report("\(folder)/\(name)")
        #expect(report["analysis"] is NSNull && report["disk"] is NSNull && report["reception"] is [String: Any])
        let all = ["--skip", "analysis", "--skip", "disk", "--skip", "reception"]
        #expect(try run(all, in: folder).status == 64)
    }

    @Test func whatIsMissingIsSaidBeforeAnythingIsMeasured() throws {
        let folder = try TestFolders.temporary("edge-benchmark")
        defer { TestFolders.remove(folder) }
        let model = try run(["--seconds", "0.05"], in: folder, ["MODELS_DIR": "\(folder)/nothing"])
        #expect(model.status == 69 && model.output.isEmpty, "\(model)")
        #expect(model.errors.contains("make setup") && model.errors.contains("--skip analysis"))
        let base = try run(["--skip", "analysis"], in: folder, ["BASE_DIR": "\(folder)/nothing"])
        #expect(base.status == 74 && base.errors.contains("does not exist"), "\(base)")
        let room = try run(["--skip", "analysis"], in: folder, ["MIN_FREE_DISK_BYTES": "1000000000000000"])
        #expect(room.status == 74 && room.errors.contains("min_free_disk_bytes"), "\(room)")
        let target = try run(["--output", "\(folder)/none/file.json"], in: folder)
        #expect(target.status == 74 && target.errors.contains("--output"), "\(target)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }

    @Test func aDaemonInTheSameFolderIsNotDisturbedUnasked() throws {
        let daemon = try DaemonProcess()
        try daemon.start()
        let arguments = ["--seconds", "0.05", "--skip", "analysis", "--output", "\(daemon.folder)/result.json"]
        let refused = try run(arguments, in: daemon.folder)
        #expect(refused.status == 74 && refused.errors.contains("--beside-daemon"), "\(refused)")
        let beside = try run(arguments + ["--beside-daemon"], in: daemon.folder)
        #expect(beside.status == 0, "\(beside.errors)")
        #expect(try report("\(daemon.folder)/result.json")["beside_daemon"] as? Bool == true)
        #expect(!FileManager.default.fileExists(atPath: "\(daemon.folder)/edge-benchmark.tmp"))
        #expect(try daemon.get("/healthz").status == 200)
        #expect(daemon.stop() == 0)
    }

    @Test(arguments: [SIGINT, SIGTERM]) func aSignalLeavesNothingBehind(signal: Int32) throws {
        let folder = try TestFolders.temporary("edge-benchmark")
        defer { TestFolders.remove(folder) }
        let process = process(["--seconds", "600", "--skip", "analysis"], folder, [:])
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        try waitFor("a file of the benchmark") {
            let names = try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/edge-benchmark.tmp")
            return names?.isEmpty == false
        }
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 128 + signal)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
}
