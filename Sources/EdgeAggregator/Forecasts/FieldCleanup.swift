import Forecasts
import Foundation
import Logging
import Sensors
import Store

/// Removes what is too old or too much, and mends what a power cut has left: files that the catalogue does not know, and
/// rows whose file is gone.
///
/// A file is stored before its row is written, and a row is hidden before its file goes and removed after. So whatever is cut
/// in between can be seen, and is finished at the next start.
struct FieldCleanup: Sendable {
    let house: ForecastHouse

    /// In one transaction.
    private static let batch = 500

    struct Report: Sendable {
        var removed = 0
        var bytes: Int64 = 0
    }

    func run() async throws -> Report {
        let now = house.now()
        let before = now - Int64(house.settings.mostAgeDays * Double(CalendarTime.daySeconds))
        var report = Report()
        while true {
            let stale = try await house.store.staleDatasets(beforeSeconds: before, limit: Self.batch)
            if stale.isEmpty { break }
            try await remove(stale, &report)
        }
        try await spare(&report)
        try await finishExpired()
        try await house.store.commit([.forgetCollections(beforeSeconds: before)])
        let counts = try await house.store.datasetCounts()
        house.logger.notice(
            "Old forecast fields are removed",
            metadata: [
                "removed": "\(report.removed)", "removed_bytes": "\(report.bytes)",
                "kept": "\(counts.reduce(0) { $0 + $1.rows })", "kept_bytes": "\(counts.reduce(0) { $0 + $1.bytes })",
            ])
        return report
    }

    /// Keeps all fields together within their bounds.
    private func spare(_ report: inout Report) async throws {
        while true {
            var excess = try await house.store.datasetCounts().reduce(0) { $0 + $1.bytes } - house.settings.mostBytes
            guard excess > 0 else { return }
            var chosen: [DatasetRecord] = []
            for dataset in try await house.store.datasetsToSpare(limit: Self.batch) where excess > 0 {
                chosen.append(dataset)
                excess -= dataset.bytes
            }
            guard !chosen.isEmpty else { return }
            try await remove(chosen, &report)
        }
    }

    private func remove(_ datasets: [DatasetRecord], _ report: inout Report) async throws {
        let ids = datasets.map(\.id)
        try await house.store.commit([.datasetsExpire(ids: ids)])
        try await withTaskExecutorPreference(house.archive.executor) {
            for dataset in datasets { try house.archive.remove(dataset.path) }
        }
        try await house.store.commit([
            .datasetsAreGone(ids: ids, atNanoseconds: house.time.now().utcNanoseconds)
        ])
        report.removed += datasets.count
        report.bytes += datasets.reduce(0) { $0 + $1.bytes }
        house.metrics.removed.add(Int64(datasets.count))
        house.metrics.removedBytes.add(datasets.reduce(0) { $0 + $1.bytes })
    }

    /// Rows whose files were to go when the daemon ended, or whose removal at the far end was given up.
    private func finishExpired() async throws {
        let expired = try await house.store.expiredDatasets()
        guard !expired.isEmpty else { return }
        try await withTaskExecutorPreference(house.archive.executor) {
            for dataset in expired { try house.archive.remove(dataset.path) }
        }
        try await house.store.commit([
            .datasetsAreGone(ids: expired.map(\.id), atNanoseconds: house.time.now().utcNanoseconds)
        ])
    }

    /// Fields of another region are of no use when the region is changed: they go, and are collected anew.
    func adoptRegion() async throws {
        let region = house.settings.region
        let text = "\(region.south),\(region.north),\(region.west),\(region.east)\n"
        let path = "\(house.settings.folder)/region.txt"
        let before = try? String(contentsOfFile: path, encoding: .utf8)
        guard before != text else { return }
        if let before {
            house.logger.notice(
                "The region of forecasts was changed: fields are collected anew",
                metadata: ["before": "\(before.dropLast())", "now": "\(text.dropLast())"])
            var report = Report()
            while true {
                let some = try await house.store.datasetsOfAnyState(limit: Self.batch)
                if some.isEmpty { break }
                try await remove(some, &report)
            }
        }
        // Written last, so that a cut before it begins again.
        try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    /// At a start, before anything is collected.
    func reconcile() async throws {
        for var collection in try await house.store.unfinishedCollections() {
            collection.status = .failed
            collection.error = "the daemon ended meanwhile"
            collection.completedSeconds = max(collection.startedSeconds, house.now())
            try await house.store.commit([.collection(collection)])
        }
        try await finishExpired()
        let known = try await house.store.datasetFiles()
        let there = await withTaskExecutorPreference(house.archive.executor) { house.archive.files() }
        let orphans = there.keys.filter { known[$0] == nil && Self.isOurs($0) }
        let lost = known.filter { there[$0.key] != $0.value.bytes }
        guard !orphans.isEmpty || !lost.isEmpty else { return }
        try await withTaskExecutorPreference(house.archive.executor) {
            for path in orphans { try house.archive.remove(path) }
        }
        if !lost.isEmpty {
            try await house.store.commit([.datasetsExpire(ids: lost.map(\.value.id))])
            try await finishExpired()
        }
        house.metrics.orphans.add(Int64(orphans.count + lost.count))
        house.logger.warning(
            "Forecast fields were left behind when the daemon last ended; they are cleared up",
            metadata: ["files_without_row": "\(orphans.count)", "rows_without_file": "\(lost.count)"])
    }

    /// Whether a file has a name that fields get: others are none of our business.
    static func isOurs(_ path: String) -> Bool {
        let parts = path.split(separator: "/")
        return parts.count == 4 && ForecastKind(rawValue: String(parts[0])) != nil
            && parts[3].hasPrefix("\(parts[0])-") && (parts[3].hasSuffix(".nc") || parts[3].hasSuffix(".nc.part"))
    }
}
