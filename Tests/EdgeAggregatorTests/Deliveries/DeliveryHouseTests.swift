import EdgeTesting
import Foundation
import Logging
import Sensors
import Store
import Testing
import Uplink

@testable import EdgeAggregator

/// What the outbox is filled with and what the sinks fetch from it must be the same: other rows would wait for ever.
@Suite struct DeliveryHouseTests {
    private static let sinks: [String: [String: String]] = [
        "influx": ["INFLUX_URL": "http://127.0.0.1:9"],
        "s3": [
            "S3_ENDPOINT": "http://127.0.0.1:9", "S3_BUCKET": "bucket", "S3_ACCESS_KEY": "key12345",
            "S3_SECRET_KEY": "secret12345",
        ],
        "prometheus": ["PROMETHEUS_URL": "http://127.0.0.1:9/write"],
        "mqtt": ["MQTT_HOST": "127.0.0.1"],
        "postgres": ["DATABASE_URL": "postgresql://a:b@127.0.0.1:9/c"],
    ]

    private func settings(_ environment: [String: String]) throws -> Settings {
        var loader = SettingsLoader()
        loader.loadEnvironment(environment.merging(["AGGREGATOR_UUID": "test"]) { $1 })
        return try Settings(loader: loader, file: nil)
    }

    @Test func everySinkFetchesWhatIsPlannedForIt() throws {
        let folder = try TestFolders.temporary("edge-plan")
        defer { TestFolders.remove(folder) }
        let store = try Store(path: "\(folder)/edge.db", options: Store.Options())
        defer { store.close() }
        let names = Self.sinks.keys.sorted()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        for choice in 0..<(1 << names.count) {
            let chosen = names.indices.filter { choice >> $0 & 1 == 1 }.map { names[$0] }
            for tables in [[:], ["INFLUX_ANALYSIS_TABLE": "", "INFLUX_UPLOADS_TABLE": ""]] {
                let environment = chosen.reduce(into: tables) { all, name in
                    all.merge(Self.sinks[name] ?? [:]) { $1 }
                }
                let settings = try settings(environment.merging(["BASE_DIR": folder]) { $1 })
                let plan = DeliveryHouse.plan(settings, isClockHeld: false)
                let house = try DeliveryHouse(
                    settings: settings, store: store, time: TimeService(), logger: logger, devices: { [] },
                    existing: { [] })
                defer { house.stop() }
                #expect(Set(plan.sinks.values.joined()) == Set(chosen))
                #expect(house.statuses.map(\.name).sorted() == chosen)
                for status in house.statuses {
                    let planned = Set(plan.sinks.filter { $0.value.contains(status.name) }.keys)
                    // News of uploads that wait from before is still sent where nothing is uploaded any more.
                    let leftovers: Set<DeliveryKind> = chosen.contains("s3") ? [] : [.upload]
                    let carried = Set(status.carriedKinds)
                    #expect(planned.isSubset(of: carried), "\(status.name) \(chosen)")
                    #expect(carried.subtracting(planned).isSubset(of: leftovers), "\(status.name) \(chosen)")
                }
            }
        }
    }

    /// With every sink configured, each kind goes somewhere.
    @Test func everyKindHasASink() throws {
        let all = Self.sinks.values.reduce(into: [:]) { $0.merge($1) { $1 } }
        let plan = DeliveryHouse.plan(try settings(all), isClockHeld: false)
        #expect(Set(plan.sinks.keys) == Set(DeliveryKind.allCases))
    }
}
