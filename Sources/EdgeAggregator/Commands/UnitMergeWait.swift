import FieldNodes
import Logging
import Store

/// Waits until imported databases of units are merged, and says how many of their rows are in the store. Where no daemon runs, it merges
/// them itself.
struct UnitMergeWait {
    let importer: UnitImporter
    let house: NodeHouse
    let settings: Settings
    /// For how long a daemon is waited for.
    let maximumSeconds: Int

    private static let pause: Duration = .milliseconds(200)
    /// Pauses between two looks whether the daemon still runs.
    private static let pausesBetweenLooks = 25

    /// - Returns: Whether all rows of these files are in the store.
    func run(_ waiting: [UnitImporter.Waiting]) async -> Bool {
        defer { for file in waiting { file.discard() } }
        await merge(waiting)
        var isComplete = true
        for file in waiting {
            let problem = report(file)
            if let problem { printError("\(file.source) \(problem)") }
            isComplete = isComplete && problem == nil
        }
        return isComplete
    }

    private func merge(_ waiting: [UnitImporter.Waiting]) async {
        if isDaemonRunning {
            print("The daemon merges what waits; this command waits for it, \(maximumSeconds) s at most (--wait)")
        }
        let end = ContinuousClock.now + .seconds(maximumSeconds)
        var pauses = 0
        while waiting.contains(where: { !$0.isMerged }) {
            if pauses % Self.pausesBetweenLooks == 0, !isDaemonRunning {
                print("No daemon runs: what waits is merged by this command")
                return await mergeHere(waiting)
            }
            guard .now < end, (try? await Task.sleep(for: Self.pause)) != nil else { return }
            pauses += 1
        }
    }

    /// Nobody is kept from starting: a daemon that starts meanwhile may merge the same once more, which changes nothing.
    private var isDaemonRunning: Bool { DaemonPresence(baseFolder: settings.box.baseFolder).isRunning }

    private func mergeHere(_ waiting: [UnitImporter.Waiting]) async {
        var logger = house.logger
        // How it ended is printed.
        logger.logLevel = .warning
        let units = settings.nodes.piwardrive
        let merger = UnitMerger(
            house: NodeHouse(
                store: house.store, time: house.time, registry: house.registry, metrics: house.metrics,
                events: house.events, executor: house.executor, logger: logger),
            spool: importer.spool, overlay: OverlayHouse(store: house.store), settings: units,
            permit: DiskGuard(settings).permit(for: .nodeData, at: units.uploadsFolder))
        await merger.mergeOnce(Set(waiting.map(\.path)))
    }

    /// Prints how a file ended.
    ///
    /// - Returns: What is wrong; nil when all its rows are in the store.
    private func report(_ file: UnitImporter.Waiting) -> String? {
        let unit = importer.unit.text
        guard file.isMerged else {
            return
                "is not merged yet. It stays among the uploads (\(file.path)), and the daemon merges it as soon as it can; the daemon's log says what is in the way"
        }
        let rows: UnitImporter.Merged?
        do {
            rows = try importer.merged(file)
        } catch {
            return "is merged, but its rows could not be looked up: \(error)"
        }
        guard let rows else {
            print("\(file.source) is merged")
            return nil
        }
        print(
            "\(file.source) is merged: \(rows.health) health records and \(rows.accessPoints) access points of \(unit) are in the database"
        )
        guard rows.missing > 0 else { return nil }
        return
            "has \(rows.missing) more rows, which are not in the database. `edge-aggregator nodes errors piwardrive \(unit)`, `edge-aggregator nodes rejected` and the daemon's log say why; what is older than history_max_age_days is forgotten at once"
    }
}
