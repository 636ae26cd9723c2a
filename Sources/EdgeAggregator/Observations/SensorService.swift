import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store
import Synchronization

/// Asks the sensors at their intervals and writes down what they say. One that is absent, slow or wrong disturbs no other.
final class SensorService: Service {
    /// How a sensor is, for people and metrics.
    struct Reading: Sendable {
        let name: String
        let kind: String
        let place: String
        var state = SensorWatch.State.warming
        var reason: String?
        /// In a row.
        var failures = 0
        var failuresTotal: Int64 = 0
        var readingsTotal: Int64 = 0
        /// UTC.
        var lastNanoseconds: Int64?
        var quantities: [Quantity] = []
    }

    private let sensors: [(settings: SensorSettings, runner: SensorRunner)]
    private let store: Store
    private let time: any TimeSource
    private let logger: Logger
    private let state: Mutex<[String: Reading]>

    init(_ all: [SensorSettings], store: Store, time: any TimeSource, logger: Logger) throws {
        var queues: [String: DispatchQueue] = [:]
        var sensors: [(SensorSettings, SensorRunner)] = []
        for settings in all {
            let path = settings.place.path
            let queue = queues[path] ?? DispatchQueue(label: "sensors \(path)")
            queues[path] = queue
            sensors.append((settings, try SensorRunner(settings, queue: queue)))
        }
        self.sensors = sensors
        self.store = store
        self.time = time
        self.logger = logger
        state = Mutex(
            Dictionary(
                uniqueKeysWithValues: all.map {
                    ($0.name, Reading(name: $0.name, kind: $0.entry.kind, place: $0.place.text))
                }))
    }

    /// By name.
    var readings: [Reading] { state.withLock { $0.values.sorted { $0.name < $1.name } } }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                for sensor in sensors { group.addTask { await self.watch(sensor.settings, sensor.runner) } }
            }
        }
    }

    private func watch(_ settings: SensorSettings, _ runner: SensorRunner) async {
        var watch = SensorWatch(
            entry: settings.entry, intervalNanoseconds: Int64(settings.intervalSeconds * 1e9),
            corrections: settings.corrections)
        while !Task.isCancelled {
            let result = await runner.read(begins: watch.needsBegin)
            let now = time.now()
            let was = watch.state
            let quantities = watch.take(result, now: now.monotonicNanoseconds)
            note(settings, watch, quantities, now)
            if was != watch.state { tell(settings, watch) }
            if !quantities.isEmpty {
                store.enqueue([
                    .observations(ObservationRecord.all(quantities, source: settings.name, at: now))
                ])
            }
            let pause = watch.pauseNanoseconds(after: result, spread: Double.random(in: 0...1))
            try? await Task.sleep(for: .nanoseconds(pause))
        }
    }

    private func note(
        _ settings: SensorSettings, _ watch: SensorWatch, _ quantities: [Quantity], _ now: TimeStamp
    ) {
        state.withLock { state in
            guard var reading = state[settings.name] else { return }
            reading.state = watch.state
            reading.reason = watch.reason
            reading.failures = watch.failures
            reading.failuresTotal = watch.failuresTotal
            if !quantities.isEmpty {
                reading.quantities = quantities
                reading.lastNanoseconds = now.utcNanoseconds
                reading.readingsTotal += 1
            }
            state[settings.name] = reading
        }
    }

    private func tell(_ settings: SensorSettings, _ watch: SensorWatch) {
        var metadata: Logger.Metadata = [
            "sensor": "\(settings.name)", "kind": "\(settings.entry.kind)", "place": "\(settings.place.text)",
        ]
        switch watch.state {
        case .ok, .warming: logger.notice("A sensor is well", metadata: metadata)
        case .stale, .absent, .faulty:
            metadata["reason"] = "\(watch.reason ?? "")"
            logger.warning("A sensor is not well; it is asked again", metadata: metadata)
        }
    }
}
