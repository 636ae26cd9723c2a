import Forecasts
import Foundation
import Logging
import Sensors
import Store
import TextParts

/// Removes what is too old or too much, and puts right what a power cut has left: files that the catalogue does not know, and
/// rows whose file is gone.
///
/// A file is stored before its row is written, and a row is hidden before its file goes and removed after. So whatever is cut
/// in between can be seen, and is finished at the next start. A file or folder that cannot be read at that moment is not gone:
/// nothing is concluded from it.
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
        await removeAside(beforeSeconds: before)
        try await house.store.commit([.forgetCollections(beforeSeconds: before)])
        let counts = try await house.store.datasetCounts()
        house.logger.notice(
            "Old forecast fields are removed",
            metadata: [
                "removed": "\(report.removed)", "removed_bytes": "\(report.bytes)",
                "kept": "\(counts.reduce(0) { $0 + $1.kept })", "kept_bytes": "\(counts.reduce(0) { $0 + $1.bytes })",
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
        try await house.store.commit([.datasetsExpire(ids: datasets.map(\.id))])
        let gone = try await removeFiles(datasets)
        report.removed += gone.count
        report.bytes += gone.reduce(0) { $0 + $1.bytes }
        house.metrics.removed.add(Int64(gone.count))
        house.metrics.removedBytes.add(gone.reduce(0) { $0 + $1.bytes })
    }

    /// Removes the files of expired fields, and notes which are gone. Those that cannot be removed now stay expired: the next
    /// clean-up or start tries again.
    private func removeFiles(_ expired: [DatasetRecord]) async throws -> [DatasetRecord] {
        let (gone, failure) = await withTaskExecutorPreference(house.archive.executor) {
            var gone: [DatasetRecord] = []
            var failure: (any Error)?
            for dataset in expired {
                do {
                    try house.archive.remove(dataset.path)
                    gone.append(dataset)
                } catch {
                    failure = error
                }
            }
            return (gone, failure)
        }
        if let failure {
            house.logger.error(
                "Files of forecast fields cannot be removed now; it is tried again",
                metadata: ["files": "\(expired.count - gone.count)", "error": "\(failure)"])
        }
        if !gone.isEmpty {
            try await house.store.commit([
                .datasetsAreGone(ids: gone.map(\.id), atNanoseconds: house.time.now().utcNanoseconds)
            ])
        }
        return gone
    }

    /// Rows whose files were to go when the daemon ended, or whose removal at the far end was given up.
    private func finishExpired() async throws {
        let expired = try await house.store.expiredDatasets()
        if !expired.isEmpty { _ = try await removeFiles(expired) }
    }

    /// Files that were put aside go when they are as old as fields may become.
    private func removeAside(beforeSeconds: Int64) async {
        do {
            try await withTaskExecutorPreference(house.archive.executor) {
                for path in try house.archive.files().keys where path.hasSuffix(FieldArchive.asideSuffix) {
                    guard let modified = house.archive.modifiedSeconds(path), modified < beforeSeconds else { continue }
                    try house.archive.remove(path)
                }
            }
        } catch {
            house.logger.error(
                "Damaged forecast fields cannot be looked for now; it is tried again", metadata: ["error": "\(error)"])
        }
    }

    /// Fields of another region are of no use when the region is changed: they go, and are collected anew.
    func adoptRegion() async throws {
        let region = house.settings.region
        let text = "\(region.south),\(region.north),\(region.west),\(region.east)\n"
        let path = "\(house.settings.folder)/region.txt"
        let before = try? String(contentsOfFile: path, encoding: .utf8)
        guard before != text else { return }
        // A file that was torn by a power cut says nothing about the region of before.
        if let before, Self.isRegion(before) {
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

    private static func isRegion(_ text: String) -> Bool {
        let parts = text.dropLast().parts(at: ",", omittingEmpty: false)
        return text.utf8.last == 0x0A && parts.count == 4 && parts.allSatisfy { Double($0) != nil }
    }

    /// At a start, before anything is collected.
    func reconcile() async throws {
        var cutKinds: Set<String> = []
        for var collection in try await house.store.unfinishedCollections() {
            cutKinds.insert(collection.kind)
            collection.status = .failed
            collection.error = "the daemon ended meanwhile"
            collection.completedSeconds = max(collection.startedSeconds, house.now())
            try await house.store.commit([.collection(collection)])
        }
        try await finishExpired()
        let known = try await house.store.datasetFiles()
        let there = try await withTaskExecutorPreference(house.archive.executor) { try house.archive.files() }
        // Those that could not be removed just now.
        let expired = Set(try await house.store.expiredDatasets().map(\.path))
        let orphans = there.keys.filter { known[$0] == nil && !expired.contains($0) && Self.isOurs($0) }.sorted()
        let lost = known.filter { there[$0.key] != $0.value.bytes }
        guard !orphans.isEmpty || !lost.isEmpty else { return }
        for path in orphans { try await settle(path, bytes: there[path] ?? 0, cutKinds) }
        if !lost.isEmpty {
            // A file of another size is damaged: it is kept beside the one that is fetched again.
            try await withTaskExecutorPreference(house.archive.executor) {
                for path in lost.keys where there[path] != nil { try house.archive.putAside(path) }
            }
            try await house.store.commit([.datasetsExpire(ids: lost.map(\.value.id))])
            try await finishExpired()
        }
        house.metrics.orphans.add(Int64(orphans.count + lost.count))
        house.logger.warning(
            "Forecast fields were left behind when the daemon last ended; they are cleared up",
            metadata: ["files_without_row": "\(orphans.count)", "rows_without_file": "\(lost.count)"])
    }

    /// Deals with a file that has no row: a half-made one is removed, since only this program makes them; a field is taken into the
    /// catalogue, since its row may be lost with a database; anything else is put aside.
    private func settle(_ path: String, bytes: Int64, _ cutKinds: Set<String>) async throws {
        let dataset: DatasetRecord?
        do {
            dataset = try await withTaskExecutorPreference(house.archive.executor) {
                if path.hasSuffix(".part") {
                    try house.archive.remove(path)
                    return nil
                }
                let field = try house.archive.field(path)
                if let field, let record = record(path, bytes, field.kind, field.validSeconds, cutKinds) {
                    return record
                }
                try house.archive.putAside(path)
                return nil
            }
        } catch {
            house.logger.error(
                "A file of a forecast field cannot be read now; it is left alone, and the next start looks at it again",
                metadata: ["file": "\(path)", "error": "\(error)"])
            return
        }
        if let dataset { try await house.store.commit([.dataset(dataset)]) }
    }

    /// By its name and what it holds; nil when the two do not agree.
    private func record(
        _ path: String, _ bytes: Int64, _ kind: ForecastKind, _ valid: ClosedRange<Int64>, _ cutKinds: Set<String>
    ) -> DatasetRecord? {
        let parts = path.parts(at: "/")
        let day = Array(parts[1])
        let id = String(parts[3].dropLast(3))
        guard day.count == 8,
            let run = CalendarTime.seconds(
                "\(String(day[..<4]))-\(String(day[4..<6]))-\(String(day[6...]))T\(parts[2]):00:00Z"),
            FieldArchive.path(kind: kind, runSeconds: run, id: id) == path
        else { return nil }
        let now = house.now()
        // A run that was just being collected is shown when all of it is there; of what is past nobody waits for the rest.
        let isOfCutRun = cutKinds.contains(kind.rawValue) && run > now - CalendarTime.daySeconds
        return DatasetRecord(
            id: id, kind: kind.rawValue, source: kind.source, runSeconds: run, validFromSeconds: valid.lowerBound,
            validToSeconds: valid.upperBound, path: path, bytes: bytes, isForecast: valid.upperBound > run,
            createdSeconds: now, state: isOfCutRun || valid.upperBound > now ? .partial : .ready)
    }

    /// Whether a file has a name that fields get: others are none of our business.
    static func isOurs(_ path: String) -> Bool {
        let parts = path.parts(at: "/")
        return parts.count == 4 && ForecastKind(rawValue: String(parts[0])) != nil
            && parts[3].hasPrefix("\(parts[0])-") && (parts[3].hasSuffix(".nc") || parts[3].hasSuffix(".nc.part"))
    }
}
