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
        var identity: String?
        var edges: Int64?
        var missedEdges: Int64?
    }

    private let sensors: [(settings: SensorSettings, asked: any AskedSensor)]
    private let outputs: OutputService
    private let resetter = BusResetter()
    private let store: Store
    private let time: any TimeSource
    private let logger: Logger
    private let state: Mutex<[String: Reading]>

    init(
        _ all: [SensorSettings], outputs: OutputService, store: Store, time: any TimeSource, logger: Logger
    ) throws {
        var maker = SensorMaker()
        sensors = try all.map { ($0, try maker.make($0)) }
        self.outputs = outputs
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
                for sensor in sensors { group.addTask { await self.watch(sensor.settings, sensor.asked) } }
            }
        }
    }

    /// Nil when there is no sensor of that name.
    func recalibrate(_ name: String, co2PPM: Int) async -> Result<Void, SensorError>? {
        guard let sensor = sensors.first(where: { $0.settings.name == name }) else { return nil }
        let result = await sensor.asked.recalibrate(co2PPM: co2PPM)
        if case .success = result {
            logger.notice("A sensor was recalibrated", metadata: ["sensor": "\(name)", "co2_ppm": "\(co2PPM)"])
        }
        return result
    }

    private func watch(_ settings: SensorSettings, _ asked: any AskedSensor) async {
        var watch = SensorWatch(
            ranges: settings.entry.ranges, warmUpSeconds: settings.entry.warmUpSeconds,
            intervalNanoseconds: Int64(settings.intervalSeconds * 1e9), corrections: settings.corrections)
        while !Task.isCancelled {
            let result = await asked.read(begins: watch.needsBegin)
            let now = time.now()
            let was = watch.state
            let quantities = watch.take(result, now: now.monotonicNanoseconds)
            note(settings, watch, quantities, now, asked)
            if was != watch.state { tell(settings, watch) }
            if !quantities.isEmpty {
                store.enqueue([
                    .observations(ObservationRecord.all(quantities, source: settings.name, at: now))
                ])
            }
            if case .failure(let error) = result, watch.wantsReset { await reset(settings, after: error) }
            let pause = watch.pauseNanoseconds(after: result, spread: Double.random(in: 0...1))
            await asked.pause(.nanoseconds(pause))
        }
        // What a line has counted since its last reading.
        if asked.edges != nil, case .success(let quantities) = await asked.read(begins: false) {
            store.enqueue([.observations(ObservationRecord.all(quantities, source: settings.name, at: time.now()))])
        }
    }

    /// Takes a sensor's power away for a moment, or sets up its bus anew when nothing on it answers.
    private func reset(_ settings: SensorSettings, after error: SensorError) async {
        if let power = settings.powerOutput {
            do throws(OutputService.Refusal) {
                try await outputs.cycle(power)
            } catch {
                logger.warning(
                    "A sensor's power could not be cycled",
                    metadata: ["sensor": "\(settings.name)", "output": "\(power)", "error": "\(error)"])
            }
            return
        }
        guard case .i2c(let adapter, _) = settings.place, case .bus(let cause) = error, cause != .absent else { return }
        let isAlone = state.withLock { state in
            sensors.allSatisfy { $0.settings.place.bus != settings.place.bus || state[$0.settings.name]?.state != .ok }
        }
        guard isAlone else { return }
        switch await resetter.reset(adapter) {
        case nil: return
        case .success: logger.notice("A bus was reset", metadata: ["bus": "\(adapter.text)"])
        case .failure(let error):
            logger.warning("A bus could not be reset", metadata: ["bus": "\(adapter.text)", "reason": "\(error)"])
        }
    }

    /// How many times a bus was reset.
    var busResets: [String: Int64] { resetter.counts }

    private func note(
        _ settings: SensorSettings, _ watch: SensorWatch, _ quantities: [Quantity], _ now: TimeStamp,
        _ asked: any AskedSensor
    ) {
        let (edges, identity) = (asked.edges, asked.identity)
        state.withLock { state in
            guard var reading = state[settings.name] else { return }
            reading.state = watch.state
            reading.reason = watch.reason
            reading.failures = watch.failures
            reading.failuresTotal = watch.failuresTotal
            reading.identity = identity ?? reading.identity
            reading.edges = edges?.count
            reading.missedEdges = edges?.missed
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
        case .ok: logger.notice("A sensor is well", metadata: metadata)
        case .warming:
            metadata["reason"] = watch.reason.map { "\($0)" }
            logger.notice("A sensor warms up; its values do not count yet", metadata: metadata)
        case .stale, .absent, .faulty:
            metadata["reason"] = "\(watch.reason ?? "")"
            logger.warning("A sensor is not well; it is asked again", metadata: metadata)
        }
    }
}
