import Forecasts
import Foundation
import Logging
import Sensors
import Store
import Synchronization

/// What all parts of the forecasts share.
struct ForecastHouse: Sendable {
    let settings: ForecastSettings
    let archive: FieldArchive
    let room: FieldRoom
    let fetcher: ForecastFetcher
    let store: Store
    let time: any TimeSource
    let metrics: ForecastMetrics
    let logger: Logger

    /// - Parameter disk: The daemon's. Nil for a command beside it, which has figures of its own.
    init(
        _ settings: ForecastSettings, store: Store, time: any TimeSource, disk: DiskGuard? = nil, logger: Logger
    ) throws {
        self.settings = settings
        self.store = store
        self.time = time
        self.logger = logger
        metrics = ForecastMetrics()
        // What a command leaves is more than sound leaves anyway: `leastFreeBytes`.
        let disk =
            disk
            ?? DiskGuard(recordingsFolder: settings.folder, reserveBytes: 0, metrics: StorageMetrics(), logger: logger)
        room = FieldRoom(
            folder: settings.folder, permit: disk.permit(for: .sound, at: settings.folder),
            leastFreeBytes: settings.leastFreeBytes)
        archive = FieldArchive(folder: settings.folder, room: room)
        fetcher = try ForecastFetcher(
            ForecastFetcher.Limits(
                requestsPerMinute: settings.requestsPerMinute, parallel: settings.parallelRequests,
                stallTimeoutSeconds: settings.stallTimeoutSeconds, dailyBytes: settings.mostDailyBytes,
                firstPauseSeconds: settings.retryFirstSeconds,
                certificateFile: settings.certificateFile, proxy: settings.proxy), store: store, time: time)
    }

    func stop() {
        fetcher.stop()
        archive.stop()
    }

    /// Seconds since 1970.
    func now() -> Int64 { time.now().utcNanoseconds / 1_000_000_000 }

    /// The attribute `history` of a file or an answer that is made now.
    func history(_ made: String, _ grid: RegularGrid) -> String {
        func range(_ axis: RegularAxis) -> String { "\(axis.first) to \(axis.last)" }
        return FieldWriter.Description.history(
            atSeconds: now(), program: "edge-aggregator \(Version.text)",
            made: "\(made), latitude \(range(grid.latitude)), longitude \(range(grid.longitude))")
    }

    /// Kinds that can be collected.
    var kinds: [ForecastKind] {
        settings.kinds.filter { $0 != .currents || settings.copernicus.isSet }
    }

    /// Nil when there is room for fields.
    func shortage() -> String? { room.shortage() }
}

/// What is counted, and how the scheduled jobs are.
final class ForecastMetrics: Sendable {
    enum Job: String, CaseIterable, Sendable {
        case collection, cleanup
    }

    enum JobState: String, CaseIterable, Sendable {
        case waiting, running
        /// The clock is not set.
        case held
        case off
    }

    struct Jobs: Sendable {
        var states: [Job: JobState] = [:]
        /// Seconds since 1970.
        var next: [Job: Int64] = [:]
        var failures: [Job: String] = [:]
    }

    /// Files that the catalogue did not know, and rows whose file was gone, at starts.
    let orphans = Counter()
    let removed = Counter()
    let removedBytes = Counter()
    /// Fields of the past that no server had right, and that are left out.
    let leftOut = Counter()
    private let jobs = Mutex(Jobs())

    var snapshot: Jobs { jobs.withLock(\.self) }

    func note(_ job: Job, _ state: JobState, next: Int64? = nil) {
        jobs.withLock { jobs in
            jobs.states[job] = state
            if let next { jobs.next[job] = next }
        }
    }

    /// Nil when the last run went well.
    func note(_ job: Job, failure: String?) {
        jobs.withLock { $0.failures[job] = failure }
    }
}
