import Forecasts
import Foundation

/// What would be fetched, told before it is.
struct ForecastPlan: Sendable {
    let house: ForecastHouse

    func text(_ kind: ForecastKind) async throws -> String {
        kind == .currents ? try await currents() : try await gfs(kind)
    }

    private func gfs(_ kind: ForecastKind) async throws -> String {
        let collection = GFSCollection(house, kind)
        let plan = try await collection.plan()
        let steps = plan.forecast + plan.history
        var lines = [
            "\(kind.rawValue): \(kind.source), run of \(CalendarTime.text(plan.runSeconds))",
            "  \(plan.forecast.count) fields of the forecast, \(plan.history.count) of the past are missing",
        ]
        guard let first = steps.first, let last = plan.history.last ?? plan.forecast.last else {
            return lines[0] + ": all is there"
        }
        // Messages of one kind are about as long as each other: three indexes tell enough.
        var sizes: [Int64] = []
        for step in Set([first, steps[steps.count / 2], last]) {
            // An index that cannot be read tells nothing, and the others do.
            if let bytes = try? await collection.bytes(of: step) { sizes.append(bytes) }
        }
        if !sizes.isEmpty {
            let mean = sizes.reduce(0, +) / Int64(sizes.count)
            lines.append(
                "  about \(Dashboard.bytes(mean * Int64(steps.count))): \(steps.count) × \(Dashboard.bytes(mean)), "
                    + "in byte ranges of the wanted messages, and an index of each file")
        }
        lines.append(keeping(kind, fields: steps.count))
        return lines.joined(separator: "\n")
    }

    private func currents() async throws -> String {
        let collection = CurrentsCollection(house)
        let plan = try await collection.plan()
        let steps = plan.forecast.count + plan.history.count
        let chunks = try collection.chunks(of: plan)
        let grid = plan.window.grid
        return [
            "ocean-currents: \(house.settings.copernicus.dataset), changing from \(CalendarTime.text(plan.runSeconds))",
            "  \(plan.forecast.count) fields that may still change, \(plan.history.count) of the past are missing",
            "  \(steps * chunks) chunks: \(steps) × \(chunks); a chunk is packed, about 1.5 MB where it is all sea",
            "  \(grid.latitude.count) × \(grid.longitude.count) points are kept, "
                + "\(Dashboard.bytes(Int64(steps * grid.points * 8))) on the disk",
        ].joined(separator: "\n")
    }

    private func keeping(_ kind: ForecastKind, fields: Int) -> String {
        // A quarter of a degree.
        let box = house.settings.region
        let points = ((box.north - box.south) * 4 + 3) * min(1440, (box.east - box.west) * 4 + 3)
        let bytes = Int64(points) * Int64(kind.variables.count) * 4 * Int64(fields)
        return "  about \(Dashboard.bytes(bytes)) on the disk"
    }
}
