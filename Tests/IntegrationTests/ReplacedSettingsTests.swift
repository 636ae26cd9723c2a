import EdgeTesting
import Foundation
import Testing

/// Environments of the replaced systems, as their documents have them, given to the program.
@Suite(.serialized) struct ReplacedSettingsTests {
    private func run(_ arguments: [String], _ environment: [String: String]) throws -> (status: Int32, errors: String) {
        let folder = try TestFolders.temporary("edge-replaced")
        defer { TestFolders.remove(folder) }
        let process = Process()
        let errors = Pipe()
        process.executableURL = URL(fileURLWithPath: TestFolders.program)
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin", "BASE_DIR": folder].merging(environment) { $1 }
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = errors
        try process.run()
        let said = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: said, as: UTF8.self))
    }

    private let dockerRun = [
        "DATABASE_URL": "postgresql://user:pass-word@127.0.0.1:9/driftline", "S3_ENDPOINT": "http://127.0.0.1:9",
        "COPERNICUS_USERNAME": "your_username", "COPERNICUS_PASSWORD": "your_password",
    ]

    @Test(arguments: ["run", "settings"]) func theDockerRunLineIsToldWhatIsMissing(command: String) throws {
        let outcome = try run(command == "run" ? ["run"] : ["settings", "check"], dockerRun)
        #expect(outcome.status == 78)
        for text in [
            "s3_bucket, s3_access_key and s3_secret_key are missing", "environmental-data", "minioadmin",
            "not taken over",
            "warning: environment: copernicus_username and copernicus_password are configured and not used",
            "FORECASTS=enabled",
        ] {
            #expect(outcome.errors.contains(text), "\(text): \(outcome.errors)")
        }
        #expect(!outcome.errors.contains("pass-word") && !outcome.errors.contains("your_password"))
    }

    @Test func theStartSaysThatForecastsAreNotCollected() throws {
        let daemon = try DaemonProcess(
            settings: dockerRun.merging([
                "S3_BUCKET": "environmental-data", "S3_ACCESS_KEY": "key12345", "S3_SECRET_KEY": "secret12345",
                "REDIS_URL": "redis://redis:6379/1", "HISTORICAL_DAYS": "7", "MAX_DATA_AGE_DAYS": "3",
                // As `docker run --env-file` hands over a quoted line, with a name of Python's.
                "LOG_LEVEL": "\"WARN\"", "AGGREGATOR_UIID": "box",
            ]) { $1 })
        let log = "\(daemon.folder)/log"
        try daemon.start(logPath: log)
        #expect(try daemon.get("/healthz").status == 200)
        #expect(daemon.stop() == 0)
        let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
        func said(_ text: String) -> Bool { lines.contains { $0.contains(" warning ") && $0.contains(text) } }
        #expect(
            said("copernicus_password are configured and not used")
                || said("max_data_age_days, copernicus_username and"))
        #expect(said("the daemon collects no forecast fields"))
        #expect(
            said("historical_days: it is too much for max_data_age_days (3)")
                && said("not used now: forecasts: disabled"))
        #expect(said("redis_url has no effect here"))
        #expect(said("AGGREGATOR_UIID is not a setting; the nearest is AGGREGATOR_UUID"))
        #expect(!lines.joined().contains("your_password") && !lines.joined().contains("pass-word"))
        // The level is the one that was meant: nothing below it is logged.
        #expect(!lines.contains { $0.contains(" notice ") || $0.contains(" info ") })
    }

    /// What is done by hand does not use what would not start.
    @Test(arguments: [
        (["forecasts", "cleanup"], ["HISTORICAL_DAYS": "7", "MAX_DATA_AGE_DAYS": "3"], "historical_days"),
        (["analyze", "x.wav"], ["ANALYZE_RECORDINGS": "false", "WEEK": "49"], "week: `49`"),
    ])
    func commandsRejectWhatIsWrongWithTheirPart(
        arguments: [String], environment: [String: String], text: String
    ) throws {
        let outcome = try run(arguments, environment)
        #expect(outcome.status == 78 && outcome.errors.contains(text), "\(outcome)")
    }

    /// The ISEMS collector's default address is named for whoever relied on it.
    @Test func pollingNamesTheFormerDefault() throws {
        let outcome = try run(["poll", "isems", "--once"], ["DATABASE_URL": "sqlite:////tmp/test.db"])
        #expect(outcome.status == 78 && outcome.errors.contains("10.36.158.33"), "\(outcome)")
    }
}
