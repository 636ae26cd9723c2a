import Forecasts
import Foundation
import Store

/// Answers questions for a box or a place out of the fields that are kept: of each time the newest run's.
struct FieldQuery: Sendable {
    let house: ForecastHouse

    struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    /// A box at several times.
    struct Series: Sendable {
        let kind: ForecastKind
        let grid: RegularGrid
        /// Seconds since 1970.
        let times: [Int64]
        let runs: [Int64]
        /// By variable, then by time; row by row, NaN where there is no value.
        let values: [[[Float]]]
    }

    /// Times of one question: each is a file to open.
    static let mostTimes = 2_000

    private func rows(_ kind: ForecastKind, _ from: Int64, _ to: Int64) async throws -> [DatasetRecord] {
        var query = DatasetQuery()
        query.kind = kind.rawValue
        (query.fromSeconds, query.toSeconds) = (from, to)
        query.isNewestOnly = true
        query.limit = Self.mostTimes + 1
        let rows = try await house.store.datasets(query)
        guard rows.count <= Self.mostTimes else {
            throw Refused(description: "an answer has \(Self.mostTimes) times at most: take less time")
        }
        return rows
    }

    private func noteRead(_ rows: [DatasetRecord]) {
        let now = house.now()
        // To the minute: a question a second must not be a write a second.
        let stale = rows.filter { now - ($0.readSeconds ?? 0) >= 60 }.map(\.id)
        if !stale.isEmpty { house.store.enqueue([.datasetsRead(ids: stale, atSeconds: now)]) }
    }

    /// - Returns: nil when there is no field, or none of its points is in the box.
    func box(_ kind: ForecastKind, _ box: GeoBox, from: Int64, to: Int64) async throws -> Series? {
        let rows = try await rows(kind, from, to)
        let series = try await withTaskExecutorPreference(house.archive.executor) { try read(kind, box, rows) }
        noteRead(rows)
        return series
    }

    /// Runs on the archive's thread.
    private func read(_ kind: ForecastKind, _ box: GeoBox, _ rows: [DatasetRecord]) throws -> Series? {
        // The newest run's grid is the answer's; the source may have had another one before.
        guard let newest = rows.max(by: { $0.runSeconds < $1.runSeconds }),
            let shape = try? FieldReader(path: house.archive.path(newest.path)),
            let window = GridWindow(shape.grid, in: box)
        else { return nil }
        let count = window.grid.points * rows.count * kind.variables.count
        guard count <= house.settings.mostQueryValues else {
            throw Refused(
                description:
                    "\(count) values are asked for, and an answer has \(house.settings.mostQueryValues) at most (forecast_max_query_values): take a smaller box or less time"
            )
        }
        var times: [Int64] = []
        var runs: [Int64] = []
        var values = [[[Float]]](repeating: [], count: kind.variables.count)
        for row in rows {
            // One whose file goes meanwhile is left out.
            guard let reader = try? FieldReader(path: house.archive.path(row.path)) else { continue }
            for (place, variable) in kind.variables.enumerated() {
                if reader.grid == shape.grid {
                    values[place].append(try reader.values(variable, in: window))
                } else {
                    values[place].append(try Self.resample(reader, variable, to: window.grid))
                }
            }
            times.append(row.validFromSeconds)
            runs.append(row.runSeconds)
        }
        guard !times.isEmpty else { return nil }
        return Series(kind: kind, grid: window.grid, times: times, runs: runs, values: values)
    }

    private static func resample(
        _ reader: FieldReader, _ variable: ForecastKind.Variable, to grid: RegularGrid
    ) throws -> [Float] {
        let box = GeoBox(
            minLatitude: max(-90, grid.latitude.first), maxLatitude: min(90, grid.latitude.last),
            minLongitude: grid.longitude.first, maxLongitude: grid.longitude.last)
        guard let field = try box.flatMap({ try Self.field(reader, variable, around: $0) }) else {
            return [Float](repeating: .nan, count: grid.points)
        }
        return (0..<grid.points).map { place in
            field.value(
                latitude: grid.latitude.value(place / grid.longitude.count),
                longitude: grid.longitude.value(place % grid.longitude.count), isDirection: variable.isDirection
            ).map { Float($0) } ?? .nan
        }
    }

    /// The part of a field that a box shows, and a point more on each side.
    private static func field(
        _ reader: FieldReader, _ variable: ForecastKind.Variable, around box: GeoBox
    ) throws -> GridField? {
        let step = max(reader.grid.latitude.step, reader.grid.longitude.step)
        let wide = GeoBox(
            minLatitude: max(-90, box.south - step), maxLatitude: min(90, box.north + step),
            minLongitude: max(-360, box.west - step), maxLongitude: min(360, box.east + step))
        guard let window = wide.flatMap({ GridWindow(reader.grid, in: $0) }) else { return nil }
        return GridField(grid: window.grid, values: try reader.values(variable, in: window))
    }

    // MARK: - A place

    struct PlaceValue: Sendable {
        let seconds: Int64
        let run: Int64
        /// By variable; nil where there is none.
        let values: [Double?]
    }

    /// The values at a place, each from the four points around it: at one time, between the fields before and after it, or at
    /// the time of every field within a span.
    func place(
        _ kind: ForecastKind, latitude: Double, longitude: Double, from: Int64, to: Int64
    ) async throws -> [PlaceValue] {
        // Fields are a day apart at most.
        let margin = from == to ? CalendarTime.daySeconds : 0
        var rows = try await rows(kind, from - margin, to + margin)
        if from == to {
            let before = rows.last { $0.validFromSeconds <= from }
            let after = rows.first { $0.validFromSeconds >= from }
            guard let before, let after else { return [] }
            rows = before.id == after.id ? [before] : [before, after]
        }
        let wanted = rows
        let found = try await withTaskExecutorPreference(house.archive.executor) {
            try wanted.compactMap { try sample($0, kind, latitude, longitude) }
        }
        noteRead(rows)
        guard from == to, found.count == 2 else { return found }
        let (first, second) = (found[0], found[1])
        let share = Double(from - first.seconds) / Double(max(1, second.seconds - first.seconds))
        let values = zip(kind.variables, zip(first.values, second.values)).map { variable, pair in
            variable.between(pair.0, pair.1, share: share)
        }
        return [PlaceValue(seconds: from, run: max(first.run, second.run), values: values)]
    }

    private func sample(
        _ row: DatasetRecord, _ kind: ForecastKind, _ latitude: Double, _ longitude: Double
    ) throws -> PlaceValue? {
        guard let reader = try? FieldReader(path: house.archive.path(row.path)),
            let box = GeoBox(
                minLatitude: latitude, maxLatitude: latitude, minLongitude: longitude, maxLongitude: longitude)
        else { return nil }
        let values = try kind.variables.map { variable in
            try Self.field(reader, variable, around: box)?.value(
                latitude: latitude, longitude: longitude, isDirection: variable.isDirection)
        }
        return PlaceValue(seconds: row.validFromSeconds, run: row.runSeconds, values: values)
    }
}
