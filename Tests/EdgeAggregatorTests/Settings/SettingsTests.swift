import AudioDSP
import EdgeTesting
import Foundation
import Testing

@testable import EdgeAggregator

@Suite struct SettingsTests {
    private func settings(
        yaml: String = "", dotenv: String = "", environment: [String: String] = [:]
    ) throws -> Settings {
        var loader = SettingsLoader()
        loader.load(yaml: yaml, path: "settings.yaml")
        loader.load(dotenv: dotenv, path: ".env")
        loader.loadEnvironment(environment)
        return try Settings(loader: loader, file: "settings.yaml")
    }

    private func problems(yaml: String, environment: [String: String] = [:]) -> [String] {
        do {
            _ = try settings(yaml: yaml, environment: environment)
            return []
        } catch let problems as SettingsProblems {
            return problems.problems.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    @Test func everyDefaultFitsItsOwnKind() {
        for setting in SettingsCatalogue.all {
            #expect(setting.value(fromText: setting.fallback) != nil, "\(setting.name)")
        }
    }

    @Test func theLaterWins() throws {
        let yaml = "max_listeners: 5\nmin_confidence: 0.5\nsensitivity: 1.25\n"
        let dotenv = "export MIN_CONFIDENCE='0.6'  # why not\nSENSITIVITY=0.75\n"
        let all = try settings(yaml: yaml, dotenv: dotenv, environment: ["SENSITIVITY": "1.5", "MAX_LISTENERS": ""])
        #expect(all.reception.mostListeners == 5)
        #expect(all.analysis.minimumConfidence == 0.6)
        #expect(all.analysis.sensitivity == 1.5)
        #expect(all.effective["max_listeners"]?.source == "settings.yaml:1")
        #expect(all.effective["min_confidence"]?.source == ".env:1")
        #expect(all.effective["sensitivity"]?.source == "environment")
        #expect(all.effective["overlap_sec"]?.source == "default")
    }

    /// As editors write it, on Windows and elsewhere.
    @Test(arguments: ["\n", "\r\n", "\r"], ["", "\u{FEFF}"])
    func readsEnvFilesWithAnyLineEnd(lineEnd: String, mark: String) throws {
        let lines = [
            "# secrets", "API_TOKEN=first-secret", "export LISTENER_TOKENS=\"a=one,b=two\"", "",
            "MIN_CONFIDENCE='0.6'  # why not",
            "SENSITIVITY = 0.75",
        ]
        let all = try settings(dotenv: mark + lines.joined(separator: lineEnd) + lineEnd)
        #expect(all.box.apiToken == "first-secret")
        #expect(all.reception.tokens.count == 2)
        #expect(all.analysis.minimumConfidence == 0.6)
        #expect(all.analysis.sensitivity == 0.75)
        #expect(all.effective["sensitivity"]?.source == ".env:6")
    }

    @Test(arguments: ["\n", "\r\n"], ["", "\u{FEFF}"])
    func readsSettingsFilesWithAnyLineEnd(lineEnd: String, mark: String) throws {
        let folder = "\(NSTemporaryDirectory())/settings-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let lines = ["# a box", "max_listeners: 5", "listen:", "  - 127.0.0.1:8001", "api_token: \"secret\""]
        let path = "\(folder)/settings.yaml"
        try Data((mark + lines.joined(separator: lineEnd) + lineEnd).utf8).write(to: URL(fileURLWithPath: path))
        let all = try Settings(path: path, environment: [:])
        #expect(all.reception.mostListeners == 5)
        #expect(all.box.apiToken == "secret")
        #expect(all.effective["max_listeners"]?.source == "\(path):2")
    }

    @Test func tellsAllThatIsWrongAtOnceWithLineAndNearestName() {
        let found = problems(
            yaml:
                "max_listners: 3\naggregator_uuid: pi\nmin_confidence: much\nlatitude: 91\nlisten: [nowhere]\nzzz: 1\n")
        #expect(
            found.contains {
                $0.hasPrefix("settings.yaml:1: max_listners is not a setting; the nearest is max_listeners")
            })
        #expect(
            found.contains {
                $0.hasPrefix("settings.yaml:3: min_confidence: `much` stands here; allowed is a number, 0.01 to 0.99")
            })
        #expect(found.contains { $0.hasPrefix("settings.yaml:4: latitude: `91`") })
        #expect(found.contains { $0.contains("listen: `nowhere` is not host:port") })
        #expect(found.contains { $0.hasPrefix("settings.yaml:6: zzz is not a setting") })
    }

    @Test func refusesTheSameKeyTwiceAndWhatIsNoYAML() {
        #expect(!problems(yaml: "max_listeners: 1\nmax_listeners: 2\n").isEmpty)
        #expect(!problems(yaml: "a: [1\n").isEmpty)
        #expect(!problems(yaml: "- 1\n- 2\n").isEmpty)
    }

    @Test func takesEveryFormOfABoolean() throws {
        for (text, value) in [
            ("true", true), ("1", true), ("Yes", true), ("on", true), ("false", false), ("0", false), ("NO", false),
            ("off", false),
        ] {
            #expect(try settings(environment: ["ANALYZE_RECORDINGS": text]).analysis.isOn == value)
        }
        #expect(problems(yaml: "", environment: ["ANALYZE_RECORDINGS": "perhaps"]).count == 1)
    }

    @Test func knowsWhatBelongsTogether() throws {
        #expect(problems(yaml: "latitude: 1\n") == ["settings.yaml:1: latitude: longitude is needed too"])
        #expect(try settings(yaml: "latitude: 0\nlongitude: 0\n").analysis.place?.latitude == 0)
        #expect(try settings().analysis.place == nil)
        #expect(try settings(yaml: "delete_recordings: true\n").recordings.keep == .none)
        #expect(try settings(yaml: "delete_recordings: true\nkeep_recordings: all\n").recordings.keep == .all)
        #expect(problems(yaml: "min_recording_duration_sec: 20\n").count == 1)
        #expect(problems(yaml: "week: 49\n").count == 1)
        #expect(try settings(yaml: "week: -1\n").analysis.week == .fixed(-1))
        #expect(try settings(yaml: "channel: 2\n").analysis.channel == .index(1))
    }

    @Test func readsListsAndMaps() throws {
        let yaml =
            "listener_tokens: {a: x, '*': y}\nspecies_exclude: ['Dog', 'Siren']\nlisten: ['0.0.0.0:80', '[::1]:8000']\n"
        let all = try settings(yaml: yaml)
        #expect(all.reception.tokens == ["a": "x", "*": "y"])
        #expect(all.analysis.exclude == ["Dog", "Siren"])
        #expect(all.box.addresses.map(\.host) == ["0.0.0.0", "::1"])
        #expect(
            try settings(environment: ["LISTENER_TOKENS": "a=x, b=y=z"]).reception.tokens == ["a": "x", "b": "y=z"])
        #expect(problems(yaml: "listener_allow: ['../x']\n").count == 1)
    }

    @Test func acceptsEverythingThatTheFormerSystemsFilesHave() throws {
        // The names that its documents list, with values of their kinds.
        let names = """
            AGGREGATOR_UUID ANALYZER_WORKERS ANALYZER_CPU_AFFINITY EVERYTHING_BUT_ANALYZER_CPU_AFFINITY METRICS_INTERVAL_SEC
            GENERATE_MOCK_AUDIO ANALYZE_RECORDINGS UPLOAD_RAW_TO_CLOUD DELETE_RECORDINGS MAX_RECORDING_BYTES
            MAX_RECORDING_DURATION_SEC MIN_RECORDING_DURATION_SEC AUDIO_NUM_CHANNELS AUDIO_SAMPLE_RATE
            AUDIO_BITS_PER_SAMPLE KVM_IP INFLUX_URL INFLUX_TOKEN INFLUX_ORG INFLUX_RECORDINGS_BUCKET INFLUX_ANALYSIS_TABLE
            INFLUX_UPLOADS_TABLE PROM_SCRAPE_INTERVAL PROM_USER PROM_PASS RECORDINGS_UPLOAD_ENDPOINT
            RECORDINGS_STREAM_ENDPOINT RCLONE_CONFIG_S3_TYPE RCLONE_CONFIG_S3_PROVIDER RCLONE_CONFIG_S3_ENDPOINT
            RCLONE_CONFIG_S3_ACCESS_KEY_ID RCLONE_CONFIG_S3_SECRET_ACCESS_KEY RCLONE_REMOTE_BUCKET BASE_DIR RECORDINGS_DIR
            LOGS_DIR RECORDINGS_TEMP_DIR
            """
        for name in names.split(whereSeparator: \.isWhitespace) {
            #expect(SettingsCatalogue.byName[name.lowercased()] != nil, "\(name)")
        }
        #expect(try settings(environment: ["RECORDINGS_TMP_DIR": "/x"]).recordings.spoolFolder == "/x")
    }

    @Test func theShippedFilesAndThePageAreRight() throws {
        let root = TestFolders.root
        let yaml = try String(contentsOfFile: "\(root)/settings.yaml", encoding: .utf8)
        _ = try settings(yaml: yaml)
        // Every line that is commented out would be right too, and says the default.
        let lines = yaml.split(separator: "\n").filter {
            $0.hasPrefix("# ")
                && $0.dropFirst(2).prefix { $0 != ":" }.allSatisfy { $0.isLowercase || $0 == "_" || $0.isNumber }
                && $0.contains(":")
        }
        #expect(lines.count > 20)
        let uncommented = try settings(yaml: lines.map { String($0.dropFirst(2)) }.joined(separator: "\n"))
        for setting in SettingsCatalogue.all {
            #expect(
                uncommented.effective[setting.name]?.value == setting.value(fromText: setting.fallback),
                "\(setting.name)")
        }
        let example = try String(contentsOfFile: "\(root)/.env.example", encoding: .utf8)
        let listed = example.split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
            $0.prefix { $0 != "=" }.lowercased()
        }
        #expect(Set(listed) == Set(SettingsCatalogue.all.map(\.name)))
        #expect(try String(contentsOfFile: "\(root)/docs/settings.md", encoding: .utf8) == SettingsReference.page)
    }
}
