import Forecasts
import Foundation
import Store

/// What of GFS is wanted and not there: the fields of the newest run, and those of the past.
struct GFSCollection: Sendable {
    /// A field to be fetched.
    struct Step: Sendable, Hashable {
        let runSeconds: Int64
        let hour: Int
        var validSeconds: Int64 { runSeconds + Int64(hour) * 3600 }
        /// The same time, six hours later in the run that began six hours before.
        var ofRunBefore: Step {
            Step(
                runSeconds: runSeconds - GFSSource.cycleSeconds, hour: hour + Int(GFSSource.cycleSeconds / 3600))
        }
    }

    let house: ForecastHouse
    let source: GFSSource

    init(_ house: ForecastHouse, _ kind: ForecastKind) {
        self.house = house
        source = GFSSource(
            product: kind == .waves ? .waves : .wind, bases: house.settings.gfsBases,
            filterBase: house.settings.gfsFilterBase, box: house.settings.region)
    }

    private var kind: ForecastKind { source.product.kind }

    /// `wind-2026082900-f003`
    static func id(_ kind: ForecastKind, _ step: Step) -> String {
        let hour = CalendarTime.parts(step.runSeconds).hour
        let padded = String(repeating: "0", count: max(0, 3 - "\(step.hour)".count)) + "\(step.hour)"
        return "\(kind.rawValue)-\(CalendarTime.dayText(step.runSeconds))\(hour < 10 ? "0" : "")\(hour)-f\(padded)"
    }

    struct Plan: Sendable {
        let runSeconds: Int64
        /// Of the newest run, then of the past, the newest first.
        let forecast: [Step]
        let history: [Step]
    }

    func plan() async throws -> Plan {
        let now = house.now()
        guard let last = house.settings.hours.last else {
            return Plan(runSeconds: now, forecast: [], history: [])
        }
        let run = try await source.newestRun(notAfter: now, lastHour: last, fetcher: house.fetcher)
        let begin = now - Int64(house.settings.historyDays) * CalendarTime.daySeconds
        let rows = try await house.store.keptDatasets(kind: kind.rawValue, fromSeconds: min(begin, run))
        let fetched = Set(rows.map(\.id))
        // A field of a run that never became whole is not shown.
        let shown = Set(rows.filter { $0.state == .ready }.map(\.id))
        let forecast = house.settings.hours.map { Step(runSeconds: run, hour: $0) }
        let interval = Int64(house.settings.intervalHours) * 3600
        var history: [Step] = []
        var time = (run - 1) / interval * interval
        while time >= begin {
            // The run that a past time is nearest to the beginning of.
            let nearest = time / GFSSource.cycleSeconds * GFSSource.cycleSeconds
            history.append(Step(runSeconds: nearest, hour: Int((time - nearest) / 3600)))
            time -= interval
        }
        return Plan(
            runSeconds: run, forecast: forecast.filter { !fetched.contains(Self.id(kind, $0)) },
            history: history.filter { !shown.contains(Self.id(kind, $0)) })
    }

    /// What is missing of the forecast of the run before.
    func forecast(ofRunBefore runSeconds: Int64) async throws -> (runSeconds: Int64, steps: [Step]) {
        let run = runSeconds - GFSSource.cycleSeconds
        let kept = Set(try await house.store.keptDatasets(kind: kind.rawValue, fromSeconds: run).map(\.id))
        let steps = house.settings.hours.map { Step(runSeconds: run, hour: $0) }
        return (run, steps.filter { !kept.contains(Self.id(kind, $0)) })
    }

    /// Fetches a field of the past; where no server has it right, the one of the run before for the same time.
    func collectPast(_ step: Step) async throws -> Collector.Collected {
        do {
            return Collector.Collected(dataset: try await past(step))
        } catch  where StepTally.isOfOneField(error) && !StepTally.isOfTheMoment(error) {
            do {
                return Collector.Collected(dataset: try await past(step.ofRunBefore), substitution: "\(error)")
            } catch let second where StepTally.isOfOneField(second) {
                throw StepTally.isOfTheMoment(second) ? second : error
            }
        }
    }

    /// A field of the past; nil when it is there and shown. One that was fetched for a run that never became whole is shown by itself.
    private func past(_ step: Step) async throws -> DatasetRecord? {
        guard var found = try await house.store.dataset(id: Self.id(kind, step)) else {
            return try await collect(step, isHistory: true)
        }
        switch found.state {
        case .ready: return nil
        case .expired: return try await collect(step, isHistory: true)
        case .partial:
            found.state = .ready
            found.isForecast = false
            found.createdSeconds = house.now()
            return found
        }
    }

    /// Fetches a field, checks it, cuts the region out and writes it; its row, which is not in the catalogue yet.
    func collect(_ step: Step, isHistory: Bool) async throws -> DatasetRecord {
        let fields = try await source.fields(runSeconds: step.runSeconds, hour: step.hour, fetcher: house.fetcher)
        let id = Self.id(kind, step)
        let path = FieldArchive.path(kind: kind, runSeconds: step.runSeconds, id: id)
        let bytes = try await withTaskExecutorPreference(house.archive.executor) {
            try write(fields, to: path, step)
        }
        return DatasetRecord(
            id: id, kind: kind.rawValue, source: kind.source, runSeconds: step.runSeconds,
            validFromSeconds: step.validSeconds, validToSeconds: step.validSeconds, path: path, bytes: bytes,
            isForecast: !isHistory && step.hour > 0, createdSeconds: house.now(),
            state: isHistory ? .ready : .partial)
    }

    /// One variable at a time, so that no more than that is in memory.
    private func write(_ fields: [GRIBField], to path: String, _ step: Step) throws -> Int64 {
        guard let first = fields.first else { throw CollectionFailure.failed("there are no fields") }
        let grid = try first.grid().regular
        // A point more on each side, so that there are values between points up to the region's edge.
        let region = house.settings.region.grown(max(grid.latitude.step, grid.longitude.step))
        guard let window = GridWindow(grid, in: region) else {
            throw CollectionFailure.failed("no point of the field is in forecast_region")
        }
        let description = FieldWriter.Description(
            kind: kind, grid: window.grid, times: [step.validSeconds], runSeconds: step.runSeconds,
            history: house.history(
                "made of GRIB2, run of \(CalendarTime.text(step.runSeconds)), hour \(step.hour)", window.grid))
        return try house.archive.write(path, description) { file in
            for (place, field) in fields.enumerated() {
                // A field takes up to some seconds; the daemon may stop in between.
                try Task.checkCancellation()
                let whole = try field.field()
                guard whole.grid == grid else { throw CollectionFailure.failed("the fields are on different grids") }
                let part = whole.cut(window)
                try file.put(
                    variable: place, time: 0, rows: part.grid.latitude.count, columns: part.grid.longitude.count,
                    values: part.values)
            }
        }
    }

    /// Bytes that the plan will fetch, as the indexes tell them; one index is asked for each step.
    func bytes(of step: Step) async throws -> Int64? {
        guard let base = source.bases.first else { return nil }
        return try await source.step(
            base: base, runSeconds: step.runSeconds, hour: step.hour, fetcher: house.fetcher
        ).bytes
    }
}
