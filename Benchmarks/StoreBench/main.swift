import Foundation
import Store

// Observations a second, each on the disk before its writer goes on: many sensors, each waiting for its own reading.
//
//   store-bench FOLDER WRITERS READINGS
//
// A reading has three values. Prints a line of JSON.

let arguments = CommandLine.arguments
guard arguments.count == 4, let writers = Int(arguments[2]), let readings = Int(arguments[3]) else { exit(64) }
var options = Store.Options()
options.commitIntervalMilliseconds = 0
let store = try Store(path: "\(arguments[1])/bench.db", options: options)
let clock = ContinuousClock()
let elapsed = try await clock.measure {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in 0..<writers {
            group.addTask {
                for reading in 0..<readings {
                    let time = Int64(reading) * 1_000_000_000
                    let records = ["co2", "temperature", "humidity"].map { quantity in
                        ObservationRecord(
                            source: "sensor\(writer)", quantity: quantity, unit: "", timeNanoseconds: time,
                            value: Double(reading), timeQuality: "live", bootID: "boot", monotonicNanoseconds: time)
                    }
                    try await store.commit([.observations(records)])
                }
            }
        }
        try await group.waitForAll()
    }
}
let rows = writers * readings * 3
let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
let commits = store.statistics.commits
store.close()
print("{\"rows\":\(rows),\"seconds\":\(seconds),\"commits\":\(commits)}")
