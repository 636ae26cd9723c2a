import Foundation
import Testing

@testable import EdgeAggregator
@testable import Uplink

/// Whatever the reference page says is allowed starts the daemon, unless the page itself says what else it depends on.
@Suite struct DocumentedValuesTests {
    private func problems(_ yaml: String) -> [String] {
        var loader = SettingsLoader()
        loader.load(yaml: yaml, path: "settings.yaml")
        do {
            _ = try Settings(loader: loader, file: "settings.yaml")
            return []
        } catch let problems as SettingsProblems {
            return problems.problems.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    /// What the page says of them: one needs the other; less than the longest recording.
    private let dependent = [
        "latitude": "longitude: 0\n", "longitude": "latitude: 0\n",
        "min_recording_duration_sec": "max_recording_duration_sec: 3600\n",
    ]

    @Test func theBoundsOfEachSettingAloneAreTaken() {
        var values = 0
        for setting in SettingsCatalogue.all {
            let bounds: [String] =
                switch setting.kind {
                case .int(let range): ["\(range.lowerBound)", "\(range.upperBound)"]
                case .number(let range), .optionalNumber(let range): ["\(range.lowerBound)", "\(range.upperBound)"]
                case .choice(let words): words
                case .bool: ["true", "false"]
                case .text, .list, .map: []
                }
            for bound in bounds {
                // Its upper bound is the longest recording's, which it must be less than.
                if setting.name == "min_recording_duration_sec", bound == "3600.0" { continue }
                values += 1
                let yaml = "\(setting.name): \(bound)\n\(dependent[setting.name] ?? "")"
                #expect(problems(yaml).isEmpty, "\(yaml): \(problems(yaml))")
            }
        }
        #expect(values > 200)
    }

    @Test func aDefaultGivesWayToWhatIsSet() throws {
        func settings(_ yaml: String) throws -> Settings {
            var loader = SettingsLoader()
            loader.load(yaml: yaml, path: "settings.yaml")
            return try Settings(loader: loader, file: "settings.yaml")
        }
        #expect(try settings("min_free_disk_bytes: 0\n").forecasts.leastFreeBytes == 0)
        #expect(try settings("min_free_disk_bytes: 5\n").forecasts.leastFreeBytes == 10)
        let short = try settings("max_recording_duration_sec: 2\n").recordings
        #expect(short.minimumSeconds == 1 && short.maximumSeconds == 2)
        #expect(try settings("delivery_retry_first_sec: 3600\n").deliveries.retry.mostSeconds == 3600)
        #expect(try settings("delivery_retry_max_sec: 1\n").deliveries.retry.firstSeconds == 1)
        #expect(try settings("historical_days: 30\n").forecasts.mostAgeDays == 30)
        #expect(try settings("max_data_age_days: 2.5\n").forecasts.historyDays == 2)
        let cool = try settings("analysis_slowest_celsius: 60\n").appliance.boardLimits
        #expect(cool.warm < cool.hot && cool.hot == 60)
        let warm = try settings("analysis_slow_celsius: 90\n").appliance.boardLimits
        #expect(warm.warm == 90 && warm.hot == 97)
    }

    @Test func twoThatAreSetAndContradictAreRefused() {
        let on = "forecasts: enabled\n"
        #expect(problems(on + "min_free_disk_bytes: 10\nforecasts_min_free_bytes: 10\n").count == 1)
        #expect(problems("min_recording_duration_sec: 5\nmax_recording_duration_sec: 5\n").count == 1)
        #expect(problems("mqtt_host: a\ndelivery_retry_first_sec: 10\ndelivery_retry_max_sec: 9\n").count == 1)
        #expect(problems(on + "historical_days: 10\nmax_data_age_days: 9\n").count == 1)
        #expect(problems("analysis_slow_celsius: 80\nanalysis_slowest_celsius: 80\n").count == 1)
    }
}
