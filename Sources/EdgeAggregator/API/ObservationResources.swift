import Foundation
import Hummingbird
import Store
import TextParts

/// `GET /api/v1/observations` and `/api/v1/observations/latest`, as JSON or CSV.
struct ObservationResources: Sendable {
    let store: Store

    struct Observation: Encodable {
        let id: Int64
        let source: String
        let quantity: String
        let unit: String
        let at: String
        let value: Double
        let raw: Double?
        let timeQuality: String

        init(_ row: ObservationRecord) {
            id = row.id ?? 0
            source = row.source
            quantity = row.quantity
            unit = row.unit
            at = ISOTime.text(row.timeNanoseconds)
            value = row.value
            raw = row.raw
            timeQuality = row.timeQuality
        }

        static let csvHead = ["id", "source", "quantity", "unit", "at", "value", "raw", "time_quality"]

        var csv: [String] {
            ["\(id)", source, quantity, unit, at, "\(value)", raw.map { "\($0)" } ?? "", timeQuality]
        }
    }

    private struct Page: Encodable {
        let observations: [Observation]
        let next: Int64?
    }

    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let query = Query(request)
        var filter = ObservationFilter()
        filter.source = query.text("source")
        filter.quantity = query.text("quantity")
        filter.fromNanoseconds = try query.time("from")
        filter.toNanoseconds = try query.time("to")
        filter.beforeID = try query.int64("cursor")
        filter.limit = try query.limit()
        let observations = try await store.observations(filter).map(Observation.init)
        let next = observations.count == filter.limit ? observations.last?.id : nil
        return try answer(Page(observations: observations, next: next), query, request)
    }

    /// The last of each series.
    @Sendable
    func latest(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let nodes = try await store.latestReadings().flatMap(\.observations)
        let observations = (try await store.latestObservations() + nodes).map(Observation.init)
        return try answer(Page(observations: observations, next: nil), Query(request), request)
    }

    private func answer(_ page: Page, _ query: Query, _ request: Request) throws -> Response {
        let isCSV = query.text("format") == "csv" || request.headers[.accept]?.holds("text/csv") == true
        guard isCSV else { return try Answer.json(page) }
        let lines = [CSV.line(Observation.csvHead)] + page.observations.map { CSV.line($0.csv) }
        return Answer.text(lines.joined(), type: "text/csv; charset=utf-8")
    }
}
