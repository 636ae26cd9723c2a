import Forecasts
import Foundation
import Store

/// What of Copernicus Marine is wanted and not there.
///
/// The dataset has no runs; each day its last days and its forecast are written anew. What may still change is fetched anew
/// when it was, under the name of the day from which on it did; what is settled is fetched once.
struct CurrentsCollection: Sendable {
    /// A time of the dataset, by its place.
    struct Step: Sendable, Hashable {
        let place: Int
        let validSeconds: Int64
    }

    struct Plan: Sendable {
        let dataset: CopernicusSource.Dataset
        let window: GridWindow
        let runSeconds: Int64
        let forecast: [Step]
        let history: [Step]
    }

    let house: ForecastHouse
    private let source: CopernicusSource
    private static let kind = ForecastKind.currents

    init(_ house: ForecastHouse) {
        self.house = house
        source = CopernicusSource(house.settings.copernicus)
    }

    func plan() async throws -> Plan {
        let now = house.now()
        let dataset = try await source.open(now: now, fetcher: house.fetcher)
        let step = max(dataset.grid.latitude.step, dataset.grid.longitude.step)
        guard let window = GridWindow(dataset.grid, in: house.settings.region.grown(step)) else {
            throw CollectionFailure.failed("no point of the currents is in forecast_region")
        }
        let updating = dataset.updatingSeconds ?? now / CalendarTime.daySeconds * CalendarTime.daySeconds
        let run = updating / 3600 * 3600
        let begin = now - Int64(house.settings.historyDays) * CalendarTime.daySeconds
        let end = now + Int64(house.settings.hours.last ?? 0) * 3600
        let interval = Int64(house.settings.intervalHours) * 3600
        let inRange = dataset.times.enumerated().filter { (begin...end).contains($1) }
        var steps = inRange.filter { $1 % interval == 0 }.map { Step(place: $0, validSeconds: $1) }
        // Means of a day or an hour may stand at its middle.
        if steps.isEmpty { steps = inRange.map { Step(place: $0, validSeconds: $1) } }
        let kept = try await house.store.keptDatasets(kind: Self.kind.rawValue, fromSeconds: begin)
        let ids = Set(kept.map(\.id))
        // A field that was fetched when its time was settled already.
        let settled = Set(kept.filter { $0.runSeconds > $0.validFromSeconds }.map(\.validFromSeconds))
        return Plan(
            dataset: dataset, window: window, runSeconds: run,
            forecast: steps.filter { $0.validSeconds >= run && !ids.contains(Self.id(run, $0)) },
            history: steps.filter { $0.validSeconds < run && !settled.contains($0.validSeconds) }.reversed())
    }

    /// `ocean-currents-2026112100-20261124T1800`
    static func id(_ runSeconds: Int64, _ step: Step) -> String {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let valid = CalendarTime.parts(step.validSeconds)
        return "\(kind.rawValue)-\(CalendarTime.dayText(runSeconds))\(two(CalendarTime.parts(runSeconds).hour))"
            + "-\(CalendarTime.dayText(step.validSeconds))T\(two(valid.hour))\(two(valid.minute))"
    }

    /// Chunks that a field needs: for the plan that is shown.
    func chunks(of plan: Plan) throws -> Int {
        try (0..<2).reduce(0) {
            $0 + (try source.pieces(of: plan.dataset, component: $1, time: 0, window: plan.window).pieces.count)
        }
    }

    func collect(_ step: Step, _ plan: Plan, isHistory: Bool) async throws -> DatasetRecord {
        let id = Self.id(plan.runSeconds, step)
        let path = FieldArchive.path(kind: Self.kind, runSeconds: plan.runSeconds, id: id)
        let description = FieldWriter.Description(
            kind: Self.kind, grid: plan.window.grid, times: [step.validSeconds], runSeconds: plan.runSeconds,
            history: house.history(
                "made of Zarr, \(house.settings.copernicus.dataset) as of \(CalendarTime.text(plan.runSeconds))",
                plan.window.grid))
        let executor = house.archive.executor
        let file = try await withTaskExecutorPreference(executor) { try house.archive.begin(path, description) }
        do {
            var found = 0
            for component in 0..<2 {
                let pieces = try source.pieces(
                    of: plan.dataset, component: component, time: step.place, window: plan.window)
                found += try await fill(file, component, pieces, plan)
            }
            // Land has no chunks, but a sea without any is a store that does not let us in.
            guard found > 0 else { throw CollectionFailure.failed("none of the chunks of \(id) is there") }
            let bytes = try await withTaskExecutorPreference(executor) { try file.finish() }
            return DatasetRecord(
                id: id, kind: Self.kind.rawValue, source: Self.kind.source, runSeconds: plan.runSeconds,
                validFromSeconds: step.validSeconds, validToSeconds: step.validSeconds, path: path, bytes: bytes,
                isForecast: step.validSeconds > house.now(), createdSeconds: house.now(),
                state: isHistory ? .ready : .partial)
        } catch {
            await withTaskExecutorPreference(executor) { file.discard() }
            throw error
        }
    }

    /// Fetches the pieces of a component, several at a time; how many were there.
    private func fill(
        _ file: FieldArchive.OpenField, _ component: Int, _ window: ZarrWindow, _ plan: Plan
    ) async throws -> Int {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            var rest = window.pieces[...]
            func begin() {
                guard let piece = rest.popFirst() else { return }
                group.addTask {
                    let chunk = try await source.chunk(piece, of: plan.dataset, fetcher: house.fetcher)
                    try await withTaskExecutorPreference(house.archive.executor) {
                        let values: [Float]
                        do throws(ZarrError) { values = try window.values(piece, chunk) } catch {
                            throw CollectionFailure.failed("\(error)")
                        }
                        try file.put(
                            variable: component, time: 0, row: piece.row, column: piece.column, rows: piece.rows,
                            columns: piece.columns, values: values)
                    }
                    return chunk != nil
                }
            }
            for _ in 0..<house.settings.parallelRequests { begin() }
            var found = 0
            while let isThere = try await group.next() {
                if isThere { found += 1 }
                begin()
            }
            return found
        }
    }
}
