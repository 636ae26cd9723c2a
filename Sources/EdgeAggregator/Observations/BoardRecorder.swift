import Logging
import Sensors
import ServiceLifecycle
import Store

/// Writes down, at intervals, what the board says of itself.
struct BoardRecorder: Service {
    let store: Store
    let time: any TimeSource
    let diskPath: String
    let runs: RunCounts
    let interval: Duration

    func run() async throws {
        var board = BoardHealth(diskPath: diskPath)
        // The first reading only starts the counters.
        _ = board.read()
        let own = [
            Quantity("starts", Double(runs.starts)), Quantity("crashes", Double(runs.crashes)),
            Quantity("power_cuts", Double(runs.powerCuts)),
        ]
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: interval) }
            if Task.isShuttingDownGracefully || Task.isCancelled { return }
            store.enqueue([
                .observations(
                    ObservationRecord.all(board.read() + own, source: ObservationRecord.board, at: time.now()))
            ])
        }
    }
}

extension TimeStamp {
    /// What is kept with a stamp of a clock that was not set, so that it can be corrected; nil when it was.
    var unset: UnsetClock? {
        isSynchronised ? nil : UnsetClock(bootID: bootID, offsetNanoseconds: utcOffsetNanoseconds)
    }
}

extension ObservationRecord {
    /// The records of one reading.
    static func all(_ quantities: [Quantity], source: String, at now: TimeStamp) -> [ObservationRecord] {
        quantities.map { quantity in
            ObservationRecord(
                source: source, quantity: quantity.name, unit: quantity.unit,
                timeNanoseconds: now.utcNanoseconds - quantity.agoNanoseconds, value: quantity.value, raw: quantity.raw,
                timeQuality: now.isSynchronised ? "live" : "unsynchronised", bootID: now.bootID,
                monotonicNanoseconds: now.monotonicNanoseconds - quantity.agoNanoseconds)
        }
    }
}
