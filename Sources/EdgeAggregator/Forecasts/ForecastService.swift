import Forecasts
import Foundation
import Logging
import Sensors
import ServiceLifecycle
import Store

/// Collects and cleans up at their times, one thing at a time.
struct ForecastService: Service {
    let house: ForecastHouse
    /// For so long the clock is waited for.
    let clockWait: Duration

    /// A collection that failed is tried again before its next time, after longer and longer pauses.
    private static let firstRetrySeconds: Int64 = 600
    private static let mostRetrySeconds: Int64 = 2 * 3600
    /// The schedule is looked at so often: the clock may be set meanwhile.
    private static let tick: Duration = .seconds(20)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            do {
                try await work()
            } catch is CancellationError {
                return
            } catch {
                house.logger.error(
                    "Forecasts have ended; they begin again when the daemon is started again",
                    metadata: ["error": "\(error)"])
            }
        }
        // A service that ends takes the daemon with it.
        if !Task.isShuttingDownGracefully { try? await gracefulShutdown() }
    }

    private func work() async throws {
        try FileManager.default.createDirectory(atPath: house.settings.folder, withIntermediateDirectories: true)
        do { try await FieldCleanup(house: house).reconcile() } catch {
            house.logger.error("Forecast fields could not be looked through", metadata: ["error": "\(error)"])
        }
        guard house.settings.isOn, let collection = house.settings.collection, let cleanup = house.settings.cleanup
        else {
            for job in ForecastMetrics.Job.allCases { house.metrics.note(job, .off) }
            return
        }
        if house.settings.kinds.contains(.currents), !house.settings.copernicus.isSet {
            house.logger.warning(
                "No currents are collected: set COPERNICUS_USERNAME and COPERNICUS_PASSWORD, or take ocean-currents out of forecast_data_types"
            )
        }
        try await adoptRegion()
        try await waitForClock()
        var (nextCollection, failures) = (house.now(), Int64(0))
        var nextCleanup = try await firstCleanup(cleanup)
        while !Task.isCancelled {
            house.metrics.note(.collection, .waiting, next: nextCollection)
            house.metrics.note(.cleanup, .waiting, next: nextCleanup)
            if house.now() >= nextCleanup {
                await clean()
                nextCleanup = cleanup.next(after: house.now()) ?? .max
                try? await house.store.commit([.jobWasRun(name: "cleanup", dueSeconds: house.now())])
            }
            if house.now() >= nextCollection {
                failures = await collect() ? 0 : failures + 1
                let scheduled = collection.next(after: house.now()) ?? .max
                let pause = min(Self.mostRetrySeconds, Self.firstRetrySeconds << min(8, max(0, failures - 1)))
                nextCollection = failures == 0 ? scheduled : min(scheduled, house.now() + pause)
            }
            house.metrics.note(.collection, .waiting, next: nextCollection)
            house.metrics.note(.cleanup, .waiting, next: nextCleanup)
            try await Task.sleep(for: Self.tick)
        }
    }

    /// Nothing is collected before it is known of which region the fields are that are there.
    private func adoptRegion() async throws {
        while true {
            do {
                return try await FieldCleanup(house: house).adoptRegion()
            } catch  where !(error is CancellationError) {
                house.logger.error(
                    "The region of the forecasts cannot be noted; it is tried again", metadata: ["error": "\(error)"])
                try await Task.sleep(for: .seconds(60))
            }
        }
    }

    /// What is due depends on the time: it is waited for, but not for ever.
    private func waitForClock() async throws {
        let until = ContinuousClock.now + clockWait
        while !house.time.now().isSynchronised, .now < until {
            for job in ForecastMetrics.Job.allCases { house.metrics.note(job, .held) }
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// Now when a time was missed while the daemon did not run, else the next.
    private func firstCleanup(_ schedule: CronSchedule) async throws -> Int64 {
        let now = house.now()
        guard let last = try await house.store.scheduledJobs()["cleanup"] else {
            try await house.store.commit([.jobWasRun(name: "cleanup", dueSeconds: now)])
            return schedule.next(after: now) ?? .max
        }
        return schedule.next(after: last) ?? .max
    }

    /// Whether all kinds were collected.
    private func collect() async -> Bool {
        house.metrics.note(.collection, .running)
        var failure: String?
        for kind in house.kinds {
            let record = await Collector(house: house).collect(kind)
            if record.status == .failed { failure = failure ?? record.error }
        }
        house.metrics.note(.collection, failure: failure)
        return failure == nil
    }

    private func clean() async {
        house.metrics.note(.cleanup, .running)
        do {
            _ = try await FieldCleanup(house: house).run()
            house.metrics.note(.cleanup, failure: nil)
        } catch {
            house.metrics.note(.cleanup, failure: "\(error)")
            house.logger.error("Old forecast fields could not be removed", metadata: ["error": "\(error)"])
        }
    }
}
